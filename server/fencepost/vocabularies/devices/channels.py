"""The messages of a device's channel: tasks to do, tasks that are aborted, and health checks.

Each message may arrive more than once; a device ignores repeated ones. A task is repeated every second until the device
reports about it. A device that reconnects gets its pending task, and the abort of the last task that it was sent.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator

from fencepost.domain.task import Task
from fencepost.engine.change_feed import ChangeFeed
from fencepost.engine.tasks import Tasks
from fencepost.errors import TASK_NOT_FOUND, Refusal
from fencepost.vocabularies.devices.broadcaster import EventBroadcaster, Listener
from fencepost.vocabularies.devices.events import ABORTED, REGISTERED, RunEvent, aborted_message, registered_message
from fencepost.vocabularies.devices.registry import DeviceRegistry
from fencepost.vocabularies.devices.statuses import reason_of, task_status
from fencepost.vocabularies.devices.store import DeviceStore

HEALTHCHECK = b'{"type":"HEALTHCHECK"}'
_REPEAT_SECONDS = 1.0
# Seconds between two checks whether the server drains.
_MAX_WAIT = 0.5


class Channels:
    """The channels of devices on this server."""

    def __init__(
        self,
        store: DeviceStore,
        tasks: Tasks,
        registry: DeviceRegistry,
        broadcaster: EventBroadcaster,
        changes: ChangeFeed,
        *,
        healthcheck_seconds: float,
    ) -> None:
        self._store = store
        self._tasks = tasks
        self._registry = registry
        self._broadcaster = broadcaster
        self._changes = changes
        self._healthcheck_seconds = healthcheck_seconds

    async def messages(self, device: str, *, keeps_alive: bool = False) -> AsyncGenerator[bytes | None]:
        """Yield the messages for a device until the server drains; None when there was none for a while.

        The first item is always None: from then on no message is missed. With `keeps_alive` the open channel counts as
        a heartbeat, for a channel over which the device cannot answer. Raises Refusal: `device-not-found`, and
        `unavailable` without the database.
        """
        await self._registry.heartbeat(device, watch=True)
        async with self._broadcaster.listen(device) as listener:
            yield None
            announcement = _Announcement(await self._pending_task(device))
            for message in await self._missed_abort(device):
                yield message
            async for following in self._exchange(device, announcement, listener, keeps_alive=keeps_alive):
                yield following

    async def observe(self, device: str) -> AsyncGenerator[bytes | None]:
        """Yield the same messages to an observer, without effect on the device; the first item is None too."""
        self._registry.check(device)
        async with self._broadcaster.listen(device) as listener:
            yield None
            announcement = _Announcement(await self._pending_task(device))
            async for following in self._exchange(device, announcement, listener, is_observer=True):
                yield following

    async def _exchange(
        self,
        device: str,
        announcement: _Announcement,
        listener: Listener,
        *,
        keeps_alive: bool = False,
        is_observer: bool = False,
    ) -> AsyncGenerator[bytes | None]:
        checked_at = time.monotonic()
        while not (self._changes.closing or listener.overflowed):
            if announcement.is_due:
                if announcement.is_first and not is_observer:
                    assert announcement.pending is not None, "a task is due"
                    await self._registry.heartbeat(device, watch=True, task_id=announcement.pending.id)
                yield announcement.announce()
            if time.monotonic() >= checked_at + self._healthcheck_seconds:
                checked_at = time.monotonic()
                if keeps_alive:
                    await self._registry.heartbeat(device, watch=True)
                yield HEALTHCHECK
            event = await listener.next(min(_MAX_WAIT, self._healthcheck_seconds))
            if event is not None:
                announcement.update(event)
            yield (
                aborted_message(event.task, event.client_event.reason)
                if event is not None and event.task and event.client_event.type == ABORTED
                else None
            )

    async def _pending_task(self, device: str) -> Task | None:
        """Return the task that the device has not started yet, None without one."""
        tasks = await self._store.list_tasks(device)
        return next((task for task in tasks if task_status(task.status, None, None) == "PENDING"), None)

    async def _missed_abort(self, device: str) -> list[bytes]:
        """Return the abort message of the last task that was sent to the device, when the task was aborted."""
        id = (await self._registry.get(device)).task_id
        if id is None:
            return []
        try:
            task = (await self._tasks.get(id)).task
        except Refusal as refusal:
            if refusal.kind is not TASK_NOT_FOUND:
                raise
            return []
        is_over = task.status == "done" and task_status(task.status, task.outcome, task.error) == "ABORTED"
        return [aborted_message(task, reason_of(task.outcome, task.reason_type, task.error))] if is_over else []


class _Announcement:
    """The pending task of a device, and the time of its last announcement on this channel."""

    def __init__(self, pending: Task | None) -> None:
        self.pending = pending
        self._announced_at: float | None = None

    @property
    def is_first(self) -> bool:
        """Whether the task has not been announced on this channel yet."""
        return self._announced_at is None

    @property
    def is_due(self) -> bool:
        """Whether the task has to be announced now."""
        return self.pending is not None and (
            self._announced_at is None or time.monotonic() >= self._announced_at + _REPEAT_SECONDS
        )

    def announce(self) -> bytes:
        """Return the message that announces the task."""
        assert self.pending is not None, "a task is due"
        self._announced_at = time.monotonic()
        return registered_message(self.pending)

    def update(self, event: RunEvent) -> None:
        """Replace or clear the pending task after an event."""
        if event.task is None:
            return
        if event.client_event.type == REGISTERED:
            if self.pending is None or self.pending.id != event.task.id:
                self.pending, self._announced_at = event.task, None
        elif self.pending is not None and self.pending.id == event.task.id:
            self.pending = None
