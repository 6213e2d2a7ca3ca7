"""The resources of `awf.machine/*` and `awf.hardware/*` on the wire."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType

from fencepost.resources.values import JsonObject, Time
from fencepost.vocabularies.machines.hardware_store import HardwareRecord
from fencepost.vocabularies.machines.plan import Step, hardware_of
from fencepost.vocabularies.machines.position import State
from fencepost.vocabularies.machines.store import RecordedReport
from fencepost.vocabularies.machines.workflows import MachineWorkflow

StateWord = Literal["STATE_PENDING", "STATE_RUNNING", "STATE_FAILED", "STATE_TIMEOUT", "STATE_SUCCESS"]


class MachineContext(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The current action of a workflow: the first one that has not succeeded; none after the last action."""

    index: int
    state: StateWord
    total: int
    worker: str | UnsetType = UNSET
    task: str | UnsetType = UNSET
    action: str | UnsetType = UNSET


class MachineAction(msgspec.Struct, frozen=True, rename="kebab"):
    """One action, after rendering and merging with its task; `timeout` is in seconds, 0 for none."""

    index: int
    task: str
    name: str
    worker: str
    image: str
    timeout: int
    command: list[str]
    on_timeout: list[str]
    on_failure: list[str]
    volumes: list[str]
    environment: list[str]
    pid: str


class MachineStuck(msgspec.Struct, frozen=True, rename="camel"):
    """A worker that does not accept the end of its workflow: it repeats its last report until it is restarted."""

    since: Time
    last_at: Time
    task: str
    action: str
    worker: str


class MachineWorkflowResource(msgspec.Struct, frozen=True, rename="camel"):
    """A machine workflow and its current action."""

    id: str
    template: str
    state: StateWord
    hardware: JsonObject
    context: MachineContext
    created_at: Time
    updated_at: Time
    stuck: MachineStuck | UnsetType = UNSET


class MachineEvent(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """An accepted report; `changed` is false for a repeated or late one."""

    seq: int
    at: Time
    task: str
    action: str
    state: StateWord
    seconds: int
    message: str
    worker: str
    changed: bool


class Hardware(msgspec.Struct, frozen=True, rename="camel"):
    """A hardware record."""

    id: str
    hardware: JsonObject
    pushed_at: Time


def machine_workflow(found: MachineWorkflow) -> MachineWorkflowResource:
    """Convert a workflow to its resource."""
    return MachineWorkflowResource(
        id=found.workflow.id,
        template=found.workflow.definition,
        state=found.position.workflow_state.wire_name,  # type: ignore[arg-type]  # the enum has the same names
        hardware=Raw(hardware_of(found.workflow.params)),
        context=machine_context(found),
        created_at=found.workflow.created_at,
        updated_at=found.workflow.updated_at,
        stuck=UNSET if found.stuck_worker is None else MachineStuck(*found.stuck_worker),
    )


def machine_context(found: MachineWorkflow) -> MachineContext:
    """Convert the position of a workflow to its resource."""
    step = found.current
    return MachineContext(
        index=found.position.action_index,
        state=found.position.state.wire_name,  # type: ignore[arg-type]  # the enum has the same names
        total=len(found.plan.steps),
        worker=UNSET if step is None else step.worker,
        task=UNSET if step is None else step.task_name,
        action=UNSET if step is None else step.name,
    )


def machine_action(step: Step) -> MachineAction:
    """Convert an action to its resource."""
    return MachineAction(
        index=step.action_index,
        task=step.task_name,
        name=step.name,
        worker=step.worker,
        image=step.image,
        timeout=step.timeout,
        command=[*step.command],
        on_timeout=[*step.on_timeout],
        on_failure=[*step.on_failure],
        volumes=[*step.volumes],
        environment=[*step.environment],
        pid=step.pid,
    )


def machine_event(reported: RecordedReport) -> MachineEvent:
    """Convert a report to its resource."""
    return MachineEvent(
        seq=reported.seq,
        at=reported.at,
        task=reported.task,
        action=reported.action,
        state=State(reported.state).wire_name,  # type: ignore[arg-type]  # the enum has the same names
        seconds=reported.seconds,
        message=reported.message,
        worker=reported.worker,
        changed=reported.transition is not None,
    )


def hardware_resource(record: HardwareRecord) -> Hardware:
    """Convert a hardware record to its resource."""
    return Hardware(record.id, Raw(record.record), record.pushed_at)
