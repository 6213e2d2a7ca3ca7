"""Converts engine values to messages of either package; `messages` is the generated module of that package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from fencepost.vocabularies.machines.hardware_document import address_of
from fencepost.vocabularies.machines.plan import Plan
from fencepost.vocabularies.machines.position import State
from fencepost.vocabularies.machines.store import RecordedReport
from fencepost.vocabularies.machines.templates import FoundTemplate, id_of
from fencepost.vocabularies.machines.workflows import MachineWorkflow


def worker_id_of(worker: str, ids: Mapping[str, str]) -> str:
    """Return the worker id for messages: the id of its hardware record, or a MAC address in lower case."""
    return ids.get(worker, address_of(worker))


def context_message(messages: Any, found: MachineWorkflow, ids: Mapping[str, str]) -> Any:
    """Return the context of a workflow; after the last action, that of the last action with state SUCCESS.

    Clients compute the number of finished actions from the index and the state.
    """
    step, state = found.current, found.position.state
    if step is None and found.plan.steps:
        step, state = found.plan.steps[-1], state if found.position.has_ended else State.SUCCESS
    return messages.WorkflowContext(
        workflow_id=found.workflow.id,
        current_worker="" if step is None else worker_id_of(step.worker, ids),
        current_task="" if step is None else step.task_name,
        current_action="" if step is None else step.name,
        current_action_index=0 if step is None else step.action_index,
        current_action_state=int(state),
        total_number_of_actions=len(found.plan.steps),
    )


def actions_message(messages: Any, plan: Plan, ids: Mapping[str, str], *, is_old: bool) -> Any:
    """Return the actions of a workflow; the old package has merged volumes, `on_timeout` and `on_failure`."""
    return messages.WorkflowActionList(
        action_list=[
            messages.WorkflowAction(
                task_name=step.task_name,
                name=step.name,
                image=step.image,
                timeout=step.timeout,
                command=step.command,
                on_timeout=step.on_timeout if is_old else (),
                on_failure=step.on_failure if is_old else (),
                worker_id=worker_id_of(step.worker, ids),
                volumes=step.merged_volumes if is_old else step.volumes,
                environment=step.environment,
                pid=step.pid,
            )
            for step in plan.steps
        ]
    )


def workflow_message(messages: Any, found: MachineWorkflow, hardware: str, *, with_data: bool) -> Any:
    """Return a workflow; `data`, the rendered template, is set `with_data` only, because it is long."""
    return messages.Workflow(
        id=found.workflow.id,
        template=id_of(found.workflow.definition),
        hardware=hardware,
        state=int(found.position.workflow_state),
        created_at=timestamp(found.workflow.created_at),
        updated_at=timestamp(found.workflow.updated_at),
        data=found.plan.text if with_data else "",
    )


def event_message(messages: Any, reported: RecordedReport) -> Any:
    """Return a report; its `workflow_id` stays empty, as in Tinkerbell."""
    return messages.WorkflowActionStatus(
        task_name=reported.task,
        action_name=reported.action,
        action_status=int(State(reported.state)),
        seconds=reported.seconds,
        message=reported.message,
        created_at=timestamp(reported.at),
        worker_id=reported.worker,
    )


def template_message(messages: Any, found: FoundTemplate, *, with_data: bool) -> Any:
    """Return a template; `data`, its text, is set `with_data` only."""
    return messages.WorkflowTemplate(
        id=found.id,
        name=found.name,
        created_at=timestamp(found.created_at),
        updated_at=timestamp(found.updated_at),
        data=found.text if with_data else "",
    )


def timestamp(text: str) -> Timestamp:
    """Return a timestamp from its RFC 3339 text."""
    stamp = Timestamp()
    stamp.FromJsonString(text)
    return stamp
