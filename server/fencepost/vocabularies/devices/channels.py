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
from fencepost.vocabularies.devices.events import ABORTED, REGISTERED, RunEvent, aborted, registered
from fencepost.vocabularies.devices.registry import DeviceRegistry
from fencepost.vocabularies.devices.statuses import reason_of, task_status
from fencepost.vocabularies.devices.store import DeviceStore

HEALTHCHECK = b'{"type":"HEALTHCHECK"}'
_REPEAT_SECONDS = 1.0
# How often to see whether the server drains.
_LONGEST_WAIT = 0.5


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

    async def messages(self, device: str, *, lives: bool = False) -> AsyncGenerator[bytes | None]:
        """Give what a device is told, until the server drains; None when there was nothing for a while.

        The first is always None: by then nothing is missed any more. `lives` says that the channel itself is a sign of
        life while it is open, for one over which a device cannot answer.
        """
        await self._registry.heartbeat(device, watch=True)
        async with self._broadcaster.listen(device) as listener:
            yield None
            conversation = _Conversation(await self._standing(device))
            for message in await self._unheard(device):
                yield message
            async for following in self._conversation(device, conversation, listener, lives=lives):
                yield following

    async def observed(self, device: str) -> AsyncGenerator[bytes | None]:
        """Give the same to an observer, who is not the device: nothing about the device changes.

        The first is None, as for the device.
        """
        self._registry.check(device)
        async with self._broadcaster.listen(device) as listener:
            yield None
            conversation = _Conversation(await self._standing(device))
            async for following in self._conversation(device, conversation, listener, observes=True):
                yield following

    async def _conversation(
        self,
        device: str,
        conversation: _Conversation,
        listener: Listener,
        *,
        lives: bool = False,
        observes: bool = False,
    ) -> AsyncGenerator[bytes | None]:
        asked_at = time.monotonic()
        while not (self._changes.closing or listener.overflowed):
            if conversation.is_due:
                if conversation.is_first and not observes:
                    assert conversation.pending is not None, "it is due"
                    await self._registry.heartbeat(device, watch=True, task_id=conversation.pending.id)
                yield conversation.say()
            if time.monotonic() >= asked_at + self._healthcheck_seconds:
                asked_at = time.monotonic()
                if lives:
                    await self._registry.heartbeat(device, watch=True)
                yield HEALTHCHECK
            news = await listener.next(min(_LONGEST_WAIT, self._healthcheck_seconds))
            if news is not None:
                conversation.hear(news)
            yield (
                aborted(news.task, news.event.reason)
                if news is not None and news.task and news.event.type == ABORTED
                else None
            )

    async def _standing(self, device: str) -> Task | None:
        """Return what a device is to do and has not begun."""
        tasks = await self._store.list_tasks(device)
        return next((task for task in tasks if task_status(task.status, None, None) == "PENDING"), None)

    async def _unheard(self, device: str) -> list[bytes]:
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
        return [aborted(task, reason_of(task.outcome, task.reason_type, task.error))] if is_over else []


class _Conversation:
    """What a device is to do that it has not begun, and when it was told so."""

    def __init__(self, pending: Task | None) -> None:
        self.pending = pending
        self._said_at: float | None = None

    @property
    def is_first(self) -> bool:
        """Whether it has not been said on this channel yet."""
        return self._said_at is None

    @property
    def is_due(self) -> bool:
        """Whether it is to be said now."""
        return self.pending is not None and (
            self._said_at is None or time.monotonic() >= self._said_at + _REPEAT_SECONDS
        )

    def say(self) -> bytes:
        """Return it as a message."""
        assert self.pending is not None, "it is due"
        self._said_at = time.monotonic()
        return registered(self.pending)

    def hear(self, news: RunEvent) -> None:
        """Take in what has happened."""
        if news.task is None:
            return
        if news.event.type == REGISTERED:
            if self.pending is None or self.pending.id != news.task.id:
                self.pending, self._said_at = news.task, None
        elif self.pending is not None and self.pending.id == news.task.id:
            self.pending = None
