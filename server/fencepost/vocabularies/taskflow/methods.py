"""`awf.taskflow/*`: produce, read, list, cancel and retry flows. Answers are `{success, data}`."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from fencepost.engine.context import Context
from fencepost.resources.cursors import read_position, write_position
from fencepost.rpc.registry import Registry
from fencepost.vocabularies.taskflow.flow import MAX_STAGES, Flow
from fencepost.vocabularies.taskflow.flows import Flows, ProduceRequest
from fencepost.vocabularies.taskflow.record import FlowRecord
from fencepost.vocabularies.taskflow.retry import StageRetry

taskflow_methods = Registry()

TaskflowId = Annotated[str, Meta(min_length=1, max_length=64, description="id of a taskflow")]
RequestId = Annotated[str, Meta(min_length=1, max_length=200, description="idempotency key of this request")]


class ProduceParams(Flow, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """A flow to begin. For a nested flow, `meta` is the meta of the task whose handler produces it."""

    request_id: RequestId | None = None
    exec_id: (
        Annotated[
            UUID, Meta(description="execution of the task that produces the flow; refused when its lease is lost")
        ]
        | None
    ) = None


class TaskflowIdParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The id of a taskflow."""

    taskflow_id: TaskflowId


class RetryParams(TaskflowIdParams, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A taskflow, and the stages and tasks to retry; without `stages`, its options decide."""

    stages: Annotated[list[StageRetry], Meta(min_length=1, max_length=MAX_STAGES)] | None = None
    request_id: RequestId | None = None


class TaskflowListParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Page size and position."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    after: Annotated[str, Meta(max_length=200, description="`next` of the previous page")] | None = None


class Produced(msgspec.Struct, frozen=True, rename="camel"):
    """The id of the flow, and the URL that streams its TASK, STAGE and TASKFLOW events."""

    taskflow_id: str
    event_subscription: str


class ProduceResult(msgspec.Struct, frozen=True):
    """The flow that was produced."""

    data: Produced
    success: Literal[True] = True


class TaskflowResult(msgspec.Struct, frozen=True):
    """A flow, with all nested flows."""

    data: FlowRecord
    success: Literal[True] = True


class TaskflowsResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """One page of flows; `next` is present when there are more."""

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
    """Begin a flow: its stages run one after the other, the tasks of a stage side by side."""
    wanted = ProduceRequest(params, params.request_id, params.exec_id, context.caller)
    id = await context.of(Flows).produce(wanted)
    return ProduceResult(Produced(id, f"{context.origin}/taskflows/{id}/events"))


@taskflow_methods.method("awf.taskflow/details", example=_ID)
async def details(context: Context, params: TaskflowIdParams) -> TaskflowResult:
    """Return a flow: the status, attempt and response of each task, and the nested flows."""
    return TaskflowResult(await context.of(Flows).details(params.taskflow_id))


@taskflow_methods.method("awf.taskflow/list", example={"limit": 10})
async def list_(context: Context, params: TaskflowListParams) -> TaskflowsResult:
    """List flows page by page, the newest first, including nested ones."""
    position = read_position(params.after, "after")
    flows, following = await context.of(Flows).list(position=position, size=params.limit)
    return TaskflowsResult(True, [*flows], UNSET if following is None else write_position(following))


@taskflow_methods.method("awf.taskflow/cancel", example=_ID)
async def cancel(context: Context, params: TaskflowIdParams) -> TaskflowResult:
    """End a flow and its nested flows as CANCELLED: none of its tasks starts afterwards. Idempotent."""
    return TaskflowResult(await context.of(Flows).cancel(params.taskflow_id, caller=context.caller))


@taskflow_methods.method("awf.taskflow/retry", example=_ID)
async def retry(context: Context, params: RetryParams) -> TaskflowResult:
    """Run a flow that has ended again under the same id: every task, or the given stages or tasks of stages.

    With exactlyOnceTaskExecution, tasks that succeeded do not run again. Tasks that never ran begin with their stage.
    """
    flows = context.of(Flows)
    return TaskflowResult(
        await flows.retry(params.taskflow_id, params.stages, params.request_id, caller=context.caller)
    )
