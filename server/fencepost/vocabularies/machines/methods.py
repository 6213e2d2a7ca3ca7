"""`awf.machine/*`: machine workflows over RPC, for clients without gRPC and for operators."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from fencepost.domain.definition import Name
from fencepost.domain.payload import object_text
from fencepost.engine.context import Context
from fencepost.errors import invalid_params
from fencepost.resources.values import JsonObject
from fencepost.rpc.methods.workflow import WorkflowId
from fencepost.rpc.registry import Registry
from fencepost.vocabularies.machines.position import STATE_NAMES, Report
from fencepost.vocabularies.machines.resources import (
    MachineAction,
    MachineEvent,
    MachineWorkflowResource,
    machine_action,
    machine_event,
    machine_workflow,
)
from fencepost.vocabularies.machines.workflows import MachineWorkflows

machine_methods = Registry()

ActionName = Annotated[str, Meta(min_length=1, max_length=200)]
After = Annotated[str, Meta(pattern=r"^[0-9]{1,18}$", description="`next` of the previous page")]
Limit = Annotated[int, Meta(ge=1, le=1000)]


class MachineIdParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The id of a workflow."""

    id: WorkflowId


class MachineCreateParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The template of a new workflow, and the data for rendering it."""

    definition: Name
    hardware: Annotated[JsonObject, Meta(description="the data of the template")] | UnsetType = UNSET
    id: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    label: Annotated[str, Meta(min_length=1, max_length=200)] | None = None


class MachineStatusParams(MachineIdParams, frozen=True, forbid_unknown_fields=True):
    """The id of a workflow, and optional parts of the answer."""

    include_actions: Annotated[bool, Meta(description="include its actions, in order")] = msgspec.field(
        name="include-actions?", default=False
    )
    include_template: Annotated[bool, Meta(description="include the rendered template")] = msgspec.field(
        name="include-template?", default=False
    )


class MachineContextsParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The worker that asks for its workflows."""

    worker: Annotated[str, Meta(min_length=1, max_length=1000, description="id or address of a worker")]
    all: Annotated[bool, Meta(description="include workflows at another worker's action, and ended ones")] = False


