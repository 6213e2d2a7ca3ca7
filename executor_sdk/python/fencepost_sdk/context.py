"""What a handler can see and say while it runs."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from fencepost_sdk.errors import LostLease
from fencepost_sdk.protocol import Task, decode_task


class Context:
    """One execution of one task, for its handler; usable from any thread.

    @worker.task("demo/resize")
    async def resize(params: dict, ctx: Context) -> dict:
        for done, page in enumerate(params["pages"], 1):
            await shrink(page)
            ctx.progress(done, len(params["pages"]), "pages")
        return {"attempt": ctx.task.retry_count}
    """

    __slots__ = ("_beat", "_cancelled", "_lost", "_progress", "_resource", "_said", "_say", "_task")

    def __init__(self, resource: bytes | memoryview, say: Callable[[], None]) -> None:
        self._resource = resource
        self._say = say
        self._task: Task | None = None
        self._lost = False
        self._said = False
        self._cancelled: threading.Event | None = None
        # One place each, where the newest replaces the one before; append and pop are atomic between threads.
        self._progress: deque[dict[str, Any]] = deque(maxlen=1)
        self._beat: deque[dict[str, Any]] = deque(maxlen=1)

    @property
    def task(self) -> Task:
        """The task as it was when this execution began.

        @worker.task("demo/whoami")
        def whoami(ctx: Context) -> dict:
            return {"id": ctx.task.id, "attempt": ctx.task.retry_count}
        """
        if self._task is None:
            self._task = decode_task(self._resource)
        return self._task

    @property
    def cancelled(self) -> threading.Event:
        """Set once the execution is over or no longer ours; a sync handler waits on it instead of sleeping.

        while not ctx.cancelled.wait(timeout=1.0):
            look_again()
        """
        event = self._cancelled
        if event is None:
            event = self._cancelled = threading.Event()
            # Read after the event is in place: whoever loses the lease meanwhile sees the event or is seen here.
            if self._lost:
                event.set()
        return event

    def check(self) -> None:
        """Raise LostLease once the execution is over or no longer ours.

        for row in rows:
            ctx.check()
            load(row)
        """
        if self._lost:
            raise LostLease(
                "this execution is over: it was canceled, timed out or handed back, or its handler has ended"
            )

    def progress(self, current: float, total: float | None = None, unit: str | None = None) -> None:
        """Tell how far it is; returns at once, and of several in a row only the newest is sent.

        Any kind of number will do. Whole numbers are sent as they are; with a fraction, as percent of the total
        (`ctx.progress(0.5, 1.0)` is 50 of 100 %) or, without a total, rounded. A number that is not finite is not sent:
        the log says so once for each handler, and the task goes on.

            ctx.progress(3, 10, "files")
        """
        note: dict[str, Any] = {"notification": "progress", "progress-current": current}
        if total is not None:
            note["progress-total"] = total
        if unit is not None:
            note["progress-unit"] = unit
        self._tell(self._progress, note)

    def heartbeat(self, message: str | None = None) -> None:
        """Leave a message in the task's log, up to 10,000 characters of it; heartbeats as such are sent for you.

        ctx.heartbeat("waiting for the printer")
        """
        note = {"notification": "heartbeat"}
        self._tell(self._beat, note if message is None else {**note, "message": message})

    def _lose(self) -> None:
        self._lost = True
        if self._cancelled is not None:
            self._cancelled.set()

    def _tell(self, place: deque[dict[str, Any]], note: dict[str, Any]) -> None:
        place.append(note)
        if not self._said:
            # Once until it is taken: a handler that reports every row must not flood the worker's loop.
            self._said = True
            self._say()

    def _notes(self) -> list[dict[str, Any]]:
        """Take what is to be told."""
        # Before the places are emptied: what is added meanwhile is taken now or announced again.
        self._said = False
        taken = []
        for place in (self._beat, self._progress):
            try:
                taken.append(place.popleft())
            except IndexError:
                continue
        return taken
