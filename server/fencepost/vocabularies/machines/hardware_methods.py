"""`awf.hardware/*`: records of machines."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from fencepost.domain.payload import object_text
from fencepost.errors import invalid_params
from fencepost.rpc.registry import Context, Registry
from fencepost.vocabularies.machines.resources import Hardware, hardware_resource
from fencepost.wire.resources import JsonObject

hardware_methods = Registry()

HardwareId = Annotated[str, Meta(min_length=1, max_length=200, description="id of a machine")]


class HardwarePushParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The record of a machine: its `id`, its addresses in `network.interfaces`, and whatever else it says."""

    hardware: JsonObject


class HardwareIdParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which machine."""

    id: HardwareId


class HardwareListParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which page."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    after: Annotated[str, Meta(max_length=200, description="`next` of the page before")] | None = None


class HardwareResult(msgspec.Struct, frozen=True):
    """A machine."""

    resource: Hardware


class HardwareListResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """One page of machines; `next` is there while there are more."""

    resources: list[Hardware]
    next: str | UnsetType = UNSET


_RECORD = {
    "id": "0eba0bf8-3772-4b4a-ab9f-6ebe93b90a94",
    "network": {"interfaces": [{"dhcp": {"mac": "52:54:00:12:34:56", "ip": {"address": "192.168.1.5"}}}]},
}


@hardware_methods.method("awf.hardware/push", example={"hardware": _RECORD})
async def push(context: Context, params: HardwarePushParams) -> HardwareResult:
    """Keep the record of a machine, in the place of an older one: where a template names an address of it, it works."""
    text = object_text(params.hardware, "$.hardware")
    if text is None:
        raise invalid_params("Expected `object`", "$.hardware")
    return HardwareResult(
        hardware_resource(await context.engine.machines.hardware.push(Raw(text), caller=context.caller))
    )


@hardware_methods.method("awf.hardware/get", example={"id": _RECORD["id"]})
async def get(context: Context, params: HardwareIdParams) -> HardwareResult:
    """Give the record of a machine."""
    return HardwareResult(hardware_resource(await context.engine.machines.hardware.get(params.id)))


@hardware_methods.method("awf.hardware/list", example={"limit": 20})
async def list_(context: Context, params: HardwareListParams) -> HardwareListResult:
    """List the records of machines by id, page by page."""
    page, more = await context.engine.machines.hardware.list(after=params.after, size=params.limit)
    return HardwareListResult([*map(hardware_resource, page)], page[-1].id if more else UNSET)


@hardware_methods.method("awf.hardware/delete", example={"id": _RECORD["id"]})
async def delete(context: Context, params: HardwareIdParams) -> HardwareResult:
    """Forget a machine and its addresses; give what was kept of it."""
    return HardwareResult(hardware_resource(await context.engine.machines.hardware.delete(params.id)))
