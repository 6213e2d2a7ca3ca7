"""What a device is told over a channel: what it is to do, what it is not to do any more, and whether it lives.

Each message may come more than once: a device ignores what it has heard. What it is to do is said again every second
until it reports; and when it comes back, what it was told last and what has become of that.
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
# How often to see whether the server drains.
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
        """Give what a device is told, until the server drains; None when there was nothing for a while.

        The first is always None: by then nothing is missed any more. `keeps_alive` says that the channel itself is a sign of
        life while it is open, for one over which a device cannot answer.
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
        """Give the same to an observer, who is not the device: nothing about the device changes.

        The first is None, as for the device.
        """
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
                    assert announcement.pending is not None, "it is due"
                    await self._registry.heartbeat(device, watch=True, task_id=announcement.pending.id)
                yield announcement.announce()
            if time.monotonic() >= checked_at + self._healthcheck_seconds:
                checked_at = time.monotonic()
                if keeps_alive:
                    await self._registry.heartbeat(device, watch=True)
                yield HEALTHCHECK
            news = await listener.next(min(_MAX_WAIT, self._healthcheck_seconds))
            if news is not None:
                announcement.update(news)
            yield (
                aborted_message(news.task, news.event.reason)
                if news is not None and news.task and news.event.type == ABORTED
                else None
            )

    async def _pending_task(self, device: str) -> Task | None:
        """Return what a device is to do and has not begun."""
        tasks = await self._store.list_tasks(device)
        return next((task for task in tasks if task_status(task.status, None, None) == "PENDING"), None)

    async def _missed_abort(self, device: str) -> list[bytes]:
        """Return that what a device was told last is not to be done any more, when that is so."""
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
    """What a device is to do that it has not begun, and when it was told so."""

    def __init__(self, pending: Task | None) -> None:
        self.pending = pending
        self._announced_at: float | None = None

    @property
    def is_first(self) -> bool:
        """Whether it has not been said on this channel yet."""
        return self._announced_at is None

    @property
    def is_due(self) -> bool:
        """Whether it is to be said now."""
        return self.pending is not None and (
            self._announced_at is None or time.monotonic() >= self._announced_at + _REPEAT_SECONDS
        )

    def announce(self) -> bytes:
        """Return it as a message."""
        assert self.pending is not None, "it is due"
        self._announced_at = time.monotonic()
        return registered_message(self.pending)

    def update(self, news: RunEvent) -> None:
        """Take in what has happened."""
        if news.task is None:
            return
        if news.event.type == REGISTERED:
            if self.pending is None or self.pending.id != news.task.id:
                self.pending, self._announced_at = news.task, None
        elif self.pending is not None and self.pending.id == news.task.id:
            self.pending = None
