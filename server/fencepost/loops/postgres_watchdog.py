"""The watchdog of the server's own Postgres: restarts it when it was killed (by an operator, or for lack of memory)."""

from __future__ import annotations

import asyncio

from fencepost.store.embedded import EmbeddedPostgres
from fencepost.telemetry import Event, emit

_INTERVAL = 0.5


class PostgresWatchdog:
    """Watches one Postgres. A restarted one has the same address, so connections reopen by themselves."""

    def __init__(self, postgres: EmbeddedPostgres) -> None:
        self._postgres = postgres
        self._reported = False

    async def run_once(self) -> float:
        """Restart Postgres if it has ended; return the seconds until the next check."""
        if not self._postgres.alive:
            if not self._reported:
                emit(Event.DATABASE_DIED)
            self._reported = True
            await asyncio.to_thread(self._postgres.start)
        self._reported = False
        return _INTERVAL
