"""Graphile Worker (npm `graphile-worker`), through `addJobs` and `run`: the settings are in `graphile_worker.mjs`."""

from __future__ import annotations

from bench.contestants.peer import NodePeer


def contestant() -> NodePeer:
    """Return the contestant."""
    return NodePeer(
        "graphile_worker",
        "graphile-worker",
        "deletes a finished job; one handler call a job; two pools, local queue of 2,000, addJobs of 5,000",
        "select count(*) from graphile_worker.jobs",
    )
