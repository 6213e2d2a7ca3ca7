"""`awf.device/*`: runs of device workflows, reports of devices, and registered devices."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from fencepost.domain.definition import Name
from fencepost.domain.ids import ChosenId
from fencepost.domain.payload import object_text
from fencepost.engine.context import Context
from fencepost.errors import invalid_params
from fencepost.resources.cursors import read_position, write_position
from fencepost.resources.values import JsonObject
from fencepost.rpc.registry import Registry
from fencepost.vocabularies.devices.document import DeviceName, encode_run_params
from fencepost.vocabularies.devices.registry import DeviceRegistry
from fencepost.vocabularies.devices.reports import ReportBody
from fencepost.vocabularies.devices.resources import (
    DeviceResource,
    DeviceRun,
    DeviceTask,
    device_resource,
    device_run,
    device_task,
)
from fencepost.vocabularies.devices.runs import Runs
from fencepost.vocabularies.devices.statuses import Verb
from fencepost.vocabularies.devices.store import Device

device_methods = Registry()


class RunParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A device workflow, and the device of the run."""

    workflow: Name
    device: Annotated[DeviceName, Meta(description="device of this run; the default is in the document")] | None = None
    payload: Annotated[JsonObject, Meta(description="members for the payload of the first step")] | UnsetType = UNSET
    id: Annotated[ChosenId, Meta(description="idempotency key: the id of the run")] | None = None

    def __post_init__(self) -> None:
        """Refuse a payload that is not an object."""
        object_text(self.payload, "payload")


class RunIdParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The id of a run."""

    id: ChosenId


class RunsParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A device workflow, page size and position."""

    workflow: Name
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    after: Annotated[str, Meta(max_length=200, description="`next` of the previous page")] | None = None


class ReportParams(ReportBody, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The id of a task, and a report about it."""

    id: Annotated[ChosenId, Meta(description="of the task")]
    report: Annotated[Verb, Meta(description="`fail` is the same as `abort`")]

    def __post_init__(self) -> None:
        """Refuse a result that is not an object."""
        object_text(self.result, "result")


class DeviceParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The name of a device."""

    name: DeviceName


class PutDeviceParams(DeviceParams, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The name of a device, and its info."""

    info: JsonObject

    def __post_init__(self) -> None:
        """Refuse an info that is not an object."""
        if object_text(self.info, "info") is None:
            raise invalid_params("Expected `object`", "info")


class DevicesParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Page size and position."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    after: Annotated[str, Meta(max_length=200, description="`next` of the previous page")] | None = None


class RunResult(msgspec.Struct, frozen=True):
    """A run."""

    resource: DeviceRun


class RunsResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """One page of runs, the newest first, without their tasks; `next` is present when there are more."""

    resources: list[DeviceRun]
    next: str | UnsetType = UNSET


class ReportResult(msgspec.Struct, frozen=True):
    """The task after the report."""

    resource: DeviceTask


class DeviceResult(msgspec.Struct, frozen=True):
    """A device."""

    resource: DeviceResource


class DevicesResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """One page of devices; `next` is present when there are more."""

    resources: list[DeviceResource]
    next: str | UnsetType = UNSET


_ID = {"id": "c578a224-c1fa-44c1-bc7a-9d2e624b872b"}


@device_methods.method("awf.device/run", example={"workflow": "demo/patrol", "device": "r2", "payload": {"speed": 0.5}})
async def run(context: Context, params: RunParams) -> RunResult:
    """Begin a run of a device workflow; refused while another run of its device is live."""
    text = encode_run_params(params.device, params.payload)
    begun = await context.of(Runs).begin(params.workflow, text, id=params.id, caller=context.caller)
    return RunResult(device_run(begun))


@device_methods.method("awf.device/run-status", example=_ID)
async def run_status(context: Context, params: RunIdParams) -> RunResult:
    """Return a run with its tasks, the oldest first."""
    return RunResult(device_run(await context.of(Runs).get(params.id)))


@device_methods.method("awf.device/runs", example={"workflow": "demo/patrol", "limit": 10})
async def runs(context: Context, params: RunsParams) -> RunsResult:
    """List the runs of a device workflow, the newest first, page by page."""
    found, following = await context.of(Runs).list(
        params.workflow, position=read_position(params.after, "after"), size=params.limit
    )
    page = [device_run(one, whole=False) for one in found]
    return RunsResult(page, UNSET if following is None else write_position(following))


@device_methods.method("awf.device/stop", example=_ID)
async def stop(context: Context, params: RunIdParams) -> RunResult:
    """End a run and its live task as ABORTED. Idempotent."""
    return RunResult(device_run(await context.of(Runs).stop(params.id, caller=context.caller)))


@device_methods.method("awf.device/report", example={**_ID, "report": "abort", "reason": "unsafe:slope"})
async def report(context: Context, params: ReportParams) -> ReportResult:
    """Report about a task of a run; a repeated report is accepted without effect."""
    wanted = params.to_report(params.report)
    return ReportResult(device_task(await context.of(Runs).report(params.id, wanted, caller=context.caller)))


@device_methods.method("awf.device/put", example={"name": "r2", "info": {"tracks": ["front", "rear"]}})
async def put(context: Context, params: PutDeviceParams) -> DeviceResult:
    """Register a device with any JSON object, or replace that object. Idempotent."""
    device = await context.of(DeviceRegistry).put(str(params.name), bytes(params.info))
    return DeviceResult(await _resource(context, device))


@device_methods.method("awf.device/status", example={"name": "r2"})
async def status(context: Context, params: DeviceParams) -> DeviceResult:
    """Return a device, its info and its live task."""
    return DeviceResult(await _resource(context, await context.of(DeviceRegistry).get(str(params.name))))


@device_methods.method("awf.device/list", example={"limit": 10})
async def list_(context: Context, params: DevicesParams) -> DevicesResult:
    """List devices by name, page by page."""
    found, more = await context.of(DeviceRegistry).list(after=params.after, size=params.limit, field="after")
    tasks = await context.of(Runs).tasks_of(*(device.name for device in found))
    page = [device_resource(device, tasks.get(device.name)) for device in found]
    return DevicesResult(page, page[-1].id if more else UNSET)


async def _resource(context: Context, device: Device) -> DeviceResource:
    return device_resource(device, await context.of(Runs).task_of(device.name))
