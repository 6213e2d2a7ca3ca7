"""Routes of registered devices.

GET  /devices  /devices/{name}
PUT  /devices/{name}             register with any JSON object, such as the tracks that the device publishes
POST /devices/{name}/heartbeat   for a device that cannot send one over a channel
GET  /server-settings            timeouts that a device can rely on
"""

from __future__ import annotations

import msgspec
from msgspec import UNSET
from starlette.requests import Request

from fencepost.engine.context import Context
from fencepost.errors import Verbatim, invalid_params
from fencepost.http.routes import Routes
from fencepost.resources.values import JsonObject
from fencepost.settings import DeviceSettings
from fencepost.vocabularies.devices.errors import DEVICE_NOT_FOUND
from fencepost.vocabularies.devices.registry import DeviceRegistry
from fencepost.vocabularies.devices.resources import DevicePage, DeviceResource, device_resource
from fencepost.vocabularies.devices.routes.runs import AFTER, LIMIT
from fencepost.vocabularies.devices.runs import Runs
from fencepost.vocabularies.devices.store import Device

device_routes = Routes(also_below="/api")


class DeviceTimeouts(msgspec.Struct, frozen=True, rename="camel"):
    """The timeouts that a device can rely on."""

    register_window_seconds: float
    healthcheck_seconds: float
    silence_seconds: float


@device_routes.route("GET", "/devices", parameters=(LIMIT, AFTER))
async def list_devices(context: Context, request: Request) -> DevicePage:
    """List devices by name."""
    query = request.query_params
    size = LIMIT.read(query)
    found, more = await context.of(DeviceRegistry).list(after=AFTER.read(query), size=size, field=Verbatim("after"))
    page = await _resources(context, *found)
    return DevicePage(page, page[-1].id if more and page else UNSET)


@device_routes.route("GET", "/devices/{name}", errors=(DEVICE_NOT_FOUND,))
async def read_device(context: Context, request: Request) -> DeviceResource:
    """Read a device."""
    return (await _resources(context, await context.of(DeviceRegistry).get(request.path_params["name"])))[0]


@device_routes.route("PUT", "/devices/{name}", body=JsonObject)
async def put_device(context: Context, request: Request, info: bytes) -> DeviceResource:
    """Register a device with any object."""
    if not info.lstrip().startswith(b"{"):
        raise invalid_params("Expected `object`", "")
    return (await _resources(context, await context.of(DeviceRegistry).put(request.path_params["name"], info)))[0]


@device_routes.route("POST", "/devices/{name}/heartbeat", id="seeDevice", body=JsonObject, errors=(DEVICE_NOT_FOUND,))
async def send_heartbeat(context: Context, request: Request, _: bytes) -> DeviceResource:
    """Send a heartbeat."""
    registry, name = context.of(DeviceRegistry), request.path_params["name"]
    await registry.heartbeat(name)
    return (await _resources(context, await registry.get(name)))[0]


@device_routes.route("GET", "/server-settings", id="readPatience")
async def read_timeouts(context: Context, _: Request) -> DeviceTimeouts:
    """Return the timeouts that a device can rely on."""
    settings = context.of(DeviceSettings)
    return DeviceTimeouts(settings.window_seconds, settings.healthcheck_seconds, settings.silence_seconds)


async def _resources(context: Context, *devices: Device) -> list[DeviceResource]:
    tasks = await context.of(Runs).tasks_of(*(device.name for device in devices))
    return [device_resource(device, tasks.get(device.name)) for device in devices]
