"""`awf.machine/*`: workflows of machines for clients without gRPC, and for people."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
import orjson
from msgspec import UNSET, Meta, Raw, UnsetType

from fencepost.domain.definition import Name
from fencepost.domain.payload import object_text
from fencepost.engine.workflows import NewWorkflow
from fencepost.errors import invalid_params
from fencepost.rpc.methods.workflow import WorkflowId
from fencepost.rpc.registry import Context, Registry
from fencepost.vocabularies.machines.position import STATE_NAMES, Report
from fencepost.vocabularies.machines.resources import (
    MachineAction,
    MachineEvent,
    MachineWorkflowResource,
    machine_action,
    machine_event,
    machine_workflow,
)
from fencepost.wire.resources import JsonObject

machine_methods = Registry()

ActionName = Annotated[str, Meta(min_length=1, max_length=200)]
After = Annotated[str, Meta(pattern=r"^[0-9]{1,18}$", description="the `next` of a page that came before")]
Limit = Annotated[int, Meta(ge=1, le=1000)]


class MachineIdParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which workflow."""

    id: WorkflowId


class MachineCreateParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which template, and what it is rendered with."""

    definition: Name
    hardware: Annotated[JsonObject, Meta(description="the data of the template")] | UnsetType = UNSET
    id: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    label: Annotated[str, Meta(min_length=1, max_length=200)] | None = None


class MachineStatusParams(MachineIdParams, frozen=True, forbid_unknown_fields=True):
    """Which workflow, and what to tell beside it."""

    include_actions: Annotated[bool, Meta(description="its actions, in their order")] = msgspec.field(
        name="include-actions?", default=False
    )
    include_template: Annotated[bool, Meta(description="the rendered template")] = msgspec.field(
        name="include-template?", default=False
    )


class MachineContextsParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose turn it is to be."""

    worker: Annotated[str, Meta(min_length=1, max_length=1000, description="a worker's id, or an address of it")]
    all: Annotated[bool, Meta(description="whether it is its turn or not, and those that are over too")] = False


