"""Routes of registered devices.

GET  /devices  /devices/{name}
PUT  /devices/{name}             register with any JSON object, such as the tracks that the device publishes
POST /devices/{name}/heartbeat   for a device that cannot send one over a channel
GET  /server-settings            timeouts that a device can rely on
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from fencepost.errors import invalid_params
from fencepost.http.queries import number, refuse_unknown
from fencepost.settings import DeviceSettings, Limits
from fencepost.vocabularies.devices.devices import Devices
from fencepost.vocabularies.devices.resources import DeviceResource, device_resource
from fencepost.vocabularies.devices.rest.bodies import json_response, read_json_body
from fencepost.vocabularies.devices.store import Device

_MOST = 1000
_DEFAULT = 100


class DeviceCalls:
    """The handlers."""

    def __init__(self, devices: Devices, limits: Limits, settings: DeviceSettings) -> None:
        self._devices = devices
        self._limits = limits
        self._settings = settings

    async def page(self, request: Request) -> Response:
        """Answer `GET /devices`."""
        query = request.query_params
        refuse_unknown(query, {"limit", "after"})
        size = number(query, "limit", _DEFAULT, _MOST)
        found, more = await self._devices.registry.list(after=query.get("after"), size=size, at="after")
        page = await self._resources(*found)
        return json_response({"devices": page, **({"next": page[-1].id} if more and page else {})})

    async def read(self, request: Request) -> Response:
        """Answer `GET /devices/{name}`."""
        return json_response((await self._resources(await self._devices.registry.get(request.path_params["name"])))[0])

    async def put(self, request: Request) -> Response:
        """Answer `PUT /devices/{name}`."""
        info = await read_json_body(request, self._limits)
        if not info.lstrip().startswith(b"{"):
            raise invalid_params("Expected `object`", "$")
        return json_response(
            (await self._resources(await self._devices.registry.put(request.path_params["name"], info)))[0]
        )

    async def heartbeat(self, request: Request) -> Response:
        """Answer `POST /devices/{name}/heartbeat`."""
        await read_json_body(request, self._limits)
        name = request.path_params["name"]
        await self._devices.registry.heartbeat(name)
        return json_response((await self._resources(await self._devices.registry.get(name)))[0])

    async def settings(self, _: Request) -> Response:
        """Answer `GET /server-settings`: the timeouts; retry limits are not shown."""
        return json_response(
            {
                "registerWindowSeconds": self._settings.window_seconds,
                "healthcheckSeconds": self._settings.healthcheck_seconds,
                "silenceSeconds": self._settings.silence_seconds,
            }
        )

    async def _resources(self, *devices: Device) -> list[DeviceResource]:
        tasks = await self._devices.runs.tasks_of(*(device.name for device in devices))
        return [device_resource(device, tasks.get(device.name)) for device in devices]
