"""Procrastinate (PyPI `procrastinate`), on psycopg and uvloop, through `batch_defer_async` and `run_worker_async`.

Its worker has no bulk path: it fetches each job with one statement and finishes it with another, one fetch at a time. A
concurrency above 10 and a second worker process were not faster on two cores. Finished jobs and their events are kept,
which is its default.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

from bench.contestant import Manner
from bench.contestants.crew import Tally, serve
from bench.contestants.peer import Start, one_by_one
from bench.contestants.python_peer import PythonPeer

if TYPE_CHECKING:
    from procrastinate import App

_TASK = "noop"
_LEFT = "select count(*) from procrastinate_jobs where status in ('todo', 'doing')"


def contestant(variant: str = "2", *, concurrency: int = 10, chunk: int = 1000) -> Procrastinate:
    """Return the contestant; variant: worker processes; options: jobs at once, jobs per batch_defer."""
    return Procrastinate(int(variant), concurrency, chunk)


class Procrastinate(PythonPeer):
    """The worker of the latency figure, which NOTIFY wakes, runs in this process."""

    def __init__(self, workers: int, concurrency: int, chunk: int) -> None:
        self._concurrency, self._chunk = concurrency, chunk
        manner = Manner(
            history="kept",
            keeps="job and log",
            settings=f"{workers} worker process(es), concurrency {concurrency}, batch_defer of {chunk:,}",
            finished="select count(*) from procrastinate_jobs where status = 'succeeded'",
        )
        super().__init__(
            "procrastinate",
            __name__,
            manner,
            packages=("procrastinate",),
            workers=workers,
            order={"concurrency": concurrency},
            waiting=_LEFT,
        )

    async def _prepare(self) -> None:
        async with _app(self.dsn, self._concurrency, _nothing).open_async() as app:
            await app.schema_manager.apply_schema_async()

    async def _create(self, count: int) -> float:
        async with _app(self.dsn, self._concurrency, _nothing).open_async() as app:
            began = time.perf_counter()
            for at in range(0, count, self._chunk):
                jobs: list[dict[str, Any]] = [{"n": number} for number in range(at, min(at + self._chunk, count))]
                await app.tasks[_TASK].batch_defer_async(*jobs)
            return time.perf_counter() - began

    async def _latency(self, count: int) -> list[float]:
        start = Start()

        async def handle(n: int) -> None:
            start.now()

        async with _app(self.dsn, self._concurrency, handle).open_async() as app:
            task = app.tasks[_TASK]
            working = _start(app, self._concurrency)
            # The worker does not report when it listens.
            await asyncio.sleep(1.0)
            try:
                return await one_by_one(count, start, lambda number: task.defer_async(n=number))
            finally:
                working.cancel()
                await asyncio.wait((working,))


async def _nothing(n: int) -> None:
    """Placeholder for the task in processes that run none."""


def _app(dsn: str, concurrency: int, handle: Any) -> App:
    from procrastinate import App, PsycopgConnector

    # It logs two lines per job at INFO, and a warning that this module runs as a program.
    logging.getLogger("procrastinate").setLevel(logging.ERROR)
    app = App(connector=PsycopgConnector(conninfo=dsn, min_size=1, max_size=concurrency + 2))
    app.task(name=_TASK)(handle)
    return app


def _start(app: App, concurrency: int) -> asyncio.Task[None]:
    return asyncio.create_task(app.run_worker_async(concurrency=concurrency, install_signal_handlers=False))


async def _work(order: dict[str, Any], tally: Tally, enough: asyncio.Event) -> None:
    async def handle(n: int) -> None:
        tally.add(n)

    async with _app(order["dsn"], order["concurrency"], handle).open_async() as app:
        working = _start(app, order["concurrency"])
        await enough.wait()
        working.cancel()
        # Returns after the commit of all running jobs.
        await asyncio.wait((working,))


if __name__ == "__main__":
    serve(_work)
