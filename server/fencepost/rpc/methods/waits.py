"""Calls that wait for the end of a task or workflow, in the memory of the server (engine/waits.py)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from fencepost.engine.context import Context
from fencepost.engine.outcomes import Outcomes, gather
from fencepost.errors import WORKFLOW_NOT_FOUND, Refusal
from fencepost.resources.tasks import task_resource
from fencepost.resources.workflows import workflow_resource
from fencepost.rpc.methods.executor import TaskId, TaskResult
from fencepost.rpc.methods.polls import wait_seconds
from fencepost.rpc.methods.task import NewTaskParams, ended_task
from fencepost.rpc.methods.workflow import WorkflowId, WorkflowResult
from fencepost.rpc.registry import Registry

wait_methods = Registry()

Timeout = Annotated[int, Meta(ge=0, le=2**53, description="maximum wait in ms")]
_MILLISECONDS = 50_000


class WaitParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A task, and the time to wait for its end."""

    id: TaskId
    timeout: Timeout = _MILLISECONDS


class WorkflowWaitParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A workflow, and the time to wait for its end."""

    id: WorkflowId
    timeout: Timeout = _MILLISECONDS


class CreateAndWaitParams(NewTaskParams, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """A new task, and the time to wait for its end."""

    timeout: Timeout = _MILLISECONDS


@wait_methods.batched("awf.task/wait-for", example={"id": "c578a224-c1fa-44c1-bc7a-9d2e624b872b", "timeout": 50000})
async def wait_for(context: Context, calls: Sequence[WaitParams]) -> Outcomes[TaskResult]:
    """Get a task as soon as it is done, or after `timeout` as it is then; its status says which."""
    return await gather(_ended(context, call) for call in calls)


@wait_methods.batched(
    "awf.task/create-and-wait",
    example={"definition": "demo/resize", "id": "image-93", "params": {"width": 320}, "timeout": 50000},
)
async def create_and_wait(context: Context, calls: Sequence[CreateAndWaitParams]) -> Outcomes[TaskResult]:
    """Create a task, and answer as `wait-for` does. Idempotent as a create is; a hang-up does not cancel the task."""
    return await gather(_created_and_ended(context, call) for call in calls)


@wait_methods.batched("awf.workflow/wait-for", example={"id": "c578a224-c1fa-44c1-bc7a-9d2e624b872b", "timeout": 50000})
async def wait_for_workflow(context: Context, calls: Sequence[WorkflowWaitParams]) -> Outcomes[WorkflowResult]:
    """Get a workflow as soon as it is done, or after `timeout` as it is then; its status says which."""
    return await gather(_ended_workflow(context, call) for call in calls)


async def _created_and_ended(context: Context, call: CreateAndWaitParams) -> TaskResult:
    # Before the create: a call that is refused creates nothing.
    seconds = wait_seconds(context, call.timeout, "timeout")
    (created,) = await context.engine.tasks.create([call.new_task(context.caller)], short=True)
    if isinstance(created, Exception):
        raise created
    return TaskResult(resource=task_resource(await ended_task(context, created.task.id, seconds)))


async def _ended(context: Context, call: WaitParams) -> TaskResult:
    seconds = wait_seconds(context, call.timeout, "timeout")
    return TaskResult(resource=task_resource(await ended_task(context, call.id, seconds)))


async def _ended_workflow(context: Context, call: WorkflowWaitParams) -> WorkflowResult:
    found = await context.engine.workflow_waits.wait(call.id, wait_seconds(context, call.timeout, "timeout"))
    if found is None:
        raise Refusal(WORKFLOW_NOT_FOUND, field="id", id=call.id)
    return WorkflowResult(workflow_resource(found.workflow))
