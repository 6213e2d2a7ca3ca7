"""The leases that a worker holds, and when the next heartbeat of each is due."""

from __future__ import annotations

import asyncio
import logging
import math
from typing import TYPE_CHECKING, Any

from msgspec import Raw, Struct

from fencepost_sdk.encoding import encode_notify
from fencepost_sdk.notifications import to_wire
from fencepost_sdk.payloads import message_of
from fencepost_sdk.protocol import TRANSIENT, ClaimedTask, Fault

if TYPE_CHECKING:
    from fencepost_sdk.batches import Batch
    from fencepost_sdk.context import Context
    from fencepost_sdk.handlers import Handler

logger = logging.getLogger("fencepost_sdk")

HEARTBEAT: dict[str, Any] = {"notification": "heartbeat"}
# Least time between the notifications of one task, in seconds: a handler may report its progress with every row.
NOTIFICATION_SPACING = 0.25
# Longest delay before a heartbeat that the server refused is sent again, in seconds.
MAX_HEARTBEAT_DELAY = 1.0


class Lease(Struct, gc=False, eq=False):
    """The lease of one execution: its task, its handler and its state. Times are those of the event loop.

    `resource` is the task as JSON. The garbage collector does not see a lease; so `context` and `batch`, which refer
    back to the lease, are None again after the execution.
    """

    task: ClaimedTask
    handler: Handler
    resource: Raw = Raw(b"null")
    notified_at: float = 0.0
    context: Context | None = None
    # The other tasks of the call that runs it.
    batch: Batch | None = None
    # The asyncio task that runs the handler, once the handler has suspended.
    job: asyncio.Task[None] | None = None
    attempt_timer: asyncio.TimerHandle | None = None
    has_started: bool = False
    lost: bool = False
    has_ended: bool = False
    has_notifications: bool = False
    # Whether a notification was refused, which did not renew the lease.
    needs_heartbeat: bool = False

    @property
    def id(self) -> str:
        """The id of the task."""
        return self.task.id

    @property
    def exec_id(self) -> str:
        """The fencing token of the execution."""
        return self.task.exec_id

    @property
    def interval(self) -> float:
        """The time between heartbeats, in seconds; at least 0.02, because no network can keep a shorter timeout."""
        return max(self.task.in_progress_timeout_ms / 3000, 0.02)

    def due(self) -> float:
        """Return when its next heartbeat is due, or when its pending notifications may be sent."""
        is_pending = self.has_notifications and not self.needs_heartbeat
        return self.notified_at + (NOTIFICATION_SPACING if is_pending else self.interval)

    def take_notifications(self) -> list[bytes]:
        """Remove and return the calls of its handler's pending notifications; an invalid one is dropped and logged."""
        self.has_notifications = False
        calls = []
        for notification in self.context._take_notifications() if self.context is not None else []:
            try:
                calls.append(encode_notify(self.id, self.exec_id, to_wire(notification)))
            except BaseException as error:  # noqa: BLE001 - code of the values may raise anything
                self.log_dropped(message_of(error))
        return calls

    def heartbeat(self) -> bytes:
        """Return the call of a plain heartbeat."""
        return encode_notify(self.id, self.exec_id, HEARTBEAT)

    def log_dropped(self, why: str) -> None:
        """Log that a notification was dropped: a warning once per handler, then at debug level."""
        level = logging.DEBUG if self.handler.has_logged_drop else logging.WARNING
        self.handler.has_logged_drop = True
        logger.log(level, "a notification of task %s of %s is dropped: %s", self.id, self.handler.definition, why)


class Leases:
    """All leases of a worker by execId, and `next_due_at`, when the first of them is due.

    There is one time for all leases and no heap of timers: most tasks end long before their first heartbeat, and a
    worker holds few enough leases to go through all of them when one is due.
    """

    def __init__(self) -> None:
        self._held: dict[str, Lease] = {}
        self.next_due_at = math.inf

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, exec_id: str) -> bool:
        return exec_id in self._held

    def all(self) -> list[Lease]:
        """Return the leases."""
        return list(self._held.values())

    def add(self, lease: Lease, now: float) -> None:
        """Add a lease that was granted at `now`."""
        lease.notified_at = now
        self._held[lease.task.exec_id] = lease
        if now + lease.task.in_progress_timeout_ms / 3000 < self.next_due_at:
            self.next_due_at = now + lease.interval

    def remove(self, lease: Lease) -> None:
        """Remove a lease; `next_due_at` may be too early afterwards, which costs one pass over the leases."""
        self._held.pop(lease.task.exec_id, None)

    def mark_pending(self, lease: Lease) -> None:
        """Record that the handler of a lease has notifications to send."""
        if lease.exec_id in self._held and not lease.has_notifications:
            lease.has_notifications = True
            self.next_due_at = min(self.next_due_at, lease.due())

    def refused(self, lease: Lease, call: bytes, fault: Fault, now: float) -> None:
        """Record that the server refused a notification, so that the lease is not renewed: a heartbeat follows.

        The heartbeat is sent at once, or after a delay if the refused call was a heartbeat or the error is transient.
        """
        if lease.exec_id not in self._held:
            return
        delay = 0.0
        if call == lease.heartbeat() or fault.type in TRANSIENT:
            delay = min(lease.interval / 2, MAX_HEARTBEAT_DELAY)
        else:
            lease.log_dropped(f"{fault.type}: {fault.message}")
        lease.needs_heartbeat = True
        lease.notified_at = now + delay - lease.interval
        self.next_due_at = min(self.next_due_at, now + delay)

    def due_notifications(self, now: float) -> list[tuple[Lease, bytes]]:
        """Return the notify calls that are due now or within a quarter of their interval, to share a request."""
        if now < self.next_due_at:
            return []
        calls: list[tuple[Lease, bytes]] = []
        next_due_at = math.inf
        for lease in self._held.values():
            if not lease.lost:
                if lease.due() <= now + (0.0 if lease.has_notifications else lease.interval / 4):
                    lease.notified_at = now
                    notifications = lease.take_notifications()
                    if lease.needs_heartbeat or not notifications:
                        notifications.insert(0, lease.heartbeat())
                    lease.needs_heartbeat = False
                    calls.extend((lease, call) for call in notifications)
                next_due_at = min(next_due_at, lease.due())
        self.next_due_at = next_due_at
        return calls
