"""`awf.hardware/*`: hardware records."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from fencepost.domain.payload import object_text
from fencepost.engine.context import Context
from fencepost.errors import invalid_params
from fencepost.resources.values import JsonObject
from fencepost.rpc.registry import Registry
from fencepost.vocabularies.machines.resources import Hardware, hardware_resource
from fencepost.vocabularies.machines.workflows import MachineWorkflows

hardware_methods = Registry()

HardwareId = Annotated[str, Meta(min_length=1, max_length=200, description="id of a hardware record")]


class HardwarePushParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A hardware record: its `id`, its addresses in `network.interfaces`, and any other members."""

    hardware: JsonObject


class HardwareIdParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The id of a hardware record."""

    id: HardwareId


class HardwareListParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A page of hardware records."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    after: Annotated[str, Meta(max_length=200, description="`next` of the previous page")] | None = None


class HardwareResult(msgspec.Struct, frozen=True):
    """A hardware record."""

    resource: Hardware


class HardwareListResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """One page of hardware records; `next` is present if there are more."""

    resources: list[Hardware]
    next: str | UnsetType = UNSET


_RECORD = {
    "id": "0eba0bf8-3772-4b4a-ab9f-6ebe93b90a94",
    "network": {"interfaces": [{"dhcp": {"mac": "52:54:00:12:34:56", "ip": {"address": "192.168.1.5"}}}]},
}


@hardware_methods.method("awf.hardware/push", example={"hardware": _RECORD})
async def push(context: Context, params: HardwarePushParams) -> HardwareResult:
    """Store a hardware record, replacing one with the same id. Templates can name a worker by any of its addresses."""
    text = object_text(params.hardware, "hardware")
    if text is None:
        raise invalid_params("Expected `object`", "hardware")
    return HardwareResult(
        hardware_resource(await context.of(MachineWorkflows).hardware.push(Raw(text), caller=context.caller))
    )


@hardware_methods.method("awf.hardware/get", example={"id": _RECORD["id"]})
async def get(context: Context, params: HardwareIdParams) -> HardwareResult:
    """Get a hardware record."""
    return HardwareResult(hardware_resource(await context.of(MachineWorkflows).hardware.get(params.id)))


@hardware_methods.method("awf.hardware/list", example={"limit": 20})
async def list_(context: Context, params: HardwareListParams) -> HardwareListResult:
    """List the hardware records, ordered by id, page by page."""
    page, more = await context.of(MachineWorkflows).hardware.list(after=params.after, size=params.limit)
    return HardwareListResult([*map(hardware_resource, page)], page[-1].id if more else UNSET)


@hardware_methods.method("awf.hardware/delete", example={"id": _RECORD["id"]})
async def delete(context: Context, params: HardwareIdParams) -> HardwareResult:
    """Delete a hardware record and its addresses, and return it."""
    return HardwareResult(hardware_resource(await context.of(MachineWorkflows).hardware.delete(params.id)))
