"""The vigil: takes their work from devices that have fallen silent.

Any number of servers may keep it: a device that one of them is at is skipped by the others.
"""

from __future__ import annotations

from fencepost.telemetry import Event, emit
from fencepost.vocabularies.devices.registry import DeviceRegistry

# What is due is being done by somebody else.
_MIN_SLEEP = 0.2
# A server nudges its own vigil when it begins to watch a device; another one may have, and died.
_MAX_SLEEP = 30.0


class DeviceReaper:
    """What becomes of silent devices is done by it."""

    def __init__(self, registry: DeviceRegistry) -> None:
        self._registry = registry

    async def run_once(self) -> float:
        """Do what is due and return the seconds until something else is."""
        due_in = await self._registry.next_due()
        if due_in is None or due_in > 0:
            return min(due_in or _MAX_SLEEP, _MAX_SLEEP)
        expired = await self._registry.expire()
        if not expired:
            return _MIN_SLEEP
        emit(Event.DEVICES_EXPIRED, count=expired)
        return 0.0