class MachineReportParams(MachineIdParams, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The new state of an action."""

    task: ActionName
    action: ActionName
    state: Literal["STATE_RUNNING", "STATE_FAILED", "STATE_TIMEOUT", "STATE_SUCCESS"]
    seconds: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1, description="duration of the action")] = 0
    message: Annotated[str, Meta(max_length=100_000)] = ""
    worker: Annotated[str, Meta(max_length=1000)] = ""


class MachineEventsParams(MachineIdParams, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A page of the reports of a workflow."""

    limit: Limit = 100
    after: After | None = None


class MachineListParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A page of workflows."""

    limit: Limit = 100
    after: After | None = None


class MachineDataParams(MachineIdParams, frozen=True, forbid_unknown_fields=True):
    """A version of the data of a workflow."""

    version: Annotated[int, Meta(ge=0, le=2**31 - 1, description="0 for the newest")] = 0


class MachinePutDataParams(MachineIdParams, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A new version of the data of a workflow."""

    data: JsonObject
    metadata: JsonObject | UnsetType = UNSET


class MachineResult(msgspec.Struct, frozen=True):
    """A machine workflow."""

    resource: MachineWorkflowResource


class MachineStatusResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """A machine workflow, and the parts that were requested."""

    resource: MachineWorkflowResource
    actions: list[MachineAction] | UnsetType = UNSET
    template: str | UnsetType = UNSET


class MachinesResult(msgspec.Struct, frozen=True):
    """Machine workflows, oldest first."""

    resources: list[MachineWorkflowResource]


class MachineListResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """One page of machine workflows, oldest first; `next` is present if there are more."""

    resources: list[MachineWorkflowResource]
    next: str | UnsetType = UNSET


class MachineEventsResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """One page of reports, oldest first; `next` is present if there are more."""

    events: list[MachineEvent]
    next: str | UnsetType = UNSET


class MachineDataResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """A version of the data of a workflow; 0 if there is none. Old versions keep only their metadata."""

    version: int
    metadata: Raw | UnsetType = UNSET
    data: Raw | UnsetType = UNSET


class MachineDeletedResult(msgspec.Struct, frozen=True):
    """The id of the deleted workflow."""

    id: str


_ID = {"id": "c578a224-c1fa-44c1-bc7a-9d2e624b872b"}
_MAC = "52:54:00:12:34:56"


@machine_methods.method("awf.machine/create", example={"definition": "demo/provision", "hardware": {"device_1": _MAC}})
async def create(context: Context, params: MachineCreateParams) -> MachineResult:
    """Create a workflow from a template. The template is rendered with `hardware` and checked first."""
    hardware = object_text(params.hardware, "hardware")
    text = None if hardware is None else msgspec.json.encode({"hardware": Raw(hardware)})
    created = await context.of(MachineWorkflows).create(
        params.definition, text, caller=context.caller, id=params.id, label=params.label
    )
    return MachineResult(machine_workflow(created))


@machine_methods.method("awf.machine/status", example={**_ID, "include-actions?": True})
async def status(context: Context, params: MachineStatusParams) -> MachineStatusResult:
    """Get a machine workflow and its current action, optionally with all actions and the rendered template."""
    found = await context.of(MachineWorkflows).get(params.id)
    return MachineStatusResult(
        machine_workflow(found),
        [*map(machine_action, found.plan.steps)] if params.include_actions else UNSET,
        found.plan.text if params.include_template else UNSET,
    )


@machine_methods.method("awf.machine/contexts", example={"worker": _MAC})
async def contexts(context: Context, params: MachineContextsParams) -> MachinesResult:
    """List the workflows with a current action for a worker; with `all`, every workflow with an action for it."""
    workflows = context.of(MachineWorkflows)
    found = await (workflows.list_of_worker(params.worker) if params.all else workflows.list_offered(params.worker))
    return MachinesResult([*map(machine_workflow, found)])


@machine_methods.method(
    "awf.machine/report",
    example={**_ID, "task": "os-installation", "action": "disk-wipe", "state": "STATE_SUCCESS", "seconds": 12},
)
async def report(context: Context, params: MachineReportParams) -> MachineResult:
    """Report the state of an action. Idempotent: a repeated or late report is recorded and changes nothing."""
    new = Report(
        params.task, params.action, STATE_NAMES.index(params.state), params.seconds, params.message, params.worker
    )
    await context.of(MachineWorkflows).report(params.id, new, caller=context.caller)
    return MachineResult(machine_workflow(await context.of(MachineWorkflows).get(params.id, deleted=True)))


@machine_methods.method("awf.machine/events", example=_ID)
async def events(context: Context, params: MachineEventsParams) -> MachineEventsResult:
    """List the reports of a workflow, oldest first, page by page."""
    page, more = await context.of(MachineWorkflows).list_reports(
        params.id, after=int(params.after or 0), size=params.limit
    )
    return MachineEventsResult([*map(machine_event, page)], str(page[-1].seq) if more else UNSET)


@machine_methods.method("awf.machine/list", example={"limit": 20})
async def list_(context: Context, params: MachineListParams) -> MachineListResult:
    """List the machine workflows, oldest first, page by page."""
    page, more = await context.of(MachineWorkflows).list(after=int(params.after or 0), size=params.limit)
    return MachineListResult([*map(machine_workflow, page)], str(page[-1].seq) if more else UNSET)


@machine_methods.method("awf.machine/delete", example=_ID)
async def delete(context: Context, params: MachineIdParams) -> MachineDeletedResult:
    """Cancel a workflow if it is live, and hide it from lists and workers. Its history stays."""
    await context.of(MachineWorkflows).delete(params.id, caller=context.caller)
    return MachineDeletedResult(params.id)


@machine_methods.method("awf.machine/data", example=_ID)
async def data(context: Context, params: MachineDataParams) -> MachineDataResult:
    """Get a version of the data that the workers of a workflow share."""
    found = await context.of(MachineWorkflows).data.find(params.id, params.version)
    if found is None:
        return MachineDataResult(0)
    return MachineDataResult(found.version, Raw(found.metadata), UNSET if found.data is None else Raw(found.data))


@machine_methods.method("awf.machine/put-data", example={**_ID, "data": {"disk": "/dev/sda"}})
async def put_data(context: Context, params: MachinePutDataParams) -> MachineDataResult:
    """Store a new version of the data that the workers of a workflow share; a few older versions are kept."""
    text, about = object_text(params.data, "data"), object_text(params.metadata, "metadata")
    if text is None:
        raise invalid_params("Expected `object`", "data")
    return MachineDataResult(await context.of(MachineWorkflows).data.put(params.id, about or b"{}", text))
