"""Oban for Python (PyPI `oban`), on psycopg and uvloop, through `enqueue_many` and an `Oban` with one queue.

It fetches jobs in batches. Its bulk paths are one transaction each, with a statement for each job: for the jobs of an
`enqueue_many`, and for the completions since the last fetch. It keeps a finished job for a day. Needs Python 3.12.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bench.contestant import Manner
from bench.contestants.crew import Tally, serve
from bench.contestants.peer import Start, one_by_one, url
from bench.contestants.python_peer import PythonPeer

if TYPE_CHECKING:
    from oban import Oban

_QUEUE = "noop"
_PYTHON = (3, 12)
_LEFT = "select count(*) from oban_jobs where state <> 'completed'"


def contestant(variant: str = "2", *, limit: int = 500, chunk: int = 1000) -> ObanContestant:
    """Return the contestant; variant: worker processes; options: limit of the queue, jobs per enqueue_many."""
    return ObanContestant(int(variant), limit, chunk)


class ObanContestant(PythonPeer):
    """The worker of the latency figure, which NOTIFY wakes, runs in this process."""

    def __init__(self, workers: int, limit: int, chunk: int) -> None:
        self._limit, self._chunk = limit, chunk
        manner = Manner(
            history="kept",
            keeps="job",
            settings=f"{workers} worker process(es), limit {limit}, enqueue_many of {chunk:,}",
            finished="select count(*) from oban_jobs where state = 'completed'",
        )
        super().__init__(
            "oban", __name__, manner, packages=("oban",), workers=workers, order={"limit": limit}, waiting=_LEFT
        )

    def available(self) -> str | None:
        """Return the missing part, or None."""
        if sys.version_info < _PYTHON:
            return "left out: it needs Python 3.12 (make bench PYTHON=python3.12)"
        return super().available()

    async def _prepare(self) -> None:
        from oban.schema import install

        async with await _pool(self.dsn) as pool:
            await install(pool)

    async def _create(self, count: int) -> float:
        from oban import Oban

        new = _worker(_nothing).new
        async with await _pool(self.dsn) as pool:
            oban, began = Oban(pool=pool), time.perf_counter()
            for at in range(0, count, self._chunk):
                await oban.enqueue_many(new({"n": number}) for number in range(at, min(at + self._chunk, count)))
            return time.perf_counter() - began

    async def _latency(self, count: int) -> list[float]:
        start = Start()
        new = _worker(lambda number: start.now()).new
        async with await _pool(self.dsn) as pool, _oban(pool, self._limit) as oban:
            # It does not report when it listens.
            await asyncio.sleep(1.0)
            return await one_by_one(count, start, lambda number: oban.enqueue(new({"n": number})))


def _nothing(number: int) -> None:
    """Placeholder for the handler in processes that run none."""


def _worker(handle: Callable[[int], None]) -> Any:
    """Return a worker class, which Oban finds by the name of its module and class."""
    from oban import worker

    @worker(queue=_QUEUE)
    class Noop:
        __module__, __qualname__ = "bench", "Noop"

        async def process(self, job: Any) -> None:
            handle(job.args["n"])

    return Noop


async def _pool(dsn: str) -> Any:
    from oban import Oban

    return await Oban.create_pool(url(dsn))


def _oban(pool: Any, limit: int) -> Oban:
    from oban import Oban

    logging.getLogger("oban").setLevel(logging.ERROR)
    return Oban(pool=pool, queues={_QUEUE: limit})


async def _work(order: dict[str, Any], tally: Tally, enough: asyncio.Event) -> None:
    _worker(tally.add)
    # The end of the block returns after the commit of all pending completions.
    async with await _pool(order["dsn"]) as pool, _oban(pool, order["limit"]):
        await enough.wait()


if __name__ == "__main__":
    serve(_work)
