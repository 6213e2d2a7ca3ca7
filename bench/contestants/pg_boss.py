"""pg-boss (npm `pg-boss`), through `insert` and `work`: the settings are in `pg_boss.mjs`.

Its handler gets a whole batch, which one statement completes; the other queues call a handler for each job.
"""

from __future__ import annotations

from bench.contestants.peer import NodePeer


def contestant() -> NodePeer:
    """Return the contestant."""
    return NodePeer(
        "pg_boss",
        "pg-boss",
        "keeps a finished job; one handler call for up to 2,000 jobs, two at a time; insert of 5,000",
        "select count(*) from pgboss.job where state < 'completed'",
    )
