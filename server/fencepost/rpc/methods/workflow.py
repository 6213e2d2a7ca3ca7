"""`awf.workflow/*` for clients: create, status, list, signal and cancel. The methods of deciders are in executor.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from fencepost.domain.definition import Name
from fencepost.domain.listing import Filter
from fencepost.domain.payload import object_text
from fencepost.domain.workflow import Workflow
from fencepost.engine.context import Context
from fencepost.engine.outcomes import Outcomes
from fencepost.engine.workflows import NewWorkflow, Signal
from fencepost.resources.cursors import read_position, write_position
from fencepost.resources.tasks import AidboxTask, AidboxTaskLog, task_resource
from fencepost.resources.values import JsonObject
from fencepost.resources.workflows import AidboxWorkflow, workflow_log, workflow_resource
from fencepost.rpc.methods.task import (
    SOUGHT,
    CreateParams,
    ListSort,
    OutcomeName,
    SearchedTo,
    made_anew,
    order,
    part,
    several,
)
from fencepost.rpc.registry import Registry

workflow_methods = Registry()

WorkflowId = Annotated[str, Meta(min_length=1, max_length=64, description="id of a workflow")]
Status = Literal["created", "in-progress", "done"]
After = Annotated[str, Meta(pattern="^[1-9][0-9]{0,17}$", description="`…-next` of the previous page")] | None


class WorkflowIdParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The id of a workflow."""

    id: WorkflowId


class WorkflowStatusParams(WorkflowIdParams, frozen=True, forbid_unknown_fields=True):
    """The id of a workflow, and optional parts of the answer."""

    include_activities: Annotated[bool, Meta(description="include its activities: tasks and child workflows")] = (
        msgspec.field(name="include-activities?", default=False)
    )
    include_decisions: Annotated[bool, Meta(description="include its decision tasks")] = msgspec.field(
        name="include-decisions?", default=False
    )
    activities_after: After = msgspec.field(name="activities-after", default=None)
    decisions_after: After = msgspec.field(name="decisions-after", default=None)
    include_log: Annotated[bool, Meta(description="include its own log")] = msgspec.field(
        name="include-log?", default=False
    )


