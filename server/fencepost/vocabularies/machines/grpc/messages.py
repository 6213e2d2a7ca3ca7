"""What the engine knows, as the messages of both packages spell it; `names` is the module generated for one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from fencepost.vocabularies.machines.hardware_document import address_of
from fencepost.vocabularies.machines.machines import MachineWorkflow
from fencepost.vocabularies.machines.plan import Plan
from fencepost.vocabularies.machines.position import State
from fencepost.vocabularies.machines.store import RecordedReport
from fencepost.vocabularies.machines.templates import FoundTemplate, id_of


def told(worker: str, ids: Mapping[str, str]) -> str:
    """Return a worker of a template as messages name it: by the id of its record, or a MAC address in lower case."""
    return ids.get(worker, address_of(worker))


def context_message(names: Any, found: MachineWorkflow, ids: Mapping[str, str]) -> Any:
    """Return where a workflow stands; behind its last action that is the current one, and has succeeded.

    Clients count the actions that are done from its index and state.
    """
    step, state = found.current, found.position.state
    if step is None and found.plan.steps:
        step, state = found.plan.steps[-1], state if found.position.has_ended else State.SUCCESS
    return names.WorkflowContext(
        workflow_id=found.workflow.id,
        current_worker="" if step is None else told(step.worker, ids),
        current_task="" if step is None else step.task_name,
        current_action="" if step is None else step.name,
        current_action_index=0 if step is None else step.action_index,
        current_action_state=int(state),
        total_number_of_actions=len(found.plan.steps),
    )


def actions_message(names: Any, plan: Plan, ids: Mapping[str, str], *, is_old: bool) -> Any:
    """Return the actions of a workflow; the old package has merged volumes, and what to run when one goes wrong."""
    return names.WorkflowActionList(
        action_list=[
            names.WorkflowAction(
                task_name=step.task_name,
                name=step.name,
                image=step.image,
                timeout=step.timeout,
                command=step.command,
                on_timeout=step.on_timeout if is_old else (),
                on_failure=step.on_failure if is_old else (),
                worker_id=told(step.worker, ids),
                volumes=step.merged_volumes if is_old else step.volumes,
                environment=step.environment,
                pid=step.pid,
            )
            for step in plan.steps
        ]
    )


def workflow_message(names: Any, found: MachineWorkflow, hardware: str, *, with_data: bool) -> Any:
    """Return a workflow; its rendered template, which is long, `with_data` only."""
    return names.Workflow(
        id=found.workflow.id,
        template=id_of(found.workflow.definition),
        hardware=hardware,
        state=int(found.position.workflow_state),
        created_at=moment(found.workflow.created_at),
        updated_at=moment(found.workflow.updated_at),
        data=found.plan.text if with_data else "",
    )


def event_message(names: Any, reported: RecordedReport) -> Any:
    """Return what was reported; whose workflow it is was asked for, and is not said."""
    return names.WorkflowActionStatus(
        task_name=reported.task,
        action_name=reported.action,
        action_status=int(State(reported.state)),
        seconds=reported.seconds,
        message=reported.message,
        created_at=moment(reported.at),
        worker_id=reported.worker,
    )


def template_message(names: Any, found: FoundTemplate, *, with_data: bool) -> Any:
    """Return a template; its text `with_data` only."""
    return names.WorkflowTemplate(
        id=found.id,
        name=found.name,
        created_at=moment(found.created_at),
        updated_at=moment(found.updated_at),
        data=found.text if with_data else "",
    )


def moment(text: str) -> Timestamp:
    """Return a time from its text."""
    stamp = Timestamp()
    stamp.FromJsonString(text)
    return stamp
