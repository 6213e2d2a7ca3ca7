"""Where a workflow of machines stands, what its workers may report of it, and what follows.

The current action is the first in the list that has not succeeded. So a report that comes again, or late, is known by
its place before the current one, and every worker may go on where another one stopped.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Literal, NamedTuple

import msgspec

from fencepost.domain.workflow import Workflow
from fencepost.errors import WORKFLOW_HAS_BEEN_DONE, Refusal, invalid_params
from fencepost.vocabularies.machines.errors import ACTION_MISMATCH
from fencepost.vocabularies.machines.plan import Plan

Verb = Literal["start", "success", "fail"]


class State(IntEnum):
    """The states of actions and workflows, as they are numbered on the wire."""

    PENDING = 0
    RUNNING = 1
    FAILED = 2
    TIMEOUT = 3
    SUCCESS = 4

    @property
    def word(self) -> str:
        """Its name on the wire."""
        return f"STATE_{self.name}"


WORDS = tuple(state.word for state in State)


class Latest(NamedTuple):
    """The action that a workflow began last, as the task that it is."""

    task_id: str
    place: int
    status: str
    outcome: str | None
    error: bytes | None


class Standing(NamedTuple):
    """The place of the current action in the list, and its state; of a workflow that is over, how it ended.

    `task_id` is the task of the current action; none behind the end, and while it is not decided what comes next.
    """

    place: int
    state: State
    is_over: bool
    task_id: str | None

    @property
    def of_workflow(self) -> State:
        """The state of the whole."""
        has_begun = self.place > 0 and self.state is State.PENDING
        return State.RUNNING if has_begun and not self.is_over else self.state


class Report(NamedTuple):
    """What a worker says of an action."""

    task_name: str
    action_name: str
    state: int
    seconds: int
    message: str
    worker: str


class Said(msgspec.Struct, frozen=True, omit_defaults=True):
    """The error of an action, or of a workflow, that did not end well; and the result of one that did.

    `resumed` is an action that its worker did not announce, or began again: it will not announce those that follow.
    """

    state: str
    message: str = ""
    seconds: int = 0
    task: str | None = None
    action: str | None = None
    resumed: bool = False


def standing_of(workflow: Workflow, latest: Latest | None) -> Standing:
    """Return where a workflow stands, by the action that it began last."""
    place, state = _of_action(latest)
    if workflow.status != "done":
        over = state in (State.FAILED, State.TIMEOUT)
        is_there = latest is not None and latest.status != "done"
        return Standing(place, state, over, latest.task_id if latest and is_there else None)
    if workflow.outcome == "succeeded":
        return Standing(place, State.SUCCESS, True, None)
    return Standing(place, said_state(workflow.error, State.FAILED), True, None)


def said_state(error: bytes | None, otherwise: State) -> State:
    """Return FAILED or TIMEOUT as an error says, else what is meant by none."""
    try:
        said = msgspec.json.decode(error or b"null", type=Said)
    except msgspec.ValidationError:
        return otherwise if error is None else State.FAILED
    return State.TIMEOUT if said.state == State.TIMEOUT.word else State.FAILED


def is_resumed(result: bytes | None) -> bool:
    """Return whether the result of an action says that its worker announces none of those that follow."""
    try:
        return msgspec.json.decode(result or b"null", type=Said).resumed
    except msgspec.ValidationError:
        return False


def judge(plan: Plan, standing: Standing, report: Report, *, workflow: Workflow) -> Verb | None:
    """Return what a report does to the current action; None for what was said before or comes too late.

    Workers of some versions repeat for ever what is refused, so refused is only what must not be begun, and what is
    about another action than the current one.
    """
    if report.state not in (State.RUNNING, State.FAILED, State.TIMEOUT, State.SUCCESS):
        words = ", ".join(WORDS[1:])
        raise invalid_params(f"an action can be reported as one of {words}", "$.state")
    step = plan.find(report.task_name, report.action_name)
    if step is None:
        raise _mismatch(plan, standing, report)
    is_running = report.state == State.RUNNING
    if standing.is_over:
        if is_running:
            outcome = workflow.outcome or "failed"
            raise Refusal(WORKFLOW_HAS_BEEN_DONE, at="$.id", id=workflow.id, outcome=outcome)
        return None
    if step.place > standing.place:
        raise _mismatch(plan, standing, report)
    if step.place < standing.place:
        return None
    if is_running:
        return "start" if standing.state is State.PENDING else None
    return "success" if report.state == State.SUCCESS else "fail"


def _of_action(latest: Latest | None) -> tuple[int, State]:
    match latest:
        case None:
            return 0, State.PENDING
        case Latest(status="done", outcome="succeeded"):
            return latest.place + 1, State.PENDING
        case Latest(status="done", outcome="failed"):
            # Nobody said so: its time was over.
            return latest.place, said_state(latest.error, State.TIMEOUT)
        case Latest(status="done"):
            return latest.place, State.FAILED
    return latest.place, State.RUNNING if latest.status == "in-progress" else State.PENDING


def _mismatch(plan: Plan, standing: Standing, report: Report) -> Refusal:
    current = plan.steps[standing.place] if standing.place < len(plan.steps) else None
    is_other_task = current is None or current.task_name != report.task_name
    what, at = ("task", "$.task") if is_other_task else ("action", "$.action")
    return Refusal(ACTION_MISMATCH, at=at, what=what)
