"""Whether the process lives, and whether it can do anything."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse

from fencepost.store.database import Database


class Health:
    """The handlers for probes; they need no credentials."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.draining = False

    async def healthz(self, _: Request) -> JSONResponse:
        """Answer that the process lives."""
        return JSONResponse({"status": "ok"})

    async def readyz(self, _: Request) -> JSONResponse:
        """Answer that the database answers and takes writes; raise Refusal (`unavailable`, 503) when it does not."""
        if self.draining:
            return JSONResponse({"status": "draining"}, status_code=503)
        await self._database.ready()
        return JSONResponse({"status": "ok"})
