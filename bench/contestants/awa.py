"""Awa (PyPI `awa-pg`), its Rust worker with Python handlers, through `enqueue_many_copy` and `AsyncClient.start`.

Its own storage for queues is on (`install_queue_storage`), as its documentation has it for new installations: COPY
works only there. 1,000 handlers at a time and a pool of 20; more claimers, larger claims and partitions of the queue
gained nothing here. A finished job is kept until the ring of tables that holds it has turned, less than a minute; then
it is part of a number.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import uvloop

from bench.contestant import Drained
from bench.contestants.peer import DRAIN_SECONDS, Count, Start, left, missing, one_by_one, url

if TYPE_CHECKING:
    from awa import AsyncClient

_QUEUE = "noop"
_SHUTDOWN_MS = 10_000
# What is ready stays in its table when it is done, until the table's turn comes in the ring; completions are batches
# beside it. Its own `queue_stats` takes a minute for 10,000 finished jobs when it is to be exact.
_LEFT = """
select (select count(*) from awa.ready_entries)
    - (select coalesce(sum(completed_count), 0) from awa.receipt_completion_batches)
    - (select count(*) from awa.done_entries)
    + (select count(*) from awa.deferred_jobs) + (select count(*) from awa.dlq_entries)
"""


def contestant(*, workers: int = 1000, connections: int = 20, chunk: int = 5000) -> Awa:
    """Return the contestant; options: handlers at a time, connections, jobs a COPY."""
    return Awa(workers, connections, chunk)


@dataclass
class Noop:
    """The arguments of a job; Awa derives its kind from the name."""

    n: int


class Awa:
    """Worker and producer in this process; the claiming happens in threads of its Rust part."""

    name = "awa"

    def __init__(self, workers: int, connections: int, chunk: int) -> None:
        self._workers, self._connections, self._chunk = workers, connections, chunk
        self._dsn = ""
        self.manner = (
            "keeps a finished job until its ring of tables turns; one async Python handler call a job; "
            f"max_workers {workers:,}, enqueue_many_copy of {chunk:,}"
        )

    def available(self) -> str | None:
        """Return which package is missing."""
        return missing("awa")

    def prepare(self, dsn: str) -> None:
        """Migrate, and switch its queue storage on."""
        self._dsn = dsn
        uvloop.run(self._prepare())

    def create(self, count: int) -> float:
        """Enqueue by COPY."""
        return uvloop.run(self._create(count))

    def drain(self, count: int) -> Drained:
        """Run a worker until the handler was called often enough."""
        return uvloop.run(self._drain(count))

    def latency(self, count: int) -> list[float]:
        """Insert one job after another; NOTIFY wakes the worker."""
        return uvloop.run(self._latency(count))

    def close(self) -> None:
        """Nothing runs between two calls."""

    def _client(self) -> AsyncClient:
        from awa import AsyncClient

        return AsyncClient(url(self._dsn), max_connections=self._connections)

    async def _prepare(self) -> None:
        async with self._client() as client:
            await client.migrate()
            await client.install_queue_storage()

    async def _create(self, count: int) -> float:
        async with self._client() as client:
            began = time.perf_counter()
            for at in range(0, count, self._chunk):
                jobs = [Noop(number) for number in range(at, min(at + self._chunk, count))]
                await client.enqueue_many_copy(jobs, queue=_QUEUE)
            return time.perf_counter() - began

    async def _drain(self, count: int) -> Drained:
        done = asyncio.Event()
        counted = Count(count, done.set)

        async def handle(job: Any) -> None:
            counted.add(job.args.n)

        async with self._client() as client:
            await self._start(client, handle)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(done.wait(), DRAIN_SECONDS)
            # Returns when the completions that were still collected are committed.
            await client.shutdown(timeout_ms=_SHUTDOWN_MS)
            ended = time.perf_counter()
        return counted.drained(left(self._dsn, _LEFT), ended)

    async def _latency(self, count: int) -> list[float]:
        start = Start()

        async def handle(job: Any) -> None:
            start.now()

        async with self._client() as client:
            await self._start(client, handle)
            # The worker listens soon after it has begun, and says so nowhere.
            await asyncio.sleep(1.0)
            try:
                return await one_by_one(count, start, lambda number: client.insert(Noop(number), queue=_QUEUE))
            finally:
                await client.shutdown(timeout_ms=_SHUTDOWN_MS)

    async def _start(self, client: AsyncClient, handle: Any) -> None:
        client.task(Noop, queue=_QUEUE)(handle)
        await client.start([{"name": _QUEUE, "max_workers": self._workers}])
