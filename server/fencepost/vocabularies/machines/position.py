"""The position of a machine workflow, and the effect of a worker's report on it.

The current action is the first in the list that has not succeeded. A repeated or late report names an action before
the current one, so it is recognized and changes nothing; and any worker can continue where another one stopped.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Literal, NamedTuple

import msgspec

from fencepost.domain.workflow import Workflow
from fencepost.errors import WORKFLOW_HAS_BEEN_DONE, Refusal, invalid_params
from fencepost.vocabularies.machines.errors import ACTION_MISMATCH
from fencepost.vocabularies.machines.plan import Plan

Transition = Literal["start", "success", "fail"]


class State(IntEnum):
    """States of actions and workflows, with their numbers on the wire."""

    PENDING = 0
    RUNNING = 1
    FAILED = 2
    TIMEOUT = 3
    SUCCESS = 4

    @property
    def wire_name(self) -> str:
        """The name on the wire, such as `STATE_RUNNING`."""
        return f"STATE_{self.name}"


STATE_NAMES = tuple(state.wire_name for state in State)


class LatestAction(NamedTuple):
    """The action that a workflow scheduled last, with the state of its task."""

    task_id: str
    action_index: int
    status: str
    outcome: str | None
    error: bytes | None


class WorkflowPosition(NamedTuple):
    """The index of the current action in the list, and its state; for an ended workflow, its final state.

    `task_id` is the task of the current action; None after the last action, and before the decider has scheduled the
    next one.
    """

    action_index: int
    state: State
    has_ended: bool
    task_id: str | None

    @property
    def workflow_state(self) -> State:
        """The state of the workflow: RUNNING between two actions, else that of the current action."""
        has_begun = self.action_index > 0 and self.state is State.PENDING
        return State.RUNNING if has_begun and not self.has_ended else self.state


class Report(NamedTuple):
    """A worker's report of the state of an action."""

    task_name: str
    action_name: str
    state: int
    seconds: int
    message: str
    worker: str


class ActionResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """The result of an action or workflow that succeeded, or the error of one that did not.

    `resumed` is true if the worker started the action again, or never reported it as running. In that run it does not
    report RUNNING for the following actions either.
    """

    state: str
    message: str = ""
    seconds: int = 0
    task: str | None = None
    action: str | None = None
    resumed: bool = False


def position_of(workflow: Workflow, latest: LatestAction | None) -> WorkflowPosition:
    """Return the position of a workflow, given the action that it scheduled last."""
    index, state = _action_position(latest)
    if workflow.status != "done":
        has_ended = state in (State.FAILED, State.TIMEOUT)
        is_live = latest is not None and latest.status != "done"
        return WorkflowPosition(index, state, has_ended, latest.task_id if latest and is_live else None)
    if workflow.outcome == "succeeded":
        return WorkflowPosition(index, State.SUCCESS, True, None)
    return WorkflowPosition(index, error_state(workflow.error, State.FAILED), True, None)


def error_state(error: bytes | None, otherwise: State) -> State:
    """Return FAILED or TIMEOUT from an error; `otherwise` if there is no error."""
    try:
        result = msgspec.json.decode(error or b"null", type=ActionResult)
    except msgspec.ValidationError:
        return otherwise if error is None else State.FAILED
    return State.TIMEOUT if result.state == State.TIMEOUT.wire_name else State.FAILED


def is_resumed(result: bytes | None) -> bool:
    """Return `resumed` of an action's result; False if the result has another form."""
    try:
        return msgspec.json.decode(result or b"null", type=ActionResult).resumed
    except msgspec.ValidationError:
        return False


def transition_for(plan: Plan, position: WorkflowPosition, report: Report, *, workflow: Workflow) -> Transition | None:
    """Return the transition of the current action that a report asks for; None for a repeated or late report.

    Some versions of workers repeat a refused report forever. So only two things are refused: RUNNING in an ended
    workflow (`workflow-has-been-done`), and an action after the current one or not in the list (`action-mismatch`).
    """
    if report.state not in (State.RUNNING, State.FAILED, State.TIMEOUT, State.SUCCESS):
        names = ", ".join(STATE_NAMES[1:])
        raise invalid_params(f"an action can be reported as one of {names}", "state")
    step = plan.find(report.task_name, report.action_name)
    if step is None:
        raise _action_mismatch(plan, position, report)
    is_running = report.state == State.RUNNING
    if position.has_ended:
        if is_running:
            outcome = workflow.outcome or "failed"
            raise Refusal(WORKFLOW_HAS_BEEN_DONE, field="id", id=workflow.id, outcome=outcome)
        return None
    if step.action_index > position.action_index:
        raise _action_mismatch(plan, position, report)
    if step.action_index < position.action_index:
        return None
    if is_running:
        return "start" if position.state is State.PENDING else None
    return "success" if report.state == State.SUCCESS else "fail"


def _action_position(latest: LatestAction | None) -> tuple[int, State]:
    match latest:
        case None:
            return 0, State.PENDING
        case LatestAction(status="done", outcome="succeeded"):
            return latest.action_index + 1, State.PENDING
        case LatestAction(status="done", outcome="failed"):
            # The error is not a worker's report if the task timed out.
            return latest.action_index, error_state(latest.error, State.TIMEOUT)
        case LatestAction(status="done"):
            return latest.action_index, State.FAILED
    return latest.action_index, State.RUNNING if latest.status == "in-progress" else State.PENDING


def _action_mismatch(plan: Plan, position: WorkflowPosition, report: Report) -> Refusal:
    current = plan.steps[position.action_index] if position.action_index < len(plan.steps) else None
    is_other_task = current is None or current.task_name != report.task_name
    what = "task" if is_other_task else "action"
    return Refusal(ACTION_MISMATCH, field=what, what=what)
