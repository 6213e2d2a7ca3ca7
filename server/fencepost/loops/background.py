"""The background work of a server: its loops and its internal workers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from fencepost.loops.internal_worker import InternalWorker
from fencepost.loops.loop import Loop


class Background:
    """The loops and workers of a server. `start` them on the event loop that serves."""

    def __init__(self, loops: Sequence[Loop], workers: Sequence[InternalWorker], *, scheduling: Loop) -> None:
        self.workers = workers
        self._working = [Loop("internal-worker", worker.run_once) for worker in workers]
        self.loops = [*loops, scheduling, *self._working]
        self._scheduling = scheduling
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Run every loop."""
        self._tasks = [asyncio.create_task(loop.run()) for loop in self.loops]

    def definitions_changed(self) -> None:
        """Wake workers and the scheduler: a new definition may be theirs, or a new schedule due before all others."""
        for worker, loop in zip(self.workers, self._working, strict=True):
            worker.look_again()
            loop.nudge()
        self._scheduling.nudge()

    def stop_polling(self) -> None:
        """Take no more work."""
        for worker in self.workers:
            worker.stop_polling()

    async def drain(self) -> None:
        """Return when the work in progress is finished or released."""
        await asyncio.gather(*(worker.drain() for worker in self.workers))

    async def stop(self) -> None:
        """Cancel the loops and return when they have ended."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def abandon(self) -> None:
        """Abandon the work that is still in progress."""
        await asyncio.gather(*(worker.abandon() for worker in self.workers))
