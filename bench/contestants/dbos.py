"""DBOS (PyPI `dbos`), on psycopg and SQLAlchemy: a task is a workflow without steps on a queue.

It has no bulk path to enqueue or complete workflows; here 500 calls of `enqueue_in_transaction` share a transaction. A
worker dequeues workflows in batches. Nothing notifies it, so that the latency depends on its poll interval, 1 s by
default. It keeps a finished workflow with its input and output.
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
    from dbos import DBOSClient

_QUEUE = "noop"
_WORKFLOW = "noop"
_POLL_SECONDS = 0.02
_STOP_SECONDS = 30
_LEFT = "select count(*) from dbos.workflow_status where status in ('ENQUEUED', 'DELAYED', 'PENDING')"


def contestant(variant: str = "2", *, at_once: int = 200, chunk: int = 500) -> Dbos:
    """Return the contestant; variant: worker processes; options: workflows at once, workflows per transaction."""
    return Dbos(int(variant), at_once, chunk)


class Dbos(PythonPeer):
    """The worker of the latency figure, which polls, runs in this process."""

    def __init__(self, workers: int, at_once: int, chunk: int) -> None:
        self._at_once, self._chunk = at_once, chunk
        manner = Manner(
            history="kept",
            keeps="workflow, input, output",
            settings=f"{workers} worker process(es), worker_concurrency {at_once}, polling_interval_sec "
            f"{_POLL_SECONDS}; {chunk} calls of enqueue_in_transaction a transaction",
            finished="select count(*) from dbos.workflow_status where status = 'SUCCESS'",
        )
        super().__init__("dbos", __name__, manner, packages=("dbos",), workers=workers, order={}, waiting=_LEFT)

    async def _prepare(self) -> None:
        from dbos import DBOS

        await _launch(self.dsn, _nothing)
        await DBOS.register_queue_async(
            _QUEUE, worker_concurrency=self._at_once, polling_interval_sec=_POLL_SECONDS, on_conflict="always_update"
        )
        await _stop()

    async def _create(self, count: int) -> float:
        # Its bulk path is not async.
        return await asyncio.to_thread(self._enqueue, count)

    def _enqueue(self, count: int) -> float:
        import sqlalchemy

        engine, client = sqlalchemy.create_engine(_url(self.dsn)), _client(self.dsn)
        began = time.perf_counter()
        for at in range(0, count, self._chunk):
            with engine.begin() as connection:
                for number in range(at, min(at + self._chunk, count)):
                    client.enqueue_in_transaction(connection, _OPTIONS, number)
        seconds = time.perf_counter() - began
        client.destroy()
        engine.dispose()
        return seconds

    async def _latency(self, count: int) -> list[float]:
        start, client = Start(), _client(self.dsn)
        loop = asyncio.get_running_loop()

        def handle(number: int) -> None:
            # Called in the event loop of DBOS.
            at = time.perf_counter()
            loop.call_soon_threadsafe(start.now, at)

        await _launch(self.dsn, handle)
        try:
            return await one_by_one(count, start, lambda number: client.enqueue_async(_OPTIONS, number))
        finally:
            await _stop()
            client.destroy()


_OPTIONS: Any = {"workflow_name": _WORKFLOW, "queue_name": _QUEUE}


def _nothing(number: int) -> None:
    """Placeholder for the handler in processes that run none."""


def _url(dsn: str) -> str:
    return url(dsn).replace("postgresql:", "postgresql+psycopg:", 1)


def _client(dsn: str) -> DBOSClient:
    from dbos import DBOSClient

    return DBOSClient(system_database_url=_url(dsn))


async def _launch(dsn: str, handle: Any) -> None:
    from dbos import DBOS

    DBOS(config={"name": "bench", "system_database_url": _url(dsn), "log_level": "ERROR", "application_version": "1"})

    @DBOS.workflow(name=_WORKFLOW)
    async def noop(number: int) -> None:
        handle(number)

    await asyncio.to_thread(DBOS.launch)


async def _stop() -> None:
    """Stop after the commit of all started workflows."""
    from dbos import DBOS

    await asyncio.to_thread(DBOS.destroy, destroy_registry=True, workflow_completion_timeout_sec=_STOP_SECONDS)


async def _work(order: dict[str, Any], tally: Tally, enough: asyncio.Event) -> None:
    await _launch(order["dsn"], tally.add)
    await enough.wait()
    await _stop()


if __name__ == "__main__":
    serve(_work)
