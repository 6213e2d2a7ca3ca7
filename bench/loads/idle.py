"""The cost of idle long polls for a server: memory of each, CPU, and queries."""

from __future__ import annotations

import time
from urllib.parse import urlsplit

from bench.child import Child, python
from bench.lane import Lane
from bench.meter import cpu_seconds, rss_bytes, tree
from bench.postgres import Postgres

# The statistics of Postgres include statements of an idle connection up to ten seconds late.
_LAG_SECONDS = 11.0


def idle_polls(postgres: Postgres, lane: Lane, database: str, *, count: int, seconds: float) -> dict[str, float]:
    """Hold `count` long polls on a fresh server for `seconds`, and return their cost."""
    servers = lane.ask("servers")
    where = urlsplit(lane.ask("url"))
    before = _rss(servers)
    idlers = Child(python("bench.loads.idlers", str(where.hostname), str(where.port), str(count)))
    try:
        idlers.read()
        time.sleep(_LAG_SECONDS)
        after, cpu, commits, began = _rss(servers), cpu_seconds(servers), postgres.commits(database), time.monotonic()
        time.sleep(seconds)
        spent, asked = cpu_seconds(servers) - cpu, postgres.commits(database) - commits
        lasted = time.monotonic() - began
        idlers.stdin.close()
        ended = int(idlers.read())
    finally:
        idlers.stop()
    return {
        "polls": count,
        "kib_each": (after - before) / count / 1024,
        "core_percent": 100 * spent / lasted,
        "queries_per_second": asked / lasted,
        "ended": ended,
    }


def _rss(pids: list[int]) -> int:
    return sum(rss_bytes(pid) for pid in tree(pids))
