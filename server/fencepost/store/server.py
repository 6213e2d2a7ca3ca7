"""Statements about servers: the time of the database, and notifications to other servers."""

from __future__ import annotations

from fencepost.clock import Clock
from fencepost.store.database import Database
from fencepost.store.statements import statement


class ServerStore:
    """Runs the statements of sql/queries/server."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def now(self) -> str:
        """Return the database's time; raise Refusal (`unavailable`) when it cannot be reached."""
        return str((await self._database.fetch(statement("server/now"), {"now": self._clock.now()}))[0][0])

    async def notify(self, payload: str) -> None:
        """Send one notification to every server that listens."""
        await self._database.fetch(statement("server/notify"), {"payload": payload})
