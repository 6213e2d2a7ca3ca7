"""River (Go module `github.com/riverqueue/river`), through `InsertManyFast` and a client: see `river/main.go`."""

from __future__ import annotations

from bench.contestant import Manner
from bench.contestants.peer import GoPeer


def contestant() -> GoPeer:
    """Return the contestant."""
    return GoPeer(
        "river",
        Manner(
            history="kept",
            keeps="job",
            settings="MaxWorkers 2,000, FetchCooldown 2 ms, InsertManyFast of 5,000",
            finished="select count(*) from river_job where state = 'completed'",
        ),
        "select count(*) from river_job where state <> 'completed'",
    )
