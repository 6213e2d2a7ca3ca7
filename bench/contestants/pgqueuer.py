"""PgQueuer (PyPI `pgqueuer`), on asyncpg and uvloop, through `Queries.enqueue` with lists and `QueueManager.run`.

It follows its performance guide: one direct connection for the manager, large batches for short jobs, its settings for
autovacuum. Durability has its default, `durable`. Two worker processes are a third faster than one.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from bench.contestant import Manner
from bench.contestants.crew import Tally, serve
from bench.contestants.peer import Start, one_by_one, url
from bench.contestants.python_peer import PythonPeer

if TYPE_CHECKING:
    import asyncpg
    from pgqueuer.models import Job
    from pgqueuer.qm import QueueManager

_ENTRYPOINT = "noop"


def contestant(variant: str = "2", *, batch: int = 500, chunk: int = 1000) -> PgQueuer:
    """Return the contestant; variant: worker processes; options: jobs per claim, jobs per enqueue."""
    return PgQueuer(int(variant), batch, chunk)


class PgQueuer(PythonPeer):
    """The worker of the latency figure, which NOTIFY wakes, runs in this process."""

    def __init__(self, workers: int, batch: int, chunk: int) -> None:
        self._batch, self._chunk = batch, chunk
        manner = Manner(
            history="kept",
            keeps="log without the job",
            settings=f"{workers} worker process(es), batch_size {batch:,}, enqueue of {chunk:,}, asyncpg",
            finished="select count(*) from pgqueuer_log where status = 'successful'",
        )
        super().__init__(
            "pgqueuer",
            __name__,
            manner,
            packages=("pgqueuer", "asyncpg"),
            workers=workers,
            order={"batch": batch},
            waiting="select count(*) from pgqueuer",
        )

    async def _prepare(self) -> None:
        from pgqueuer.queries import Queries

        connection = await _connect(self.dsn)
        queries = Queries.from_asyncpg_connection(connection)
        await queries.install()
        await queries.optimize_autovacuum()
        await connection.close()

    async def _create(self, count: int) -> float:
        from pgqueuer.queries import Queries

        connection = await _connect(self.dsn)
        queries = Queries.from_asyncpg_connection(connection)
        began = time.perf_counter()
        for at in range(0, count, self._chunk):
            payloads: list[bytes | None] = [_payload(number) for number in range(at, min(at + self._chunk, count))]
            await queries.enqueue([_ENTRYPOINT] * len(payloads), payloads, [0] * len(payloads))
        seconds = time.perf_counter() - began
        await connection.close()
        return seconds

    async def _latency(self, count: int) -> list[float]:
        from pgqueuer.queries import Queries

        producer, connection = await _connect(self.dsn), await _connect(self.dsn)
        queries, manager, start = Queries.from_asyncpg_connection(producer), _manager(connection), Start()

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


async def _connect(dsn: str) -> asyncpg.Connection:
    import asyncpg

    return await asyncpg.connect(url(dsn))


def _manager(connection: asyncpg.Connection) -> QueueManager:
    from pgqueuer.qm import QueueManager
    from pgqueuer.queries import Queries

    return QueueManager(Queries.from_asyncpg_connection(connection))


async def _work(order: dict[str, Any], tally: Tally, enough: asyncio.Event) -> None:
    connection = await _connect(order["dsn"])
    manager = _manager(connection)
    # The crew sets the event that it waits for.
    manager.shutdown = enough

    @manager.entrypoint(_ENTRYPOINT)
    async def handle(job: Job) -> None:
        assert job.payload is not None
        tally.add(job.payload.decode())

    # Returns after the commit of all pending statuses.
    await manager.run(batch_size=order["batch"])
    await connection.close()


if __name__ == "__main__":
    serve(_work)
