"""Tasks whose last attempts were lost with their worker. One of them may have ended it, so each runs alone.

Such a task waits, kept alive by heartbeats, while what runs comes to its end and nothing else is asked for. A handler
that takes hours must not keep the other slots empty for hours: after a while the worker asks for work again, and later
it tries again to be empty.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

from msgspec import Raw

from fencepost_sdk.leases import Lease
from fencepost_sdk.polls import Capacity

# How long nothing is asked for while what runs comes to its end, and how long the worker then works on, in seconds.
EMPTYING = 20.0
WORKING = 60.0
# How long such a task waits at most before it is handed back, for a worker that has less to do.
LONGEST_WAIT = 600.0


class Alone:
    """Such tasks, in the order in which they came, and the one that runs.

    `begin` is called with the next one when nothing else runs, `give_back` with one that has waited too long, `wake`
    when work may be asked for again.
    """

    def __init__(
        self,
        capacity: Capacity,
        *,
        begin: Callable[[Lease, Raw], None],
        give_back: Callable[[Lease], None],
        wake: Callable[[], None],
    ) -> None:
        self._capacity = capacity
        self._begin = begin
        self._give_back = give_back
        self._wake = wake
        self._waiting: dict[str, tuple[Lease, Raw]] = {}
        self._running: Lease | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __contains__(self, exec_id: str) -> bool:
        return exec_id in self._waiting

    def __iter__(self) -> Iterator[Lease]:
        return iter([lease for lease, _ in self._waiting.values()])

    @property
    def wanted(self) -> bool:
        """Whether one of them runs or is to run next: nothing else may begin."""
        return self._capacity.paused

    def add(self, lease: Lease, resource: Raw) -> None:
        """Let a task wait until nothing else runs."""
        self._waiting[lease.exec_id] = lease, resource
        self._capacity.waiting += 1
        attempt_ms = lease.task.attempt_timeout_ms
        wait = LONGEST_WAIT if attempt_ms is None else min(LONGEST_WAIT, attempt_ms / 2000)
        asyncio.get_running_loop().call_later(wait, self._tire, lease)
        if self._timer is None:
            self._empty()
        else:
            self.settle()

    def remove(self, lease: Lease) -> None:
        """Forget one that waits."""
        del self._waiting[lease.exec_id]
        self._capacity.waiting -= 1
        self.settle()

    def settle(self) -> None:
        """Begin the next one if nothing runs; let others begin if there is none."""
        if self._running is not None and self._running.over:
            self._running = None
        if self._running is None and self._waiting and self._capacity.running == 0 and not self._capacity.closed:
            self._capacity.paused = True
            lease, resource = self._waiting.pop(next(iter(self._waiting)))
            self._capacity.waiting -= 1
            self._running = lease
            self._begin(lease, resource)
        elif self._running is None and not self._waiting and self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._capacity.paused = False

    def _empty(self) -> None:
        if self._capacity.closed:
            return
        self._capacity.paused = True
        self._timer = asyncio.get_running_loop().call_later(EMPTYING, self._work_on)
        self.settle()

    def _work_on(self) -> None:
        # While one of them runs nothing else does, however long it takes.
        self._capacity.paused = self._running is not None
        self._timer = asyncio.get_running_loop().call_later(WORKING, self._empty)
        self._wake()

    def _tire(self, lease: Lease) -> None:
        if lease.exec_id in self._waiting:
            self.remove(lease)
            self._give_back(lease)
