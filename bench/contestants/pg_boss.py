"""pg-boss (npm `pg-boss`), through `insert` and `work`: the settings are in `pg_boss.mjs`.

Its handler gets a whole batch, which one statement completes; the other queues call a handler for each job.
"""

from __future__ import annotations

from bench.contestant import Manner
from bench.contestants.peer import NodePeer


def contestant() -> NodePeer:
    """Return the contestant."""
    return NodePeer(
        "pg_boss",
        "pg-boss",
        Manner(
            history="kept",
            keeps="job",
            batch=2000,
            settings="handler calls of up to 2,000 jobs, two at a time; insert of 5,000",
            finished="select count(*) from pgboss.job where state = 'completed'",
        ),
        "select count(*) from pgboss.job where state < 'completed'",
    )
