"""The record of a flow as the API shows it: stages and tasks in the order in which they were produced."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import UNSET, Raw, UnsetType

from fencepost.vocabularies.taskflow.flow import FlowOptions, JsonObject, TaskDetails, TaskType
from fencepost.vocabularies.taskflow.plan import FlowParent, Plan
from fencepost.vocabularies.taskflow.progress import FlowStatus, Progress, StageStatus, StageView, TaskStatus, TaskView


class TaskRecord(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A task. `response` is the answer of its handler, null without one; after a failure it holds the reason."""

    id: str
    stage_id: str | UnsetType = UNSET
    attempt: int = 0
    meta: JsonObject
    params: JsonObject
    options: FlowOptions
    status: TaskStatus = "WAITING"
    response: Raw | UnsetType = UNSET
    nested_active_running_taskflow_ids: list[str] = msgspec.field(name="nestedActiveRunningTaskFlowIds", default=[])
    nested_taskflows: list[str] = []
    nested_taskflow_id: str | UnsetType | None = UNSET
    name: str
    type: TaskType
    task_details: TaskDetails


class StageRecord(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A stage. `id` and `stageId` are the same: clients read either."""

    id: str
    stage_id: str
    name: str
    status: StageStatus
    tasks: dict[str, TaskRecord]


class FlowRecord(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A flow; `createdAt` is in ms since 1970. `nestedTaskFlows` is present when the whole tree was requested."""

    internal_id: str = msgspec.field(name="_id")
    taskflow_id: str
    name: str | None
    status: FlowStatus
    created_at: int
    parent_taskflow_details: FlowParent | None
    context: JsonObject
    retry_attempt: int
    options: FlowOptions
    stages: dict[str, StageRecord]
    nested_taskflows: Mapping[str, FlowRecord] | UnsetType = msgspec.field(name="nestedTaskFlows", default=UNSET)


def flow_record(plan: Plan, now: Progress, nested: Mapping[str, FlowRecord] | UnsetType = UNSET) -> FlowRecord:
    """Return the record of a run."""
    return FlowRecord(
        internal_id=plan.id,
        taskflow_id=plan.id,
        name=None if plan.flow.name is UNSET else plan.flow.name,
        status=now.status,
        created_at=plan.created_at,
        parent_taskflow_details=plan.parent,
        context=Raw(b"{}") if plan.flow.context is UNSET else plan.flow.context,
        retry_attempt=plan.retry_attempt,
        options=plan.flow.options,
        stages={stage.planned.id: _stage_record(plan, stage) for stage in now.stages},
        nested_taskflows=nested,
    )


def _stage_record(plan: Plan, stage: StageView) -> StageRecord:
    return StageRecord(
        id=stage.planned.id,
        stage_id=stage.planned.id,
        name=stage.planned.name,
        status=stage.status,
        tasks={view.planned.id: _task_record(plan, view) for view in stage.tasks},
    )


def _task_record(plan: Plan, view: TaskView) -> TaskRecord:
    task = view.planned.task
    return TaskRecord(
        id=view.planned.id,
        stage_id=view.planned.stage_id,
        attempt=view.attempt,
        meta=plan.meta,
        params=Raw(task.params_text),
        options=view.planned.options,
        status=view.status,
        response=Raw(view.response),
        nested_active_running_taskflow_ids=[*view.active],
        nested_taskflows=[*view.nested],
        nested_taskflow_id=view.nested[-1] if view.nested else None,
        name=task.name,
        type=task.type,
        task_details=task.task_details,
    )
