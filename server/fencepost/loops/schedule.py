"""The scheduler: starts what schedules are for, when they are due.

It sleeps until the next start that it knows, and hears of schedules that are put. Any number of servers may run it: a
schedule that one of them is at is skipped by the others, and what was done about a due time is committed with it.
"""

from __future__ import annotations

from fencepost.engine.schedules import Schedules
from fencepost.telemetry import Event, emit

# Each is a due time of another schedule: a few milliseconds for all of them.
_BATCH = 100
# The server that heard of a put may have died; half of the usual start deadline is then left.
_LONGEST_SLEEP = 30.0
# What is due is being done by somebody else.
_SHORTEST_SLEEP = 0.2


class Scheduler:
    """What schedules say is done by it."""

    def __init__(self, schedules: Schedules) -> None:
        self._schedules = schedules

    async def run_once(self) -> float:
        """Do what is due and return the seconds until something else is."""
        due_in = await self._schedules.next_due()
        if due_in is None or due_in > 0:
            return min(due_in or _LONGEST_SLEEP, _LONGEST_SLEEP)
        done = await self._schedules.run_due(_BATCH)
        if not done.turns:
            return _SHORTEST_SLEEP
        emit(Event.SCHEDULED, started=done.started, skipped=done.skipped)
        # Behind an outage, a schedule may have more that is due.
        return 0.0
