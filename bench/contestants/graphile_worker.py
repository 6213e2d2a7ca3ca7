"""Graphile Worker (npm `graphile-worker`), through `addJobs` and `run`: the settings are in `graphile_worker.mjs`."""

from __future__ import annotations

from bench.contestant import Manner
from bench.contestants.peer import NodePeer


def contestant() -> NodePeer:
    """Return the contestant."""
    return NodePeer(
        "graphile_worker",
        "graphile-worker",
        Manner(
            history="deleted",
            keeps="nothing",
            settings="two pools, local queue of 2,000, addJobs of 5,000",
        ),
        "select count(*) from graphile_worker.jobs",
    )
