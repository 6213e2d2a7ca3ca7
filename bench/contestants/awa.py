"""Awa (PyPI `awa-pg`), its Rust worker with Python handlers, through `enqueue_many_copy` and `AsyncClient.start`.

Its queue storage is on (`install_queue_storage`): its documentation recommends that for new installations, and COPY
needs it. It runs 1,000 handlers at once with a pool of 20; more claimers, larger claims and queue partitions
were not faster here. A finished job is kept for less than a minute, until its table in the ring is reused; then it is
only counted.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.contestant import Manner
from bench.contestants.crew import Tally, serve
from bench.contestants.peer import Start, one_by_one, url
from bench.contestants.python_peer import PythonPeer

if TYPE_CHECKING:
    from awa import AsyncClient

_QUEUE = "noop"
_CONNECTIONS = 20
_SHUTDOWN_MS = 10_000
# A done job stays in the table of ready jobs until the ring reuses that; completions are batches in another table. An
# exact result of its `queue_stats` takes a minute for 10,000 finished jobs.
_LEFT = """
select (select count(*) from awa.ready_entries)
    - (select coalesce(sum(completed_count), 0) from awa.receipt_completion_batches)
    - (select count(*) from awa.done_entries)
    + (select count(*) from awa.deferred_jobs) + (select count(*) from awa.dlq_entries)
"""


def contestant(variant: str = "1", *, at_once: int = 1000, chunk: int = 5000) -> Awa:
    """Return the contestant; variant: worker processes; options: handlers at once, jobs per COPY."""
    return Awa(int(variant), at_once, chunk)


@dataclass
class Noop:
    """The arguments of a job; Awa derives its kind from the name."""

    n: int


class Awa(PythonPeer):
    """The worker of the latency figure, which NOTIFY wakes, runs in this process."""

    def __init__(self, workers: int, at_once: int, chunk: int) -> None:
        self._at_once, self._chunk = at_once, chunk
        manner = Manner(
            history="deleted",
            keeps="nothing, once its ring of tables turns",
            settings=f"{workers} worker process(es), max_workers {at_once:,}, enqueue_many_copy of {chunk:,}",
        )
        super().__init__(
            "awa", __name__, manner, packages=("awa",), workers=workers, order={"at_once": at_once}, waiting=_LEFT
        )

    async def _prepare(self) -> None:
        async with _client(self.dsn) as client:
            await client.migrate()
            await client.install_queue_storage()

    async def _create(self, count: int) -> float:
        async with _client(self.dsn) as client:
            began = time.perf_counter()
            for at in range(0, count, self._chunk):
                jobs = [Noop(number) for number in range(at, min(at + self._chunk, count))]
                await client.enqueue_many_copy(jobs, queue=_QUEUE)
            return time.perf_counter() - began

    async def _latency(self, count: int) -> list[float]:
        start = Start()

        async def handle(job: Any) -> None:
            start.now()

        async with _client(self.dsn) as client:
            await _start(client, self._at_once, handle)
            # The worker does not report when it listens.
            await asyncio.sleep(1.0)
            try:
                return await one_by_one(count, start, lambda number: client.insert(Noop(number), queue=_QUEUE))
            finally:
                await client.shutdown(timeout_ms=_SHUTDOWN_MS)


def _client(dsn: str) -> AsyncClient:
    from awa import AsyncClient

    return AsyncClient(url(dsn), max_connections=_CONNECTIONS)


async def _start(client: AsyncClient, at_once: int, handle: Any) -> None:
    client.task(Noop, queue=_QUEUE)(handle)
    await client.start([{"name": _QUEUE, "max_workers": at_once}])


async def _work(order: dict[str, Any], tally: Tally, enough: asyncio.Event) -> None:
    async def handle(job: Any) -> None:
        tally.add(job.args.n)

    async with _client(order["dsn"]) as client:
        await _start(client, order["at_once"], handle)
        await enough.wait()
        # Returns after the commit of all pending completions.
        await client.shutdown(timeout_ms=_SHUTDOWN_MS)


if __name__ == "__main__":
    serve(_work)
