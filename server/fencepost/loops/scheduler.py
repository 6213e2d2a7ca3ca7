"""The scheduler: starts or skips due times of schedules.

It sleeps until the next start that it knows, and is woken when a schedule is put. Any number of servers may run it:
each skips the schedules that another has locked, and the run of a due time commits together with the next due time.
"""

from __future__ import annotations

from fencepost.engine.schedules import Schedules
from fencepost.telemetry import Event, emit

# One due time of each schedule: a few milliseconds for the whole batch.
_BATCH = 100
# The server that was woken by a put may have died; half of the default start deadline is then left.
_LONGEST_SLEEP = 30.0
# While another server applies the due runs.
_SHORTEST_SLEEP = 0.2


class Scheduler:
    """Runs the schedules that are due."""

    def __init__(self, schedules: Schedules) -> None:
        self._schedules = schedules

    async def run_once(self) -> float:
        """Apply a batch of due runs; return the seconds until the next one is due."""
        due_in = await self._schedules.next_due()
        if due_in is None or due_in > 0:
            return min(due_in or _LONGEST_SLEEP, _LONGEST_SLEEP)
        done = await self._schedules.run_due(_BATCH)
        if not done.runs:
            return _SHORTEST_SLEEP
        emit(Event.SCHEDULED, started=done.started, skipped=done.skipped)
        # After an outage, a schedule may have more than one due time.
        return 0.0
