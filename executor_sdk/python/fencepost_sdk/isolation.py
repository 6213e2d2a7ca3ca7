"""Isolated tasks: a task with lost attempts runs while its worker runs nothing else.

Its last attempts ended with their worker process, which the task itself may have killed. The task waits, kept alive by
heartbeats, until the running handlers have ended; meanwhile the worker does not poll. A handler that takes hours must
not keep the other slots empty for hours: after a while the worker polls again, and later it tries again to become idle.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

from fencepost_sdk.leases import Lease
from fencepost_sdk.polls import Capacity

# How long the worker waits for its handlers without polling, and how long it then works as usual, in seconds.
IDLE_WAIT_SECONDS = 20.0
WORK_SECONDS = 60.0
# How long an isolated task waits before it is released, so that a worker with less to do can run it, in seconds.
MAX_WAIT_SECONDS = 600.0


class IsolatedTasks:
    """The isolated tasks of a worker, in the order of their arrival, and the one that runs.

    `start` is called with the next task when nothing else runs, `release` with a task that has waited too long, `wake`
    when the worker may poll again.
    """

    def __init__(
        self,
        capacity: Capacity,
        *,
        start: Callable[[Lease], None],
        release: Callable[[Lease], None],
        wake: Callable[[], None],
    ) -> None:
        self._capacity = capacity
        self._start = start
        self._release = release
        self._wake = wake
        self._waiting: dict[str, Lease] = {}
        self._running: Lease | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __contains__(self, exec_id: str) -> bool:
        return exec_id in self._waiting

    def __iter__(self) -> Iterator[Lease]:
        return iter(list(self._waiting.values()))

    def add(self, lease: Lease) -> None:
        """Queue a task until nothing else runs."""
        self._waiting[lease.exec_id] = lease
        self._capacity.waiting += 1
        attempt_ms = lease.task.attempt_timeout_ms
        wait = MAX_WAIT_SECONDS if attempt_ms is None else min(MAX_WAIT_SECONDS, attempt_ms / 2000)
        asyncio.get_running_loop().call_later(wait, self._give_up, lease)
        if self._timer is None:
            self._wait_for_idle()
        else:
            self.start_next()

    def remove(self, lease: Lease) -> None:
        """Remove a task that waits."""
        del self._waiting[lease.exec_id]
        self._capacity.waiting -= 1
        self.start_next()

    def start_next(self) -> None:
        """Start the next task if nothing runs; let other tasks start if no isolated task is left."""
        if self._running is not None and self._running.has_ended:
            self._running = None
        if self._running is None and self._waiting and self._capacity.running == 0 and not self._capacity.closed:
            self._capacity.paused = True
            lease = self._waiting.pop(next(iter(self._waiting)))
            self._capacity.waiting -= 1
            self._running = lease
            self._start(lease)
        elif self._running is None and not self._waiting and self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._capacity.paused = False

    def _wait_for_idle(self) -> None:
        if self._capacity.closed:
            return
        self._capacity.paused = True
        self._timer = asyncio.get_running_loop().call_later(IDLE_WAIT_SECONDS, self._work_as_usual)
        self.start_next()

    def _work_as_usual(self) -> None:
        # A running isolated task blocks the others for as long as it takes.
        self._capacity.paused = self._running is not None
        self._timer = asyncio.get_running_loop().call_later(WORK_SECONDS, self._wait_for_idle)
        self._wake()

    def _give_up(self, lease: Lease) -> None:
        if lease.exec_id in self._waiting:
            self.remove(lease)
            self._release(lease)
