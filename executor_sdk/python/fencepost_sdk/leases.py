"""The executions that this worker holds, and when each of them must be heard of."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fencepost_sdk.protocol import Handed, encode_notify

if TYPE_CHECKING:
    from fencepost_sdk.context import Context
    from fencepost_sdk.handlers import Handler

HEARTBEAT: dict[str, Any] = {"notification": "heartbeat"}
# How often one task may speak by itself: a handler that reports every row must not write a log entry for each.
NOTE_SPACING = 0.25


class Lease:
    """One execution: what was handed out, who handles it, and how it stands. Times are the event loop's."""

    __slots__ = (
        "began",
        "context",
        "exec_id",
        "handed",
        "handler",
        "id",
        "interval",
        "job",
        "lost",
        "noted",
        "over",
        "spoke_at",
    )

    def __init__(self, handed: Handed, handler: Handler) -> None:
        self.id = handed.id
        self.exec_id = handed.exec_id
        self.handed = handed
        self.handler = handler
        # The floor is for timeouts that no network can keep: they are lost in any case, but without a busy loop.
        self.interval = max(handed.in_progress_timeout_ms / 3000, 0.02)
        self.spoke_at = 0.0
        self.context: Context | None = None
        self.job: asyncio.Task[None] | None = None
        self.began = False
        self.lost = False
        self.over = False
        self.noted = False

    def due(self) -> float:
        """Return when the server must have heard of it again, or may hear what it has to tell."""
        return self.spoke_at + (NOTE_SPACING if self.noted else self.interval)

    def notes(self) -> list[bytes]:
        """Take the calls of what its handler had to tell since the last time."""
        self.noted = False
        notes = self.context._notes() if self.context is not None else []
        return [encode_notify(self.id, self.exec_id, note) for note in notes]


class Leases:
    """All executions held, by execId, and `next_at`, when the first of them wants to be heard.

    One number is kept instead of an entry a task in a timer heap: most tasks end long before their first heartbeat,
    and a worker holds few enough leases to look at all of them when one is due.
    """

    def __init__(self) -> None:
        self._held: dict[str, Lease] = {}
        self.next_at = math.inf

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, exec_id: str) -> bool:
        return exec_id in self._held

    def all(self) -> list[Lease]:
        """Return those held now."""
        return list(self._held.values())

    def add(self, lease: Lease, now: float) -> None:
        """Hold one more, handed out just now."""
        lease.spoke_at = now
        self._held[lease.exec_id] = lease
        self.next_at = min(self.next_at, now + lease.interval)

    def remove(self, lease: Lease) -> None:
        """Hold one less; `next_at` may now be too early, which costs one look."""
        self._held.pop(lease.exec_id, None)

    def note(self, lease: Lease) -> None:
        """Remember that its handler has something to tell."""
        if lease.exec_id in self._held and not lease.noted:
            lease.noted = True
            self.next_at = min(self.next_at, lease.due())

    def speak(self, now: float) -> list[tuple[Lease, bytes]]:
        """Return the notify calls that are due, and those that soon will be, so that they go out together."""
        if now < self.next_at:
            return []
        calls: list[tuple[Lease, bytes]] = []
        next_at = math.inf
        for lease in self._held.values():
            if not lease.lost:
                if lease.due() <= now + (0.0 if lease.noted else lease.interval / 4):
                    lease.spoke_at = now
                    notes = lease.notes() or [encode_notify(lease.id, lease.exec_id, HEARTBEAT)]
                    calls.extend((lease, note) for note in notes)
                next_at = min(next_at, lease.due())
        self.next_at = next_at
        return calls


class Alarm:
    """One timer of the running loop that rings at the earliest time it was set to."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._handle: asyncio.TimerHandle | None = None
        self._at = math.inf

    def set(self, at: float) -> None:
        """Ring at `at`, unless it rings earlier anyway."""
        if at < self._at:
            self.cancel()
            self._at = at
            self._handle = asyncio.get_running_loop().call_at(at, self._rings)

    def cancel(self) -> None:
        """Do not ring."""
        if self._handle is not None:
            self._handle.cancel()
        self._handle = None
        self._at = math.inf

    def _rings(self) -> None:
        self.cancel()
        self._ring()
