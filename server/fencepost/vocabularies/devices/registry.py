"""The devices themselves: what they are registered with, and whether they live.

One that has opened a channel is watched: it is asked for a sign of life every few seconds, and one that gives none for
too long has what it is at taken away. That is a deadline in the database, so that it does not matter which server the
device speaks to, or whether that lives.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from fencepost.domain.builtin import ENGINE
from fencepost.domain.listing import Portion
from fencepost.domain.task import Task
from fencepost.engine.wakeups import Wakeups
from fencepost.errors import Refusal, invalid_params
from fencepost.vocabularies.devices.errors import DEVICE_NOT_FOUND
from fencepost.vocabularies.devices.reports import Report
from fencepost.vocabularies.devices.statuses import task_status
from fencepost.vocabularies.devices.store import Device, DeviceStore

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_DISCONNECTED = Report("abort", error={"status": "ABORTED", "reason": "device_disconnected"})
_BATCH = 100


class DeviceRegistry:
    """The devices of a database."""

    def __init__(self, store: DeviceStore, wakeups: Wakeups) -> None:
        self._store = store
        self._wakeups = wakeups
        # Called with the seconds in which somebody is to look whether a device that is watched has fallen silent.
        self.nudge: Callable[[float], None] = lambda seconds: None

    async def put(self, name: str, info: bytes) -> Device:
        """Register a device with a JSON object; the same again changes nothing."""
        if not _NAME.fullmatch(name):
            raise invalid_params("Expected 1 to 100 letters, digits, `_`, `.` and `-`", "$.name")
        return await self._store.put(name, info)

    async def get(self, name: str) -> Device:
        """Return a device; raise Refusal when nobody has heard of it."""
        found = await self._store.find(name) if _NAME.fullmatch(name) else None
        if found is None:
            raise Refusal(DEVICE_NOT_FOUND, at="$.name", name=name[:100])
        return found

    async def list(self, *, after: str | None, size: int, at: str) -> Portion[Device]:
        """Return devices by name; raise Refusal for an `after`, which stands `at` a path, that none can have."""
        if after is not None and not _NAME.fullmatch(after):
            raise invalid_params("Expected the `next` of a page that came before", at)
        return await self._store.list(after=after, size=size)

    async def heartbeat(self, name: str, *, watch: bool = False, task_id: str | None = None) -> None:
        """Note that a device lives; `watch` it from now on, and remember what it was told to do."""
        self.check(name)
        await self._store.heartbeat(name, watch=watch, task_id=task_id)
        if watch:
            self.nudge(self._store.silence_seconds)

    def check(self, name: str) -> None:
        """Raise Refusal for a name that no device can have."""
        if not _NAME.fullmatch(name):
            raise Refusal(DEVICE_NOT_FOUND, at="$.name", name=name[:100])

    async def expire(self) -> int:
        """Abort what devices have under way that are silent for too long; return how many devices that were."""
        expired, wakeups = await self._store.expire(_BATCH, caller=ENGINE, content=_disconnected)
        self._wakeups.publish(wakeups)
        return expired

    async def next_due(self) -> float | None:
        """Return the seconds until the next one will have been silent for too long, None when none is watched."""
        return await self._store.next_due()


def _disconnected(task: Task) -> bytes:
    return _DISCONNECTED.content_from(task_status(task.status, None, None)) or b"{}"
