"""The executions that this worker holds, and when each of them must be heard of."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fencepost_sdk.calls import encode_notify
from fencepost_sdk.notes import sayable
from fencepost_sdk.payloads import message_of
from fencepost_sdk.protocol import TRANSIENT, ClaimedTask, Fault

if TYPE_CHECKING:
    from fencepost_sdk.context import Context
    from fencepost_sdk.handlers import Handler

logger = logging.getLogger("fencepost_sdk")

HEARTBEAT: dict[str, Any] = {"notification": "heartbeat"}
# How often one task may speak by itself: a handler that reports every row must not write a log entry for each.
NOTE_SPACING = 0.25
# How long a heartbeat that the server had no time for waits before it is sent again, in seconds.
LONGEST_DELAY = 1.0
# A timer that rings so many seconds late means that something has held the event loop.
LATE = 1.0


class Lease:
    """One execution: what was handed out, who handles it, and how it stands. Times are the event loop's."""

    __slots__ = (
        "attempt_ends",
        "began",
        "context",
        "exec_id",
        "handler",
        "id",
        "interval",
        "job",
        "lost",
        "noted",
        "over",
        "spoke_at",
        "task",
        "unheard",
    )

    def __init__(self, task: ClaimedTask, handler: Handler) -> None:
        self.id = task.id
        self.exec_id = task.exec_id
        self.task = task
        self.handler = handler
        # The floor is for timeouts that no network can keep: they are lost in any case, but without a busy loop.
        self.interval = max(task.in_progress_timeout_ms / 3000, 0.02)
        self.spoke_at = 0.0
        self.context: Context | None = None
        self.job: asyncio.Task[None] | None = None
        self.began = False
        self.lost = False
        self.over = False
        self.noted = False
        # A note was refused, which did not renew the lease.
        self.unheard = False
        self.attempt_ends: asyncio.TimerHandle | None = None

    def due(self) -> float:
        """Return when the server must have heard of it again, or may hear what it has to tell."""
        return self.spoke_at + (NOTE_SPACING if self.noted and not self.unheard else self.interval)

    def notes(self) -> list[bytes]:
        """Take the calls of what its handler had to tell since the last time, as far as it can be told."""
        self.noted = False
        calls = []
        for note in self.context._notes() if self.context is not None else []:
            try:
                calls.append(encode_notify(self.id, self.exec_id, sayable(note)))
            except BaseException as error:  # noqa: BLE001 - a note is read by code of its values' own types
                self.complain(message_of(error))
        return calls

    def heartbeat(self) -> bytes:
        """Return the call that renews it and says nothing else."""
        return encode_notify(self.id, self.exec_id, HEARTBEAT)

    def complain(self, why: str) -> None:
        """Log that a note of its handler was not taken, once for each handler."""
        level = logging.DEBUG if self.handler.has_logged_drop else logging.WARNING
        self.handler.has_logged_drop = True
        logger.log(level, "a note about task %s of %s is dropped: %s", self.id, self.handler.definition, why)


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

    def refused(self, lease: Lease, call: bytes, fault: Fault, now: float) -> None:
        """Note that a call did not renew a lease: a plain heartbeat follows, at once if it was the note's fault."""
        if lease.exec_id not in self._held:
            return
        delay = 0.0
        if call == lease.heartbeat() or fault.type in TRANSIENT:
            delay = min(lease.interval / 2, LONGEST_DELAY)
        else:
            lease.complain(f"{fault.type}: {fault.message}")
        lease.unheard = True
        lease.spoke_at = now + delay - lease.interval
        self.next_at = min(self.next_at, now + delay)

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
                    notes = lease.notes()
                    if lease.unheard or not notes:
                        notes.insert(0, lease.heartbeat())
                    lease.unheard = False
                    calls.extend((lease, note) for note in notes)
                next_at = min(next_at, lease.due())
        self.next_at = next_at
        return calls


class Alarm:
    """One timer of the running loop that rings at the earliest time it was set to, or when the loop comes to it."""

    def __init__(self, ring: Callable[[], None], late: Callable[[float], None] | None = None) -> None:
        self._wake_up = ring
        self._late = late
        self._handle: asyncio.TimerHandle | None = None
        self._at = math.inf

    def set(self, at: float) -> None:
        """Ring at `at`, unless it rings earlier anyway."""
        if at < self._at:
            self.cancel()
            self._at = at
            loop = asyncio.get_running_loop()
            self._handle = loop.call_at(at, self._rings, max(at, loop.time()))

    def cancel(self) -> None:
        """Do not ring."""
        if self._handle is not None:
            self._handle.cancel()
        self._handle = None
        self._at = math.inf

    def _rings(self, expected: float) -> None:
        late = asyncio.get_running_loop().time() - expected
        self.cancel()
        if self._late is not None and late > LATE:
            self._late(late)
        self._wake_up()
