"""The vigil: takes their work from devices that have fallen silent.

Any number of servers may keep it: a device that one of them is at is skipped by the others.
"""

from __future__ import annotations

from fencepost.engine.devices.known import Known
from fencepost.telemetry import Event, emit

# What is due is being done by somebody else.
_SHORTEST_SLEEP = 0.2


class Vigil:
    """What becomes of silent devices is done by it."""

    def __init__(self, known: Known, *, silence_seconds: float) -> None:
        self._known = known
        # One that another server begins to watch meanwhile is not due before.
        self._longest_sleep = silence_seconds

    async def run_once(self) -> float:
        """Do what is due and return the seconds until something else is."""
        if lost := await self._known.lose():
            emit(Event.DEVICES_LOST, count=lost)
            return 0.0
        due_in = await self._known.next_due()
        if due_in is None:
            return self._longest_sleep
        return min(due_in, self._longest_sleep) if due_in > 0 else _SHORTEST_SLEEP
