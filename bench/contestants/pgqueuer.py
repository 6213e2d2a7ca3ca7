"""PgQueuer (PyPI `pgqueuer`), on asyncpg and uvloop, through `Queries.enqueue` with lists and `QueueManager.run`.

As its page about performance says: one direct connection for the manager, large batches for short jobs, its own
settings for autovacuum; durability stays at its default, `durable`. A second worker process gained nothing on two
cores.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import uvloop

from bench.contestant import Drained
from bench.contestants.peer import DRAIN_SECONDS, Count, Start, left, missing, one_by_one, url

if TYPE_CHECKING:
    import asyncpg
    from pgqueuer.models import Job
    from pgqueuer.qm import QueueManager

_ENTRYPOINT = "noop"


def contestant(*, batch: int = 500, chunk: int = 1000) -> PgQueuer:
    """Return the contestant; options: jobs a claim, jobs an enqueue."""
    return PgQueuer(batch, chunk)


class PgQueuer:
    """Worker and producer in this process, a connection each."""

    name = "pgqueuer"

    def __init__(self, batch: int, chunk: int) -> None:
        self._batch, self._chunk = batch, chunk
        self._dsn = ""
        self.manner = (
            "deletes a finished job, keeps a log row a transition; one async handler call a job; "
            f"batch_size {batch:,}, enqueue of {chunk:,}, asyncpg"
        )

    def available(self) -> str | None:
        """Return which package is missing."""
        return missing("pgqueuer", "asyncpg")

    def prepare(self, dsn: str) -> None:
        """Install its schema, with its settings for autovacuum."""
        self._dsn = dsn
        uvloop.run(self._prepare())

    def create(self, count: int) -> float:
        """Enqueue lists of jobs."""
        return uvloop.run(self._create(count))

    def drain(self, count: int) -> Drained:
        """Run a queue manager until the handler was called often enough."""
        return uvloop.run(self._drain(count))

    def latency(self, count: int) -> list[float]:
        """Enqueue one job after another; NOTIFY wakes the manager."""
        return uvloop.run(self._latency(count))

    def close(self) -> None:
        """Nothing runs between two calls."""

    async def _connect(self) -> asyncpg.Connection:
        import asyncpg

        return await asyncpg.connect(url(self._dsn))

    def _manager(self, connection: asyncpg.Connection) -> QueueManager:
        from pgqueuer.qm import QueueManager
        from pgqueuer.queries import Queries

        return QueueManager(Queries.from_asyncpg_connection(connection))

    async def _prepare(self) -> None:
        from pgqueuer.queries import Queries

        connection = await self._connect()
        queries = Queries.from_asyncpg_connection(connection)
        await queries.install()
        await queries.optimize_autovacuum()
        await connection.close()

    async def _create(self, count: int) -> float:
        from pgqueuer.queries import Queries

        connection = await self._connect()
        queries = Queries.from_asyncpg_connection(connection)
        began = time.perf_counter()
        for at in range(0, count, self._chunk):
            payloads: list[bytes | None] = [_payload(number) for number in range(at, min(at + self._chunk, count))]
            await queries.enqueue([_ENTRYPOINT] * len(payloads), payloads, [0] * len(payloads))
        seconds = time.perf_counter() - began
        await connection.close()
        return seconds

    async def _drain(self, count: int) -> Drained:
        connection = await self._connect()
        manager = self._manager(connection)
        counted = Count(count, manager.shutdown.set)

        @manager.entrypoint(_ENTRYPOINT)
        async def handle(job: Job) -> None:
            counted.add(job.payload)

        asyncio.get_running_loop().call_later(DRAIN_SECONDS, manager.shutdown.set)
        # Returns when the statuses that were still collected are committed.
        await manager.run(batch_size=self._batch)
        ended = time.perf_counter()
        await connection.close()
        return counted.drained(left(self._dsn, "select count(*) from pgqueuer"), ended)

    async def _latency(self, count: int) -> list[float]:
        from pgqueuer.queries import Queries

        producer, connection = await self._connect(), await self._connect()
        queries, manager, start = Queries.from_asyncpg_connection(producer), self._manager(connection), Start()

        @manager.entrypoint(_ENTRYPOINT)
        async def handle(job: Job) -> None:
            start.now()

        running = asyncio.create_task(manager.run(batch_size=self._batch))
        try:
            return await one_by_one(count, start, lambda number: queries.enqueue(_ENTRYPOINT, _payload(number)))
        finally:
            manager.shutdown.set()
            await running
            await connection.close()
            await producer.close()


def _payload(number: int) -> bytes:
    return b'{"n": %d}' % number
