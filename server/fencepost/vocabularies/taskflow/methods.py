"""`awf.taskflow/*`: producing flows, looking at them, cancelling and retrying them. Answers are `{success, data}`."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from fencepost.rpc.registry import Context, Registry
from fencepost.vocabularies.taskflow.flow import MAX_STAGES, Flow
from fencepost.vocabularies.taskflow.flows import ProduceRequest
from fencepost.vocabularies.taskflow.record import FlowRecord
from fencepost.vocabularies.taskflow.retry import StageRetry
from fencepost.wire.pages import read_position, write_position

taskflow_methods = Registry()

TaskflowId = Annotated[str, Meta(min_length=1, max_length=64, description="id of a taskflow")]
RequestId = Annotated[
    str, Meta(min_length=1, max_length=200, description="a name for this request: the same again begins nothing new")
]


class ProduceParams(Flow, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """A flow; `meta` is what a handler was called with, when the flow is nested in its task."""

    request_id: RequestId | None = None
    exec_id: (
        Annotated[UUID, Meta(description="the execution that produces it, to be sure that it still holds")] | None
    ) = None


class TaskflowIdParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Which taskflow."""

    taskflow_id: TaskflowId


class RetryParams(TaskflowIdParams, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Which taskflow, and which stages and tasks of it; without any, as its options say."""

    stages: Annotated[list[StageRetry], Meta(min_length=1, max_length=MAX_STAGES)] | None = None
    request_id: RequestId | None = None


class TaskflowListParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which page."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    after: Annotated[str, Meta(max_length=200, description="`next` of the page before")] | None = None


class Produced(msgspec.Struct, frozen=True, rename="camel"):
    """The flow's id, and where its TASK, STAGE and TASKFLOW events are streamed."""

    taskflow_id: str
    event_subscription: str


class ProduceResult(msgspec.Struct, frozen=True):
    """What was produced."""

    data: Produced
    success: Literal[True] = True


class TaskflowResult(msgspec.Struct, frozen=True):
    """A flow, with all that is nested in it."""

    data: FlowRecord
    success: Literal[True] = True


class TaskflowsResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """One page of flows; `next` is there while there are more."""

    success: bool
    data: list[FlowRecord]
    next: str | UnsetType = UNSET


_ID = {"taskflowId": "c3dec307-99f2-437e-9942-8f7128210ddc"}
_FLOW = {
    "options": {"retryDelay": 5000, "continueOnTaskFailure": True},
    "stages": [
        {
            "name": "createGroup",
            "tasks": [
                {
                    "name": "createGroup",
                    "type": "ACTION",
                    "taskDetails": {"serviceId": "group-core", "actionName": "createGroup"},
                    "params": {"groupId": "sdvn78"},
                }
            ],
        }
    ],
}


@taskflow_methods.method("awf.taskflow/produce", example=_FLOW)
async def produce(context: Context, params: ProduceParams) -> ProduceResult:
    """Begin a flow: its stages one after the other, the tasks of each side by side."""
    wanted = ProduceRequest(params, params.request_id, params.exec_id, context.caller)
    id = await context.engine.taskflows.flows.produce(wanted)
    return ProduceResult(Produced(id, f"{context.origin}/taskflows/{id}/events"))


@taskflow_methods.method("awf.taskflow/details", example=_ID)
async def details(context: Context, params: TaskflowIdParams) -> TaskflowResult:
    """Return a flow as it stands: the status, attempt and response of each task, and the flows nested in it."""
    return TaskflowResult(await context.engine.taskflows.flows.details(params.taskflow_id))


@taskflow_methods.method("awf.taskflow/list", example={"limit": 10})
async def list_(context: Context, params: TaskflowListParams) -> TaskflowsResult:
    """List flows page by page, those that began last first, nested ones too."""
    position = read_position(params.after, "$.after")
    flows, following = await context.engine.taskflows.flows.list(position=position, size=params.limit)
    return TaskflowsResult(True, [*flows], UNSET if following is None else write_position(following))


@taskflow_methods.method("awf.taskflow/cancel", example=_ID)
async def cancel(context: Context, params: TaskflowIdParams) -> TaskflowResult:
    """End a flow as CANCELLED, and the flows nested in it: nothing of it starts afterwards."""
    return TaskflowResult(await context.engine.taskflows.flows.cancel(params.taskflow_id, caller=context.caller))


@taskflow_methods.method("awf.taskflow/retry", example=_ID)
async def retry(context: Context, params: RetryParams) -> TaskflowResult:
    """Run a flow that has ended again under its id: every task, or `stages`, each whole or some of its tasks.

    With exactlyOnceTaskExecution what has succeeded is not run again. What never ran does when its turn comes.
    """
    flows = context.engine.taskflows.flows
    return TaskflowResult(
        await flows.retry(params.taskflow_id, params.stages, params.request_id, caller=context.caller)
    )
