"""The reaper: readies waiting tasks, requeues leases that were not started, and ends attempts that went silent.

It sleeps until the next deadline that it knows. The fallback poller tells it of deadlines that only a dead server knew.
Any number of servers may run it: each skips the rows that another has locked.

During an outage of this server or of the database, workers cannot renew their leases and cannot poll. Leases that were
last renewed before the outage, and tasks that would have expired in it, get a grace period afterwards.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter

from fencepost.engine.definitions import Definitions
from fencepost.engine.wakeups import Wakeups
from fencepost.store.deadlines import DeadlineStore
from fencepost.telemetry import Event, emit

_BATCH = 500
# Of a deadline that has passed, while its task is in the grace period or locked by another transaction.
_SHORTEST_SLEEP = 0.2


class Reaper:
    """Applies every deadline that has passed: readies, requeues, times out."""

    def __init__(self, store: DeadlineStore, definitions: Definitions, wakeups: Wakeups) -> None:
        self._store = store
        self._definitions = definitions
        self._wakeups = wakeups
        # One run at a time: two would skip each other's rows.
        self._running = asyncio.Lock()

    async def prepare(self) -> None:
        """Record the start of this server, before it gives out any lease; raise Refusal (`unavailable`)."""
        await self._store.resume()

    async def run_once(self) -> float:
        """Apply a batch of passed deadlines; return the seconds until the next one (infinity: none is known)."""
        async with self._running:
            return await self._reap()

    async def _reap(self) -> float:
        reaped, wakeups = await self._store.reap(batch=_BATCH)
        self._wakeups.publish(wakeups)
        if reaped:
            emit(Event.REAPED, count=len(reaped))
            ready = Counter(definition for definition, status in reaped if status == "ready")
            for definition, count in ready.items():
                self._wakeups.ready(definition, count)
            # The end of a lease frees a place under a concurrency limit, even if its task is not ready again.
            for definition in {definition for definition, status in reaped if status == "done"}:
                self._wakeups.ended(definition)
            for definition in {definition for definition, _ in reaped} - ready.keys():
                await self._definitions.freed(definition, _BATCH)
            if len(reaped) == _BATCH:
                return 0.0
        due_in = await self._store.next_deadline()
        if due_in is None:
            return math.inf
        return due_in if due_in > 0 else _SHORTEST_SLEEP
