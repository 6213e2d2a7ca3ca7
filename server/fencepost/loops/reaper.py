"""The reaper: readies what waited, requeues what was not started, and ends attempts that went silent.

It sleeps until the next deadline that it knows; the lookout tells it of those that another server knew of and did not
live to reap. Any number of servers may run it: rows that one is at are skipped by the others.

After an outage (this server was away, or the database was) live workers had nobody to report to, and nobody to be given
work by. Leases that were last renewed before it, and tasks that would have expired, get a grace in which their workers
can come back before they are reaped.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter

from fencepost.engine.definitions import Definitions
from fencepost.engine.hints import Hints
from fencepost.store.deadlines import DeadlineStore
from fencepost.telemetry import Event, emit

_BATCH = 500
# A deadline has passed but its task was spared or is being changed by somebody else.
_SHORTEST_SLEEP = 0.2


class Reaper:
    """What is due in the database is done by it."""

    def __init__(self, store: DeadlineStore, definitions: Definitions, hints: Hints) -> None:
        self._store = store
        self._definitions = definitions
        self._hints = hints
        # One look at a time: each passes over the rows that another is at.
        self._looking = asyncio.Lock()

    async def prepare(self) -> None:
        """Note from when on this server is there, before anybody has a lease from it; raise Refusal (`unavailable`)."""
        await self._store.resume()

    async def run_once(self) -> float:
        """Do what is due and return the seconds until something else is (infinity: nobody knows)."""
        async with self._looking:
            return await self._look()

    async def _look(self) -> float:
        reaped, hints = await self._store.reap(batch=_BATCH)
        self._hints.follow(hints)
        if reaped:
            emit(Event.REAPED, count=len(reaped))
            ready = Counter(definition for definition, status in reaped if status == "ready")
            for definition, count in ready.items():
                self._hints.ready(definition, count)
            # A lease that ends makes room, also when its task is not ready again.
            for definition in {definition for definition, _ in reaped} - ready.keys():
                await self._definitions.freed(definition, _BATCH)
            if len(reaped) == _BATCH:
                return 0.0
        due_in = await self._store.next_deadline()
        if due_in is None:
            return math.inf
        return due_in if due_in > 0 else _SHORTEST_SLEEP
