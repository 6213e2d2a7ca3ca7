"""The keeper: starts the server's own Postgres again when that was killed (by hand, or for want of memory)."""

from __future__ import annotations

import asyncio

from fencepost.store.embedded import EmbeddedPostgres
from fencepost.telemetry import Event, emit

_INTERVAL = 0.5


class Keeper:
    """Watches one Postgres; its address stays the same, so that connections mend themselves."""

    def __init__(self, postgres: EmbeddedPostgres) -> None:
        self._postgres = postgres
        self._told = False

    async def run_once(self) -> float:
        """Start Postgres again if it ended; return the seconds until the next look."""
        if not self._postgres.alive:
            if not self._told:
                emit(Event.DATABASE_DIED)
            self._told = True
            await asyncio.to_thread(self._postgres.start)
        self._told = False
        return _INTERVAL
