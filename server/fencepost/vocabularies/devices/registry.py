"""Registered devices and their liveness.

A device that has opened a channel is watched: it gets a health check every few seconds, and its tasks are aborted when
it sends no heartbeat until its deadline. The deadline is in the database, so that any server can extend or apply it.
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
    """The devices of a database. Names are text; an `info` is a JSON object's text."""

    def __init__(self, store: DeviceStore, wakeups: Wakeups) -> None:
        self._store = store
        self._wakeups = wakeups
        # Called with the seconds until the deadline of a device that is watched; wakes the reaper.
        self.nudge: Callable[[float], None] = lambda seconds: None

    async def put(self, name: str, info: bytes) -> Device:
        """Register a device, or replace its info; idempotent. Raises Refusal (`invalid-params`) for a bad name."""
        if not _NAME.fullmatch(name):
            raise invalid_params("Expected 1 to 100 letters, digits, `_`, `.` and `-`", "name")
        return await self._store.put(name, info)

    async def get(self, name: str) -> Device:
        """Return a device; raise Refusal (`device-not-found`) for an unknown one."""
        found = await self._store.find(name) if _NAME.fullmatch(name) else None
        if found is None:
            raise Refusal(DEVICE_NOT_FOUND, field="name", name=name[:100])
        return found

    async def list(self, *, after: str | None, size: int, field: str) -> Portion[Device]:
        """Return devices by name; raise Refusal (`invalid-params` for `field`) for a bad `after`."""
        if after is not None and not _NAME.fullmatch(after):
            raise invalid_params("Expected the `next` of an earlier page", field)
        return await self._store.list(after=after, size=size)

    async def heartbeat(self, name: str, *, watch: bool = False, task_id: str | None = None) -> None:
        """Record a heartbeat; with `watch`, the device expires without a next one. `task_id` is the task just sent.

        Raises Refusal (`device-not-found`) for a name that no device can have.
        """
        self.check(name)
        await self._store.heartbeat(name, watch=watch, task_id=task_id)
        if watch:
            self.nudge(self._store.silence_seconds)

    def check(self, name: str) -> None:
        """Raise Refusal (`device-not-found`) for a name that no device can have."""
        if not _NAME.fullmatch(name):
            raise Refusal(DEVICE_NOT_FOUND, field="name", name=name[:100])

    async def expire(self) -> int:
        """Expire devices with a passed deadline and abort their tasks; return the number of devices."""
        expired, wakeups = await self._store.expire(_BATCH, caller=ENGINE, content=_disconnected)
        self._wakeups.publish(wakeups)
        return expired

    async def next_due(self) -> float | None:
        """Return the seconds until the next deadline of a device, None when no device is watched."""
        return await self._store.next_due()


def _disconnected(task: Task) -> bytes:
    return _DISCONNECTED.content_from(task_status(task.status, None, None)) or b"{}"
