"""Procrastinate (PyPI `procrastinate`), on psycopg and uvloop, through `batch_defer_async` and `run_worker_async`.

It has no bulk path for a worker: a job is fetched by one statement and finished by another, one fetch at a time. More
concurrency than 10 and a second worker process gained nothing on two cores. Finished jobs and their events are kept,
which is its default.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING, Any

import uvloop

from bench.contestant import Drained
from bench.contestants.peer import DRAIN_SECONDS, Count, Start, left, missing, one_by_one

if TYPE_CHECKING:
    from procrastinate import App

_TASK = "noop"
_LEFT = "select count(*) from procrastinate_jobs where status in ('todo', 'doing')"


def contestant(*, concurrency: int = 10, chunk: int = 1000) -> Procrastinate:
    """Return the contestant; options: jobs at a time, jobs a batch_defer."""
    return Procrastinate(concurrency, chunk)


class Procrastinate:
    """Worker and producer in this process."""

    name = "procrastinate"

    def __init__(self, concurrency: int, chunk: int) -> None:
        self._concurrency, self._chunk = concurrency, chunk
        self._dsn = ""
        self.manner = (
            "keeps a finished job and its events; one async handler call a job; "
            f"concurrency {concurrency}, batch_defer of {chunk:,}"
        )

    def available(self) -> str | None:
        """Return which package is missing."""
        return missing("procrastinate")

    def prepare(self, dsn: str) -> None:
        """Apply its schema."""
        self._dsn = dsn
        # It logs two lines a job at INFO.
        logging.getLogger("procrastinate").setLevel(logging.WARNING)
        uvloop.run(self._prepare())

    def create(self, count: int) -> float:
        """Defer in batches."""
        return uvloop.run(self._create(count))

    def drain(self, count: int) -> Drained:
        """Run a worker until no job is left."""
        return uvloop.run(self._drain(count))

    def latency(self, count: int) -> list[float]:
        """Defer one job after another; NOTIFY wakes the worker."""
        return uvloop.run(self._latency(count))

    def close(self) -> None:
        """Nothing runs between two calls."""

    def _app(self, handle: Any) -> App:
        from procrastinate import App, PsycopgConnector

        app = App(connector=PsycopgConnector(conninfo=self._dsn, min_size=1, max_size=self._concurrency + 2))
        app.task(name=_TASK)(handle)
        return app

    async def _prepare(self) -> None:
        async with self._app(_nothing).open_async() as app:
            await app.schema_manager.apply_schema_async()

    async def _create(self, count: int) -> float:
        async with self._app(_nothing).open_async() as app:
            began = time.perf_counter()
            for at in range(0, count, self._chunk):
                jobs: list[dict[str, Any]] = [{"n": number} for number in range(at, min(at + self._chunk, count))]
                await app.tasks[_TASK].batch_defer_async(*jobs)
            return time.perf_counter() - began

    async def _drain(self, count: int) -> Drained:
        counted = Count(count, lambda: None)

        async def handle(n: int) -> None:
            counted.add(n)

        async with self._app(handle).open_async() as app:
            working = app.run_worker_async(wait=False, concurrency=self._concurrency, install_signal_handlers=False)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(working, DRAIN_SECONDS)
            ended = time.perf_counter()
        return counted.drained(left(self._dsn, _LEFT), ended)

    async def _latency(self, count: int) -> list[float]:
        start = Start()

        async def handle(n: int) -> None:
            start.now()

        async with self._app(handle).open_async() as app:
            task = app.tasks[_TASK]
            working = asyncio.create_task(
                app.run_worker_async(concurrency=self._concurrency, install_signal_handlers=False)
            )
            # The worker listens soon after it has begun, and says so nowhere.
            await asyncio.sleep(1.0)
            try:
                return await one_by_one(count, start, lambda number: task.defer_async(n=number))
            finally:
                working.cancel()
                await asyncio.wait((working,))


async def _nothing(n: int) -> None:
    """Stand for the task where none is run."""