class SignalParams(WorkflowIdParams, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A signal to a workflow."""

    name: Annotated[str, Meta(min_length=1, max_length=200, description="name of the signal")]
    payload: JsonObject | UnsetType = UNSET
    signal_id: (
        Annotated[str, Meta(min_length=1, max_length=200, description="idempotency key within the workflow")] | None
    ) = msgspec.field(name="signal-id", default=None)

    def __post_init__(self) -> None:
        """Raise Refusal unless the payload is an object."""
        object_text(self.payload, "payload")


class WorkflowListFilter(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """A filter of workflows; all given members must match."""

    include_definitions: Annotated[list[Name], Meta(max_length=1000)] | None = None
    exclude_definitions: Annotated[list[Name], Meta(max_length=1000)] | None = None
    status: Status | list[Status] | None = None
    outcome: OutcomeName | list[OutcomeName] | None = None
    ilike: Annotated[str, Meta(max_length=1000, description=SOUGHT)] | None = None


class WorkflowListParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A page of workflows."""

    filter: WorkflowListFilter = WorkflowListFilter()
    sort: ListSort = ListSort()
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    after: Annotated[str, Meta(max_length=200, description="`next` of the previous page")] | None = None


class WorkflowResult(msgspec.Struct, frozen=True):
    """One workflow."""

    resource: AidboxWorkflow


class WorkflowStatusResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """A workflow, and the requested parts, oldest first."""

    resource: AidboxWorkflow
    activities: list[AidboxTask | AidboxWorkflow] | UnsetType = UNSET
    activities_next: str | UnsetType = msgspec.field(name="activities-next", default=UNSET)
    decisions: list[AidboxTask] | UnsetType = UNSET
    decisions_next: str | UnsetType = msgspec.field(name="decisions-next", default=UNSET)
    log: list[AidboxTaskLog] | UnsetType = UNSET


class WorkflowListResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """One page of workflows; `next` is present if there are more."""

    resources: list[AidboxWorkflow]
    next: str | UnsetType = UNSET
    searched_to: SearchedTo | UnsetType = msgspec.field(name="searchedTo", default=UNSET)


_ID = {"id": "c578a224-c1fa-44c1-bc7a-9d2e624b872b"}


@workflow_methods.batched(
    "awf.workflow/create-and-execute",
    example={"definition": "demo/order", "params": {"customer": "c-17"}},
    small=made_anew,
    together=64,
)
async def create_and_execute(context: Context, calls: Sequence[CreateParams]) -> Outcomes[WorkflowResult]:
    """Create a workflow: in progress, or created until `executeAt`. Idempotent for the same `id` and content."""
    news = [
        NewWorkflow(
            call.definition,
            call.id,
            call.label,
            object_text(call.params, "params"),
            call.execute_at,
            context.caller,
        )
        for call in calls
    ]
    return [
        one if isinstance(one, Exception) else WorkflowResult(workflow_resource(one))
        for one in await context.engine.workflows.create(news)
    ]


@workflow_methods.method("awf.workflow/status", example={**_ID, "include-activities?": True})
async def status(context: Context, params: WorkflowStatusParams) -> WorkflowStatusResult:
    """Get a workflow, optionally with its activities, its decisions and its log."""
    found = await context.engine.workflows.get(params.id)
    parts: dict[str, Any] = {}
    if params.include_activities:
        page = await context.engine.workflows.show_begun(found.seq, after=_number(params.activities_after))
        parts["activities"] = [
            workflow_resource(one) if isinstance(one, Workflow) else task_resource(one) for one in page.items
        ]
        parts["activities_next"] = UNSET if page.following is None else str(page.following)
    if params.include_decisions:
        made = await context.engine.workflows.show_decisions(found.seq, after=_number(params.decisions_after))
        parts["decisions"] = [*map(task_resource, made.items)]
        parts["decisions_next"] = UNSET if made.following is None else str(made.following)
    if params.include_log:
        parts["log"] = workflow_log(found.workflow, found.steps)
    return WorkflowStatusResult(workflow_resource(found.workflow), **parts)


def _number(word: str | None) -> int | None:
    return None if word is None else int(word)


@workflow_methods.batched(
    "awf.workflow/signal", example={**_ID, "name": "approved", "payload": {"by": "ann"}, "signal-id": "mail-93"}
)
async def signal(context: Context, calls: Sequence[SignalParams]) -> Outcomes[WorkflowResult]:
    """Signal a live workflow; its decider gets the event `awf.workflow.event/signal` with name and payload."""
    signals = [Signal(call.id, call.name, object_text(call.payload, "payload"), call.signal_id) for call in calls]
    return [
        one if isinstance(one, Exception) else WorkflowResult(workflow_resource(one))
        for one in await context.engine.workflows.signal(signals)
    ]


@workflow_methods.method("awf.workflow/cancel", example=_ID)
async def cancel(context: Context, params: WorkflowIdParams) -> WorkflowResult:
    """Cancel a live workflow with all its activities, to any depth; none of them starts afterwards."""
    workflow = await context.engine.workflows.cancel(params.id, caller=context.caller)
    return WorkflowResult(workflow_resource(workflow))


@workflow_methods.method(
    "awf.workflow/list", example={"filter": {"status": "in-progress"}, "sort": {"createdAt": "desc"}, "limit": 20}
)
async def list_(context: Context, params: WorkflowListParams) -> WorkflowListResult:
    """List workflows page by page, by default newest first."""
    sort, direction = order(params.sort)
    wanted = params.filter
    page = await context.engine.workflows.list(
        Filter(
            include=wanted.include_definitions,
            exclude=wanted.exclude_definitions,
            statuses=several(wanted.status),
            outcomes=several(wanted.outcome),
            pattern=None if wanted.ilike is None else part(wanted.ilike),
        ),
        sort=sort,
        direction=direction,
        position=read_position(params.after, "after"),
        size=params.limit,
    )
    following = UNSET if page.position is None else write_position(page.position)
    resources = [workflow_resource(workflow) for workflow in page.workflows]
    return WorkflowListResult(resources, following, page.searched_to or UNSET)
