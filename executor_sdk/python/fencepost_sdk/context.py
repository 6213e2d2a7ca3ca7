"""The context of a handler: its task, its progress, and whether it was canceled."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from fencepost_sdk.errors import LostLease
from fencepost_sdk.protocol import Task, decode_task


class Context:
    """One execution of a task, as its handler sees it; may be used from any thread.

    @worker.task("demo/resize")
    async def resize(params: dict, ctx: Context) -> dict:
        for done, page in enumerate(params["pages"], 1):
            await shrink(page)
            ctx.progress(done, len(params["pages"]), "pages")
        return {"attempt": ctx.task.retry_count}
    """

    __slots__ = ("_announce", "_announced", "_cancelled", "_lost", "_messages", "_progress", "_resource", "_task")

    def __init__(self, resource: bytes | memoryview, announce: Callable[[], None]) -> None:
        self._resource = resource
        self._announce = announce
        self._task: Task | None = None
        self._lost = False
        self._announced = False
        self._cancelled: threading.Event | None = None
        # The newest of each kind replaces an older one; append and popleft of a deque are atomic between threads.
        self._progress: deque[dict[str, Any]] = deque(maxlen=1)
        self._messages: deque[dict[str, Any]] = deque(maxlen=1)

    @property
    def task(self) -> Task:
        """The task as it was at the start of this execution.

        @worker.task("demo/whoami")
        def whoami(ctx: Context) -> dict:
            return {"id": ctx.task.id, "attempt": ctx.task.retry_count}
        """
        if self._task is None:
            self._task = decode_task(self._resource)
        return self._task

    @property
    def cancelled(self) -> threading.Event:
        """An Event that is set when the execution has ended or its lease is lost; sync handlers wait on it.

        while not ctx.cancelled.wait(timeout=1.0):
            look_again()
        """
        event = self._cancelled
        if event is None:
            event = self._cancelled = threading.Event()
            # Read after the assignment: a thread that loses the lease meanwhile either sets the event or is seen here.
            if self._lost:
                event.set()
        return event

    def check(self) -> None:
        """Raise LostLease when the execution has ended or its lease is lost.

        for row in rows:
            ctx.check()
            load(row)
        """
        if self._lost:
            raise LostLease(
                "this execution has ended: it was canceled, timed out or released, or its handler has returned"
            )

    def progress(self, current: float, total: float | None = None, unit: str | None = None) -> None:
        """Report progress: `current` of `total`, in `unit`s. Returns at once; only the newest report is sent.

        Any type of number is accepted. Whole numbers are sent as they are. A fraction is sent as percent of the total
        (`ctx.progress(0.5, 1.0)` is 50 of 100 %) or, without a total, rounded. A value that is not a finite number is
        dropped, which the worker logs once per handler; the task goes on.

            ctx.progress(3, 10, "files")
        """
        notification: dict[str, Any] = {"notification": "progress", "progress-current": current}
        if total is not None:
            notification["progress-total"] = total
        if unit is not None:
            notification["progress-unit"] = unit
        self._queue(self._progress, notification)

    def heartbeat(self, message: str | None = None) -> None:
        """Write a message of up to 10,000 characters to the task's log; heartbeats are sent without this call.

        ctx.heartbeat("waiting for the printer")
        """
        notification = {"notification": "heartbeat"}
        if message is not None:
            notification["message"] = message
        self._queue(self._messages, notification)

    def _end(self) -> None:
        self._lost = True
        if self._cancelled is not None:
            self._cancelled.set()

    def _queue(self, pending: deque[dict[str, Any]], notification: dict[str, Any]) -> None:
        pending.append(notification)
        if not self._announced:
            # Once until they are taken: a handler that reports every row must not flood the worker's event loop.
            self._announced = True
            self._announce()

    def _take_notifications(self) -> list[dict[str, Any]]:
        """Remove and return the pending notifications."""
        # Before they are taken: a notification that is added meanwhile is either taken now or announced again.
        self._announced = False
        taken = []
        for pending in (self._messages, self._progress):
            try:
                taken.append(pending.popleft())
            except IndexError:
                continue
        return taken
