"""Expires devices that have missed their heartbeat deadline.

Any number of servers may run it: each skips the devices that another one is expiring.
"""

from __future__ import annotations

from fencepost.telemetry import Event, emit
from fencepost.vocabularies.devices.registry import DeviceRegistry

# Another server is expiring the devices that are due.
_MIN_SLEEP = 0.2
# A heartbeat wakes the reaper of the server that received it; that server may have died.
_MAX_SLEEP = 30.0


class DeviceReaper:
    """Expires devices whose heartbeat deadline has passed and aborts their tasks."""

    def __init__(self, registry: DeviceRegistry) -> None:
        self._registry = registry

    async def run_once(self) -> float:
        """Expire the devices that are due; return the seconds until the next deadline."""
        due_in = await self._registry.next_due()
        if due_in is None or due_in > 0:
            return min(due_in or _MAX_SLEEP, _MAX_SLEEP)
        expired = await self._registry.expire()
        if not expired:
            return _MIN_SLEEP
        emit(Event.DEVICES_EXPIRED, count=expired)
        return 0.0
