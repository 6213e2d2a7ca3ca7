"""The position of a workflow given its latest action, and the transition that a report gives there."""

from __future__ import annotations

import pytest

from fencepost.domain.workflow import Workflow
from fencepost.errors import Refusal
from fencepost.vocabularies.machines.plan import Plan, plan_of
from fencepost.vocabularies.machines.position import (
    LatestAction,
    Report,
    State,
    Transition,
    WorkflowPosition,
    position_of,
    transition_for,
)
from tests.fixtures.machines import TEMPLATE

PLAN: Plan = plan_of(TEMPLATE, b'{"hardware": {"device_1": "w"}}')
NAMES = [(step.task_name, step.name) for step in PLAN.steps]
TIMED_OUT = b'{"state":"STATE_TIMEOUT"}'


def workflow(status: str = "in-progress", outcome: str | None = None, error: bytes | None = None) -> Workflow:
    row = dict.fromkeys(Workflow._fields)
    return Workflow(**{**row, "id": "w1", "status": status, "outcome": outcome, "error": error})  # type: ignore[arg-type]


def latest(index: int, status: str, outcome: str | None = None, error: bytes | None = None) -> LatestAction:
    return LatestAction("t1", index, status, outcome, error)


@pytest.mark.shows("machines/current-action")
@pytest.mark.parametrize(
    ("last", "index", "state", "of_workflow"),
    [
        (None, 0, State.PENDING, State.PENDING),
        (latest(0, "ready"), 0, State.PENDING, State.PENDING),
        (latest(0, "requested"), 0, State.PENDING, State.PENDING),
        (latest(0, "in-progress"), 0, State.RUNNING, State.RUNNING),
        (latest(0, "done", "succeeded"), 1, State.PENDING, State.RUNNING),
        (latest(1, "ready"), 1, State.PENDING, State.RUNNING),
        (latest(1, "in-progress"), 1, State.RUNNING, State.RUNNING),
        (latest(1, "done", "failed", b'{"state":"STATE_FAILED"}'), 1, State.FAILED, State.FAILED),
        (latest(1, "done", "failed", TIMED_OUT), 1, State.TIMEOUT, State.TIMEOUT),
        (latest(1, "done", "failed"), 1, State.TIMEOUT, State.TIMEOUT),
        (latest(1, "done", "failed", b'{"message":"whatever"}'), 1, State.FAILED, State.FAILED),
        (latest(1, "done", "canceled"), 1, State.FAILED, State.FAILED),
    ],
)
def test_the_current_action_is_the_first_that_has_not_succeeded(
    last: LatestAction | None, index: int, state: State, of_workflow: State
) -> None:
    position = position_of(workflow(), last)
    assert (position.action_index, position.state, position.workflow_state) == (index, state, of_workflow)


def test_an_ended_workflow_has_its_final_state() -> None:
    succeeded = position_of(workflow("done", "succeeded"), latest(2, "done", "succeeded"))
    assert (succeeded.action_index, succeeded.state, succeeded.workflow_state) == (3, State.SUCCESS, State.SUCCESS)
    late = position_of(workflow("done", "failed", TIMED_OUT), latest(1, "done", "canceled"))
    assert (late.action_index, late.state, late.workflow_state) == (1, State.TIMEOUT, State.TIMEOUT)
    canceled = position_of(workflow("done", "canceled"), latest(1, "done", "canceled"))
    assert (canceled.state, canceled.workflow_state) == (State.FAILED, State.FAILED)


def transition_of(
    state: int, index: int = 1, last: LatestAction | None = None, of: Workflow | None = None
) -> Transition | None:
    of = of or workflow()
    return transition_for(PLAN, position_of(of, last), Report(*NAMES[index], state, 0, "", "w"), workflow=of)


PENDING, RUNNING = latest(1, "ready"), latest(1, "in-progress")


@pytest.mark.shows("machines/state-running")
@pytest.mark.parametrize(
    ("last", "state", "transition"),
    [
        (PENDING, State.RUNNING, "start"),
        (PENDING, State.SUCCESS, "success"),
        (PENDING, State.FAILED, "fail"),
        (PENDING, State.TIMEOUT, "fail"),
        (RUNNING, State.RUNNING, None),
        (RUNNING, State.SUCCESS, "success"),
        (RUNNING, State.FAILED, "fail"),
        (RUNNING, State.TIMEOUT, "fail"),
    ],
)
def test_a_report_of_the_current_action_gives_a_transition(
    last: LatestAction, state: State, transition: Transition | None
) -> None:
    assert transition_of(state, last=last) == transition


@pytest.mark.parametrize("state", [State.RUNNING, State.SUCCESS, State.FAILED, State.TIMEOUT])
def test_a_report_of_a_succeeded_action_gives_no_transition(state: State) -> None:
    assert transition_of(state, index=0, last=PENDING) is None


@pytest.mark.parametrize("state", [State.SUCCESS, State.FAILED, State.TIMEOUT])
@pytest.mark.parametrize("index", [0, 1, 2])
@pytest.mark.parametrize("of", [workflow("done", "failed", TIMED_OUT), workflow("done", "canceled"), workflow()])
def test_a_late_terminal_report_gives_no_transition(index: int, state: State, of: Workflow) -> None:
    assert transition_of(state, index, latest(1, "done", "failed"), of) is None


@pytest.mark.parametrize("of", [workflow("done", "succeeded"), workflow("done", "canceled"), workflow()])
def test_running_in_an_ended_workflow_is_refused(of: Workflow) -> None:
    with pytest.raises(Refusal, match="workflow 'w1' is done already"):
        transition_of(State.RUNNING, 1, latest(1, "done", "failed"), of)


@pytest.mark.parametrize(
    ("names", "word", "path"),
    [
        (NAMES[0], None, None),
        (("os-installation", "nothing"), "action", "action"),
        (("nothing", "disk-wipe"), "task", "task"),
        (NAMES[2], "task", "task"),
    ],
)
@pytest.mark.parametrize("state", [State.RUNNING, State.SUCCESS, State.FAILED, State.TIMEOUT])
def test_a_report_of_a_later_or_unknown_action_is_refused(
    names: tuple[str, str], word: str | None, path: str | None, state: State
) -> None:
    report = Report(*names, state, 0, "", "w")
    if word is None:
        assert transition_for(PLAN, position_of(workflow(), PENDING), report, workflow=workflow()) is None
        return
    with pytest.raises(Refusal, match=f"reported {word} name does not match the current action details") as refused:
        transition_for(PLAN, position_of(workflow(), PENDING), report, workflow=workflow())
    assert refused.value.field == path


@pytest.mark.shows("machines/report-pending")
@pytest.mark.parametrize("state", [State.PENDING, 5, -1])
def test_a_report_of_pending_is_refused(state: int) -> None:
    with pytest.raises(Refusal, match="an action can be reported as one of STATE_RUNNING, STATE_FAILED"):
        transition_of(state, last=PENDING)


def test_between_two_actions_the_next_one_is_pending() -> None:
    between: WorkflowPosition = position_of(workflow(), latest(0, "done", "succeeded"))
    assert (between.action_index, between.state) == (1, State.PENDING)
    assert transition_of(State.SUCCESS, 0, latest(0, "done", "succeeded")) is None
