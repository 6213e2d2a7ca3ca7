"""Where the calls of devices and their clients stand; all of it also under `/api`, as devices say it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute

from fencepost.engine.engine import Engine
from fencepost.settings import Settings
from fencepost.vocabularies.devices.rest.channels import ChannelCalls
from fencepost.vocabularies.devices.rest.devices import DeviceCalls
from fencepost.vocabularies.devices.rest.runs import RunCalls
from fencepost.wire.door import Door

DEVICES_ASK_BELOW = "/api"
Handler = Callable[[Request], Awaitable[Response]]


def device_routes(
    engine: Engine, door: Door, settings: Settings, known: Callable[[Handler], Handler]
) -> list[BaseRoute]:
    """Return the routes; `known` lets a handler in to whom it may serve."""
    limits = settings.limits
    runs, devices = RunCalls(engine, limits), DeviceCalls(engine, limits, settings.devices)
    channels = ChannelCalls(engine, limits, door)
    routes: list[BaseRoute] = [
        Route("/workflows", known(runs.workflows)),
        # The names of workflows have slashes of their own.
        Route("/workflows/{id:path}/runs", known(runs.begin), methods=["POST"]),
        Route("/workflows/{id:path}/runs", known(runs.page)),
        Route("/workflows/{id:path}", known(runs.workflow)),
        Route("/workflow-runs/{id}", known(runs.run)),
        Route("/workflow-runs/{id}/stop", known(runs.stop), methods=["POST"]),
        Route("/tasks/{id}", known(runs.task)),
        Route("/tasks/{id}/{verb}", known(runs.report), methods=["POST"]),
        Route("/task-state", known(runs.task_state), methods=["POST"]),
        Route("/devices", known(devices.page)),
        Route("/devices/{name}", known(devices.read)),
        Route("/devices/{name}", known(devices.put), methods=["PUT"]),
        Route("/devices/{name}/heartbeat", known(devices.heartbeat), methods=["POST"]),
        Route("/server-settings", known(devices.settings)),
        Route("/devices/{name}/events", known(channels.device)),
        WebSocketRoute("/devices/{name}/events", channels.device_socket),
        Route("/events/client", known(channels.client)),
        WebSocketRoute("/events/client", channels.client_socket),
    ]
    return [*routes, Mount(DEVICES_ASK_BELOW, routes=routes)]
