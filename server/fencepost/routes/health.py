"""Health checks: liveness and readiness."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse

from fencepost.store.database import Database


class Health:
    """The handlers of health checks; they need no credentials."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.draining = False

    async def healthz(self, _: Request) -> JSONResponse:
        """Answer 200: the process is alive."""
        return JSONResponse({"status": "ok"})

    async def readyz(self, _: Request) -> JSONResponse:
        """Answer 200 if the database answers and accepts writes; raise Refusal (`unavailable`, 503) otherwise."""
        if self.draining:
            return JSONResponse({"status": "draining"}, status_code=503)
        await self._database.ready()
        return JSONResponse({"status": "ok"})
