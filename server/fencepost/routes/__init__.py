"""The routes of the core beside `/rpc`: health checks, the OpenAPI document, reads, and events."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from fencepost.engine.engine import Engine
from fencepost.http.entrance import Entrance, Handler
from fencepost.routes.events import EventIntake
from fencepost.routes.health import Health
from fencepost.routes.tasks import TaskReads
from fencepost.routes.workflows import WorkflowReads
from fencepost.settings import Limits
from fencepost.store.files import data_folder


def core_routes(engine: Engine, health: Health, limits: Limits, entrance: Entrance) -> Sequence[BaseRoute]:
    """Return the routes."""
    known, open = entrance.known, entrance.open
    tasks, workflows, intake = TaskReads(engine), WorkflowReads(engine), EventIntake(engine, limits)
    return [
        Route("/healthz", open(health.healthz)),
        Route("/readyz", open(health.readyz)),
        Route("/openapi.yaml", open(_sent((data_folder("openapi") / "openapi.yaml").read_bytes()))),
        Route("/AidboxTask", known(tasks.search)),
        Route("/AidboxTask/{id}", known(tasks.read)),
        Route("/AidboxTaskLog", known(tasks.log)),
        Route("/AidboxWorkflow", known(workflows.search)),
        Route("/AidboxWorkflow/{id}", known(workflows.read)),
        Route("/events", known(intake.publish), methods=["POST"]),
    ]


def _sent(document: bytes) -> Handler:
    """Return a handler for a document that is read once, at start."""

    async def send(_: Request) -> Response:
        return Response(document, media_type="application/yaml")

    return send
