"""Isolation of suspects: tasks of this server that have lost attempts together with the server that ran them.

Such a task may have killed that server, so it runs alone. It waits until the running tasks have ended, and no other
task begins until it has ended itself. Either may take hours, so both waits are bounded.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress

# Seconds that a suspect waits for the running tasks: less than its lease lasts before it must be started.
_EMPTYING = 5.0
# Seconds after the start of a suspect in which no other task begins. A decision takes a fraction of a second.
_ALONE = 10.0


class Isolation:
    """Keeps the suspects of one process apart from each other and from its other tasks."""

    def __init__(self, *, emptying: float = _EMPTYING, alone: float = _ALONE) -> None:
        self._emptying = emptying
        self._alone = alone
        self._running = 0
        self._suspects: set[object] = set()
        self._turn = asyncio.Lock()
        self._empty, self._open = asyncio.Event(), asyncio.Event()
        self._empty.set()
        self._open.set()

    async def opened(self) -> None:
        """Wait until no suspect runs or waits."""
        while self._suspects:
            await self._open.wait()

    @asynccontextmanager
    async def slot(self, *, is_suspect: bool) -> AsyncIterator[None]:
        """Wait until the task may begin; the slot is held until the block ends."""
        async with self._apart() if is_suspect else self._beside():
            yield

    @asynccontextmanager
    async def _beside(self) -> AsyncIterator[None]:
        await self.opened()
        with self._counted():
            yield

    @asynccontextmanager
    async def _apart(self) -> AsyncIterator[None]:
        mark = object()
        self._suspects.add(mark)
        self._open.clear()
        with ExitStack() as closed:
            closed.callback(self._forget, mark)
            await self._turn.acquire()
            closed.callback(self._turn.release)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._emptying):
                    await self._empty.wait()
            timer = asyncio.get_running_loop().call_later(self._alone, closed.close)
            closed.callback(timer.cancel)
            with self._counted():
                yield

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self._running += 1
        self._empty.clear()
        try:
            yield
        finally:
            self._running -= 1
            if not self._running:
                self._empty.set()

    def _forget(self, mark: object) -> None:
        self._suspects.discard(mark)
        if not self._suspects:
            self._open.set()
