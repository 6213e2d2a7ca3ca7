"""The routes of the core beside `/rpc`: health checks, the OpenAPI document, reads, and events."""

from __future__ import annotations

from fencepost.routes.events import event_routes
from fencepost.routes.health import health_routes
from fencepost.routes.tasks import task_routes
from fencepost.routes.workflows import workflow_routes

CORE_ROUTES = (event_routes, task_routes, workflow_routes, health_routes)
