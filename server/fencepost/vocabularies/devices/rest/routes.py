"""The routes of devices and their clients; each is also under `/api`, as devices call it."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute

from fencepost.engine.change_feed import ChangeFeed
from fencepost.http.entrance import Entrance
from fencepost.settings import Settings
from fencepost.vocabularies.devices.devices import Devices
from fencepost.vocabularies.devices.rest.channels import ChannelCalls
from fencepost.vocabularies.devices.rest.devices import DeviceCalls
from fencepost.vocabularies.devices.rest.runs import RunCalls

_BELOW = "/api"


def device_routes(devices: Devices, changes: ChangeFeed, settings: Settings, entrance: Entrance) -> Sequence[BaseRoute]:
    """Return the routes."""
    limits, known = settings.limits, entrance.known
    runs, registry = RunCalls(devices.runs, limits), DeviceCalls(devices, limits, settings.devices)
    channels = ChannelCalls(devices, changes, limits, entrance.admission)
    routes: list[BaseRoute] = [
        Route("/workflows", known(runs.workflows)),
        # Names of workflows contain slashes.
        Route("/workflows/{id:path}/runs", known(runs.begin), methods=["POST"]),
        Route("/workflows/{id:path}/runs", known(runs.page)),
        Route("/workflows/{id:path}", known(runs.workflow)),
        Route("/workflow-runs/{id}", known(runs.run)),
        Route("/workflow-runs/{id}/stop", known(runs.stop), methods=["POST"]),
        Route("/tasks/{id}", known(runs.task)),
        Route("/tasks/{id}/{verb}", known(runs.report), methods=["POST"]),
        Route("/task-state", known(runs.task_state), methods=["POST"]),
        Route("/devices", known(registry.page)),
        Route("/devices/{name}", known(registry.read)),
        Route("/devices/{name}", known(registry.put), methods=["PUT"]),
        Route("/devices/{name}/heartbeat", known(registry.heartbeat), methods=["POST"]),
        Route("/server-settings", known(registry.settings)),
        Route("/devices/{name}/events", known(channels.device)),
        WebSocketRoute("/devices/{name}/events", channels.device_socket),
        Route("/events/client", known(channels.client)),
        WebSocketRoute("/events/client", channels.client_socket),
    ]
    return [*routes, Mount(_BELOW, routes=routes)]
