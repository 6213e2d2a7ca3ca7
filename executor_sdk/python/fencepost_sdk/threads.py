"""Threads for blocking code: sync handlers and network requests."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

from fencepost_sdk.process import Process, end_fork

Returned = TypeVar("Returned")
Job = tuple[Callable[[], Any], "asyncio.Future[Any]", asyncio.AbstractEventLoop, contextvars.Context]


class Threads:
    """A pool of up to `most` daemon threads, started when needed.

    It is not a ThreadPoolExecutor because that joins its threads at exit: one stuck handler would keep a drained
    process alive until it is killed.
    """

    def __init__(self, most: int, name: str) -> None:
        self._most = most
        self._name = name
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._started = 0
        self._busy = 0
        self._replaced: list[Callable[[], None]] = []
        self._process = Process.id

    def run(self, function: Callable[[], Returned]) -> asyncio.Future[Returned]:
        """Run `function` in a thread and return a future of the running loop; canceling it does not stop the thread."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Returned] = loop.create_future()
        self._busy += 1
        if self._busy > self._started < self._most:
            self._started += 1
            threading.Thread(target=self._work, name=f"{self._name}-{self._started}", daemon=True).start()
        self._jobs.put((function, future, loop, contextvars.copy_context()))
        return future

    def replace(self, ended: Callable[[], None]) -> None:
        """Allow one more thread until a canceled job that still runs has ended; `ended` is called then."""
        self._most += 1
        self._replaced.append(ended)

    def close(self) -> None:
        """End the idle threads now and the busy ones after their jobs."""
        for _ in range(self._started):
            self._jobs.put(None)
        self._started = 0

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            function, future, loop, context = job
            result: Any = None
            error: BaseException | None = None
            try:
                if not future.cancelled():
                    result = context.run(function)
            except BaseException as raised:  # noqa: BLE001 - raised again in the coroutine that awaits the job
                error = raised
            end_fork(self._process, 0 if error is None else 1)
            try:
                loop.call_soon_threadsafe(self._set_outcome, future, result, error)
            except RuntimeError:
                # The loop was closed while the job ran.
                return
            del job, function, future, context, result, error

    def _set_outcome(self, future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
        self._busy -= 1
        if future.cancelled() and self._replaced:
            self._most -= 1
            self._replaced.pop()()
        if future.done():
            return
        if isinstance(error, StopIteration):
            # A future refuses a StopIteration, which would end the coroutine that awaits it.
            error = RuntimeError(f"a handler raised StopIteration: {error}")
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)
