"""Health checks, liveness and readiness, and the OpenAPI document; none needs credentials."""

from __future__ import annotations

from typing import Literal

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from fencepost.engine.context import Context
from fencepost.http.routes import JSON, Content, Routes
from fencepost.store.database import Database
from fencepost.store.files import data_folder

health_routes = Routes()


class Healthy(msgspec.Struct, frozen=True):
    """The server is healthy."""

    status: Literal["ok"]


class Health:
    """The state that the readiness check reports."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.draining = False


class ApiDocument:
    """The OpenAPI document, read once at start."""

    def __init__(self) -> None:
        self.text = (data_folder("openapi") / "openapi.yaml").read_bytes()


@health_routes.route("GET", "/healthz", id="live", is_open=True)
async def healthz(_: Context, __: Request) -> Healthy:
    """Liveness: the process is running."""
    return Healthy("ok")


@health_routes.route(
    "GET",
    "/readyz",
    id="ready",
    is_open=True,
    answer=Content({JSON: Healthy}, "The server accepts work."),
    also={503: "The database cannot be reached, or the server is draining."},
)
async def readyz(context: Context, _: Request) -> Response | Healthy:
    """Readiness: the server accepts work."""
    health = context.of(Health)
    if health.draining:
        return JSONResponse({"status": "draining"}, status_code=503)
    await health.database.ready()
    return Healthy("ok")


@health_routes.route("GET", "/openapi.yaml", is_open=True, answer=Content({"application/yaml": None}, "The document."))
async def openapi(context: Context, _: Request) -> Response:
    """Return this document."""
    return Response(context.of(ApiDocument).text, media_type="application/yaml")
