"""Runs, tasks and devices on the wire."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
import orjson
from msgspec import UNSET, Meta, Raw, UnsetType

from fencepost.domain.document import Definition
from fencepost.domain.task import Task, workflow_of
from fencepost.domain.workflow import Workflow
from fencepost.resources.values import JsonObject, Time
from fencepost.vocabularies.devices.document import DEVICE_PREFIX, DeviceWorkflow
from fencepost.vocabularies.devices.runs import Run
from fencepost.vocabularies.devices.statuses import reason_of, task_status
from fencepost.vocabularies.devices.store import Device

Next = Annotated[str, Meta(description="`after` of the next page")]
RunId = Annotated[str, Meta(description="id of a run; the workflow of the run has the same id")]


class DeviceTask(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A task of a run: one try of a step."""

    id: str
    workflow_run_id: RunId
    workflow_id: str
    device_id: str
    device_name: str
    action_name: str
    status: Literal["PENDING", "IN_PROGRESS", "COMPLETED", "REJECTED", "ABORTED"]
    attempt: Annotated[int, Meta(description="number of the run's attempt, from 1")]
    step: Annotated[int, Meta(description="number of the step, from 1")]
    created_at: Time
    updated_at: Time
    payload: JsonObject
    reason: Annotated[str, Meta(description="reason of the rejection or abort")] | None = None
    fail_point: Annotated[Raw, Meta(description="where the device wants to resume")] | UnsetType = UNSET
    result: JsonObject | UnsetType = UNSET


class DeviceRun(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A run of a device workflow."""

    id: RunId
    workflow_id: str
    device_id: str
    status: Literal["PENDING", "RUNNING", "RETRYING", "COMPLETED", "FAILED", "ABORTED"]
    attempt: int
    created_at: Time
    updated_at: Time
    ended_at: Time | None = None
    current_task_id: Annotated[str, Meta(description="the live task")] | None = None
    reason: Annotated[str, Meta(description="reason of the failure or abort")] | None = None
    result: JsonObject | UnsetType = UNSET
    error: JsonObject | UnsetType = UNSET
    tasks: list[DeviceTask] | UnsetType = UNSET
    children: Annotated[list[Child], Meta(description="steps that are workflows")] | UnsetType = UNSET


class Child(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A step that is a workflow."""

    id: str
    workflow_id: str
    status: Literal["created", "in-progress", "done"]
    outcome: Literal["succeeded", "failed", "canceled"] | None = None


class DeviceResource(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A device, its liveness and its live task."""

    id: str
    name: str
    connected: Annotated[bool, Meta(description="whether it has a channel and its last heartbeat is recent")]
    created_at: Time
    info: Annotated[JsonObject, Meta(description="the object that it was registered with")]
    seen_at: Annotated[Time, Meta(description="time of its last heartbeat")] | None = None
    current_task_id: str | None = None
    current_run_id: str | None = None


class DeviceWorkflowResource(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A device workflow."""

    id: str
    name: str
    version: int
    steps: list[JsonObject]
    device_id: str | None = None


class DeviceWorkflowPage(msgspec.Struct, frozen=True, omit_defaults=True):
    """One page of device workflows by name; `next` is present when there are more."""

    workflows: list[DeviceWorkflowResource]
    next: Next | UnsetType = UNSET


class DeviceRunPage(msgspec.Struct, frozen=True, omit_defaults=True):
    """One page of runs, the newest first, without their tasks; `next` is present when there are more."""

    runs: list[DeviceRun]
    next: Next | UnsetType = UNSET


class DevicePage(msgspec.Struct, frozen=True, omit_defaults=True):
    """One page of devices by name; `next` is present when there are more."""

    devices: list[DeviceResource]
    next: Next | UnsetType = UNSET


class _TaskParams(msgspec.Struct, frozen=True):
    action_name: str
    payload: Raw
    workflow_id: str
    workflow_run_id: str
    attempt: int
    step: int


class _TaskError(msgspec.Struct, frozen=True, rename="camel"):
    fail_point: Raw | UnsetType = UNSET


def device_task(task: Task) -> DeviceTask:
    """Return a task of a run as a resource."""
    params = _task_params.decode(task.params or b"{}")
    device = task.definition.removeprefix(DEVICE_PREFIX)
    return DeviceTask(
        id=task.id,
        workflow_run_id=workflow_of(task),
        workflow_id=params.workflow_id,
        device_id=device,
        device_name=device,
        action_name=params.action_name,
        status=task_status(task.status, task.outcome, task.error),
        attempt=params.attempt,
        step=params.step,
        created_at=task.created_at,
        updated_at=task.updated_at,
        payload=params.payload,
        reason=reason_of(task.outcome, task.reason_type, task.error),
        fail_point=_task_error.decode(task.error or b"{}").fail_point,
        result=UNSET if task.result is None else Raw(task.result),
    )


def device_run(run: Run, *, whole: bool = True) -> DeviceRun:
    """Return a run as a resource; with `whole`, it includes tasks and children."""
    workflow = run.workflow
    ended = workflow.status == "done"
    live = [task.id for task in run.tasks if task.status != "done"]
    error = orjson.loads(workflow.error or b"{}")
    reason = "canceled" if workflow.outcome == "canceled" else error.get("reason") or workflow.reason_message
    return DeviceRun(
        id=workflow.id,
        workflow_id=workflow.definition,
        device_id=run.device,
        status=run.status,
        attempt=run.attempt,
        created_at=workflow.created_at,
        updated_at=max([workflow.updated_at, *(one.updated_at for one in run.activities)]),
        ended_at=workflow.updated_at if ended else None,
        current_task_id=live[-1] if live and not ended else None,
        reason=reason,
        result=UNSET if workflow.result is None else Raw(workflow.result),
        error=UNSET if workflow.error is None else Raw(workflow.error),
        tasks=[device_task(task) for task in run.tasks] if whole else UNSET,
        children=[*map(_child, run.children)] if whole and run.children else UNSET,
    )


def device_resource(device: Device, task: Task | None) -> DeviceResource:
    """Return a device as a resource; `task` is its live task."""
    return DeviceResource(
        id=device.name,
        name=device.name,
        connected=device.due_at is not None,
        created_at=device.created_at,
        info=Raw(device.info),
        seen_at=device.seen_at,
        current_task_id=None if task is None else task.id,
        current_run_id=None if task is None else workflow_of(task),
    )


def device_workflow(definition: Definition) -> DeviceWorkflowResource:
    """Return a device workflow as a resource."""
    document = definition.document
    assert isinstance(document, DeviceWorkflow), "the caller selects this kind"
    return DeviceWorkflowResource(
        id=document.name,
        name=document.name,
        version=definition.version,
        steps=[Raw(msgspec.json.encode(step)) for step in document.steps],
        device_id=None if document.device is None else str(document.device),
    )


def _child(workflow: Workflow) -> Child:
    return Child(
        workflow.id,
        workflow.definition,
        workflow.status,  # type: ignore[arg-type]  # the database has the same CHECK
        workflow.outcome,  # type: ignore[arg-type]  # likewise
    )


_task_params = msgspec.json.Decoder(_TaskParams)
_task_error = msgspec.json.Decoder(_TaskError)
