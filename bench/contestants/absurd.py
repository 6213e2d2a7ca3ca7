"""Absurd (PyPI `absurd-sdk`, its schema from PyPI `absurdctl`), on psycopg and uvloop, through `AsyncAbsurd`.

Its SDK has no bulk path to create or complete tasks: each is a call of a stored function. Here 500 creations share a
transaction. A worker claims tasks in batches. A client has one connection, so that several of them work in a process.
Nothing notifies a worker, so that the latency depends on its poll interval, 250 ms by default. It keeps finished tasks
and runs for 30 days.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import psycopg

from bench.contestant import Manner
from bench.contestants.crew import Tally, serve
from bench.contestants.peer import Start, one_by_one
from bench.contestants.python_peer import PythonPeer

if TYPE_CHECKING:
    from absurd_sdk import AsyncAbsurd

_QUEUE = "bench"
_FINISHED = "select count(*) from absurd.t_bench where state = 'completed'"
_LEFT = "select count(*) from absurd.t_bench where state <> 'completed'"
_TASK = "noop"
_POLL_SECONDS = 0.02


def contestant(variant: str = "2", *, clients: int = 8, batch: int = 50, chunk: int = 500) -> Absurd:
    """Return the contestant; variant: worker processes; options: clients in each, tasks per claim and transaction."""
    return Absurd(int(variant), clients, batch, chunk)


class Absurd(PythonPeer):
    """The worker of the latency figure, which polls, runs in this process."""

    def __init__(self, workers: int, clients: int, batch: int, chunk: int) -> None:
        self._batch, self._chunk = batch, chunk
        manner = Manner(
            history="kept",
            keeps="task and run",
            settings=f"{workers} worker process(es) of {clients} clients, batch_size {batch}, poll_interval "
            f"{_POLL_SECONDS} s; {chunk} calls of spawn a transaction",
            finished=_FINISHED,
        )
        super().__init__(
            "absurd",
            __name__,
            manner,
            packages=("absurd_sdk", "absurdctl"),
            workers=workers,
            order={"clients": clients, "batch": batch},
            waiting=_LEFT,
        )

    async def _prepare(self) -> None:
        import absurdctl

        async with await psycopg.AsyncConnection.connect(self.dsn, autocommit=True) as connection:
            await connection.execute(absurdctl.BUNDLED_SCHEMA_SQL)
        client = _client(self.dsn)
        await client.create_queue(_QUEUE)
        await client.close()

    async def _create(self, count: int) -> float:
        async with await psycopg.AsyncConnection.connect(self.dsn, autocommit=True) as connection:
            client, began = _client(connection), time.perf_counter()
            for at in range(0, count, self._chunk):
                async with connection.transaction():
                    for number in range(at, min(at + self._chunk, count)):
                        await client.spawn(_TASK, {"n": number}, queue=_QUEUE)
            return time.perf_counter() - began

    async def _latency(self, count: int) -> list[float]:
        start = Start()
        producer, worker = _client(self.dsn), _client(self.dsn)
        working = _start(worker, lambda number: start.now(), self._batch)
        try:
            return await one_by_one(count, start, lambda n: producer.spawn(_TASK, {"n": n}, queue=_QUEUE))
        finally:
            worker.stop_worker()
            await working
            await worker.close()
            await producer.close()


def _client(where: Any) -> AsyncAbsurd:
    from absurd_sdk import AsyncAbsurd

    return AsyncAbsurd(where, queue_name=_QUEUE)


def _start(client: AsyncAbsurd, handle: Any, batch: int) -> asyncio.Task[None]:
    @client.register_task(_TASK)
    async def noop(params: Any, context: Any) -> None:
        handle(params["n"])

    return asyncio.create_task(client.start_worker(concurrency=batch, poll_interval=_POLL_SECONDS))


async def _work(order: dict[str, Any], tally: Tally, enough: asyncio.Event) -> None:
    clients = [_client(order["dsn"]) for _ in range(order["clients"])]
    working = [_start(client, tally.add, order["batch"]) for client in clients]
    await enough.wait()
    for client in clients:
        client.stop_worker()
    # Each returns after the commit of its claimed tasks.
    await asyncio.gather(*working)
    for client in clients:
        await client.close()


if __name__ == "__main__":
    serve(_work)