class MachineReportParams(MachineIdParams, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which action of which workflow, and what became of it."""

    task: ActionName
    action: ActionName
    state: Literal["STATE_RUNNING", "STATE_FAILED", "STATE_TIMEOUT", "STATE_SUCCESS"]
    seconds: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1, description="how long it took")] = 0
    message: Annotated[str, Meta(max_length=100_000)] = ""
    worker: Annotated[str, Meta(max_length=1000)] = ""


class MachineEventsParams(MachineIdParams, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which page of which workflow's reports."""

    limit: Limit = 100
    after: After | None = None


class MachineListParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which page."""

    limit: Limit = 100
    after: After | None = None


class MachineDataParams(MachineIdParams, frozen=True, forbid_unknown_fields=True):
    """Which version of what a workflow carries along."""

    version: Annotated[int, Meta(ge=0, le=2**31 - 1, description="0 for the newest")] = 0


class MachinePutDataParams(MachineIdParams, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a workflow carries along from here on."""

    data: JsonObject
    metadata: JsonObject | UnsetType = UNSET


class MachineResult(msgspec.Struct, frozen=True):
    """A workflow of machines."""

    resource: MachineWorkflowResource


class MachineStatusResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """A workflow of machines, and beside it what was asked for."""

    resource: MachineWorkflowResource
    actions: list[MachineAction] | UnsetType = UNSET
    template: str | UnsetType = UNSET


class MachinesResult(msgspec.Struct, frozen=True):
    """Workflows of machines, the oldest first."""

    resources: list[MachineWorkflowResource]


class MachineListResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """One page of workflows of machines; `next` is there while there are more."""

    resources: list[MachineWorkflowResource]
    next: str | UnsetType = UNSET


class MachineEventsResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """One page of reports; `next` is there while there are more."""

    events: list[MachineEvent]
    next: str | UnsetType = UNSET


class MachineDataResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """A version of what a workflow carries along; 0 when there is none. Of an old one the data is gone."""

    version: int
    metadata: Raw | UnsetType = UNSET
    data: Raw | UnsetType = UNSET


class MachineDeletedResult(msgspec.Struct, frozen=True):
    """Which workflow was deleted."""

    id: str


_ID = {"id": "c578a224-c1fa-44c1-bc7a-9d2e624b872b"}
_MAC = "52:54:00:12:34:56"


@machine_methods.method("awf.machine/create", example={"definition": "demo/provision", "hardware": {"device_1": _MAC}})
async def create(context: Context, params: MachineCreateParams) -> MachineResult:
    """Begin a workflow of a template. What its hardware makes of the template must be good, or nothing begins."""
    hardware = object_text(params.hardware, "$.hardware")
    new = NewWorkflow(
        definition=params.definition,
        id=params.id,
        label=params.label,
        params=None if hardware is None else msgspec.json.encode({"hardware": Raw(hardware)}),
        execute_at=None,
        requester=orjson.dumps({"resourceType": "Client", "id": context.caller}),
        caller=context.caller,
    )
    return MachineResult(machine_workflow(await context.engine.machines.create(new)))


@machine_methods.method("awf.machine/status", example={**_ID, "include-actions?": True})
async def status(context: Context, params: MachineStatusParams) -> MachineStatusResult:
    """Tell where a workflow of machines stands, on request with its actions and its rendered template."""
    found = await context.engine.machines.get(params.id)
    return MachineStatusResult(
        machine_workflow(found),
        [*map(machine_action, found.plan.steps)] if params.include_actions else UNSET,
        found.plan.text if params.include_template else UNSET,
    )


@machine_methods.method("awf.machine/contexts", example={"worker": _MAC})
async def contexts(context: Context, params: MachineContextsParams) -> MachinesResult:
    """Tell in which workflows it is a worker's turn; with `all`, in which it has something to do, or had."""
    machines = context.engine.machines
    found = await (machines.all_of(params.worker) if params.all else machines.offers(params.worker))
    return MachinesResult([*map(machine_workflow, found)])


@machine_methods.method(
    "awf.machine/report",
    example={**_ID, "task": "os-installation", "action": "disk-wipe", "state": "STATE_SUCCESS", "seconds": 12},
)
async def report(context: Context, params: MachineReportParams) -> MachineResult:
    """Tell what became of an action. What is said again, or too late, is noted and changes nothing."""
    said = Report(
        params.task, params.action, STATE_NAMES.index(params.state), params.seconds, params.message, params.worker
    )
    await context.engine.machines.report(params.id, said, caller=context.caller)
    return MachineResult(machine_workflow(await context.engine.machines.get(params.id, deleted=True)))


@machine_methods.method("awf.machine/events", example=_ID)
async def events(context: Context, params: MachineEventsParams) -> MachineEventsResult:
    """List what was reported of a workflow, the oldest first, page by page."""
    page, more = await context.engine.machines.reports(params.id, after=int(params.after or 0), size=params.limit)
    return MachineEventsResult([*map(machine_event, page)], str(page[-1].seq) if more else UNSET)


@machine_methods.method("awf.machine/list", example={"limit": 20})
async def list_(context: Context, params: MachineListParams) -> MachineListResult:
    """List the workflows of machines, the oldest first, page by page."""
    page, more = await context.engine.machines.all(after=int(params.after or 0), size=params.limit)
    return MachineListResult([*map(machine_workflow, page)], str(page[-1].seq) if more else UNSET)


@machine_methods.method("awf.machine/delete", example=_ID)
async def delete(context: Context, params: MachineIdParams) -> MachineDeletedResult:
    """Cancel a workflow if it is live, and show it to machines no longer. Its history stays where all history is."""
    await context.engine.machines.delete(params.id, caller=context.caller)
    return MachineDeletedResult(params.id)


@machine_methods.method("awf.machine/data", example=_ID)
async def data(context: Context, params: MachineDataParams) -> MachineDataResult:
    """Give a version of what a workflow carries along for its workers."""
    found = await context.engine.machines.carried.find(params.id, params.version)
    if found is None:
        return MachineDataResult(0)
    return MachineDataResult(found.version, Raw(found.metadata), UNSET if found.data is None else Raw(found.data))


@machine_methods.method("awf.machine/put-data", example={**_ID, "data": {"disk": "/dev/sda"}})
async def put_data(context: Context, params: MachinePutDataParams) -> MachineDataResult:
    """Let a workflow carry something along: a further version, beside which a few older ones are kept."""
    said, about = object_text(params.data, "$.data"), object_text(params.metadata, "$.metadata")
    if said is None:
        raise invalid_params("Expected `object`", "$.data")
    return MachineDataResult(await context.engine.machines.carried.put(params.id, about or b"{}", said))
