"""The rules of people tasks, without a server: processes, replay, commands, the decider of lists."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson
import pytest

from fencepost.domain.decider import Activity, Event, Facts
from fencepost.domain.workflow import Workflow
from fencepost.errors import Refusal
from fencepost.vocabularies.people.commands import (
    Cancel,
    ChangeStatusIfRequired,
    Claim,
    Command,
    Complete,
    Member,
    NewEvent,
    Transfer,
    Unclaim,
    core_transitions,
    validate,
)
from fencepost.vocabularies.people.commands import decide as decide_command
from fencepost.vocabularies.people.decider import decide
from fencepost.vocabularies.people.html import history_html
from fencepost.vocabularies.people.process import ProcessDefinition, ProcessStep, TaskFields
from fencepost.vocabularies.people.statuses import ACTIVE, STATUS_NAMES, allowed_statuses
from fencepost.vocabularies.people.streams import CoreChange, CurrentValues, TaskEvent, replay
from fencepost.vocabularies.people.task import CoreTask, PeopleTask

READY = CoreTask(7, "t-7", "ready", None, None, "2026-01-01T00:00:00.000000Z", 1, 1)
INITIAL = CurrentValues("HR", None, "PE", "M", "2026-01-04T00:00:00.000000Z", None)
ANN = Member("ann", frozenset({"HR"}))
EVE = Member("eve", frozenset({"IT"}))


def process(*steps: dict[str, Any], **members: Any) -> ProcessDefinition:
    """Return a compiled process."""
    document = {"kind": "process", "name": "hr/onboard", "steps": list(steps), **members}
    declared = msgspec.json.decode(orjson.dumps(document), type=ProcessDefinition)
    declared.compile()
    return declared


def step(code: str = "ASK", **members: Any) -> dict[str, Any]:
    """Return a step."""
    return {"code": code, "assignToTeam": "HR", "createAtProcessStart": True, **members}


def at(second: int) -> str:
    return f"2026-01-02T00:00:{second:02}.000000Z"


def status(second: int, value: str, *, id: int = 1, processed: bool = True) -> TaskEvent:
    return TaskEvent("status", id, at(second), "ann", processed, (value,), (7, 1))


def task(current: CurrentValues = INITIAL, core: CoreTask = READY, flow: str = "M") -> PeopleTask:
    """Return a task with these current values."""
    fields = TaskFields(
        task_list="L-1",
        line_number=1,
        process_step="ASK",
        flow=flow,  # type: ignore[arg-type]
        department="HR",
        description="<b>ask</b>",
        initial_assigned_to_team="HR",
        initial_task_status="PE",
        initial_priority="M",
    )
    text = msgspec.json.encode(fields)
    return PeopleTask(
        7,
        "t-7",
        3,
        "L-1",
        "hr/onboard",
        1,
        True,
        1,
        text,
        at(0),
        at(0),
        None,
        None,
        None,
        None,
        None,
        current,
        core,
        None,
    )


def workflow(params: Any, **members: Any) -> Workflow:
    row: dict[str, Any] = dict.fromkeys(Workflow._fields)
    return Workflow(
        **{
            **row,
            "id": "L-1",
            "requester": b'{"resourceType":"Client","id":"ann"}',
            "params": orjson.dumps(params),
            **members,
        }
    )


def _read(raw: Any) -> Any:
    return orjson.loads(bytes(raw))


def activity(label: str, outcome: str | None, params: bytes, result: bytes | None = None) -> Activity:
    return Activity(label, label, "awf.people/task", False, params, outcome, result, None)


# Processes


@pytest.mark.shows("people/first-status")
@pytest.mark.parametrize(
    ("members", "path"),
    [
        ({"name": "hr/a-name-too-long-for-a-code"}, "name"),
        ({"name": "a/b/c/d/e/f"}, "name"),
        ({"code": "other"}, "code"),
        ({"specSet": {"input": {"type": "nothing"}}}, "specSet.input"),
        ({"steps": [step(), step()]}, "steps[1].code"),
        ({"steps": [step(assignToTeam=None)]}, "steps[0].assignToTeam"),
        ({"steps": [step(handlerType="BATCH_JOB", initialTaskStatus="AS")]}, "steps[0].initialTaskStatus"),
        ({"steps": [step(initialTaskStatus="CO")]}, "steps[0].initialTaskStatus"),
        ({"steps": [step(initialTaskStatus="CA")]}, "steps[0].initialTaskStatus"),
        ({"steps": [step(definition="demo/x")]}, "steps[0].definition"),
    ],
)
def test_an_invalid_process_is_refused_at_its_field(members: dict[str, Any], path: str) -> None:
    with pytest.raises(Refusal) as caught:
        process(**members)
    assert caught.value.field == path


@pytest.mark.shows("people/spec-set-input")
@pytest.mark.parametrize(
    ("params", "path"),
    [
        ({}, "params.department"),
        ({"department": 5}, "params.department"),
        ({"department": "HR", "sourceDocument": "x"}, "params.sourceDocument"),
        ({"department": "HR", "input": []}, "params.input"),
        ({"department": "HR", "input": {"n": "x"}}, "params.input.n"),
    ],
)
def test_invalid_params_of_a_list_are_refused_at_their_field(params: Any, path: str) -> None:
    declared = process(specSet={"input": {"properties": {"n": {"type": "integer"}}}})
    with pytest.raises(Refusal) as caught:
        declared.begin(orjson.dumps(params))
    assert caught.value.field == path


def test_cross_department_refuses_a_task_with_the_department_of_its_list() -> None:
    declared = process(step(), crossDepartment=True)
    with pytest.raises(Refusal) as caught:
        declared.begin(b'{"department": "HR"}')
    assert caught.value.field == "params.department"
    process(step(department="IT"), crossDepartment=True).begin(b'{"department": "HR"}')
    process(step()).begin(b'{"department": "HR"}')


def test_a_process_that_names_a_department_requires_other_departments_by_default() -> None:
    for params in (b"{}", b'{"department": "IT"}'):
        with pytest.raises(Refusal, match="must differ from that of its list") as caught:
            process(step(), department="HR").begin(params)
        assert caught.value.field == "params.department"
    process(step(department="IT"), department="HR").begin(b"{}")
    process(step(), department="HR", crossDepartment=False).begin(b"{}")


@pytest.mark.shows("people/first-status-user")
@pytest.mark.parametrize("given", [*STATUS_NAMES])
def test_a_task_without_a_user_starts_as_pending_instead_of_an_active_status(given: str) -> None:
    one = msgspec.convert({"code": "ASK", "initialTaskStatus": given}, ProcessStep)
    assert one.status_for(None) == ("PE" if given in ACTIVE else given)
    assert one.status_for("ann") == given


# Replay


@pytest.mark.shows("people/replay")
def test_a_replay_starts_from_the_initial_values_and_applies_every_processed_event() -> None:
    events = [
        status(1, "AS", id=2),
        TaskEvent("transfer", 1, at(1), "ann", True, ("HR", "ann")),
        TaskEvent("plan", 3, at(3), "ann", True, ("H", at(50))),
        status(4, "CO", id=4),
    ]
    assert replay(INITIAL, events, []).current == CurrentValues("HR", "ann", "CO", "H", at(50), at(4))
    assert replay(INITIAL, [], []).current == INITIAL


def test_a_replay_lists_a_draft_without_applying_it() -> None:
    played = replay(INITIAL, [status(1, "AS", processed=False)], [])
    assert (played.current, len(played.history)) == (INITIAL, 1)


def test_a_replay_applies_events_by_time_and_not_by_number() -> None:
    assert replay(INITIAL, [status(5, "IN", id=1), status(3, "AS", id=2)], []).current.status == "IN"


@pytest.mark.shows("people/completion-time")
def test_the_completion_time_is_that_of_the_latest_completion_and_null_after_a_reopening() -> None:
    again = [status(1, "CO", id=1), status(2, "IN", id=2), status(3, "CO", id=3)]
    assert replay(INITIAL, again, []).current.completion_date_time == at(3)
    assert replay(INITIAL, again[:2], []).current.completion_date_time is None


def test_a_replay_shows_changes_of_the_core_task_as_status_events() -> None:
    changes = [
        CoreChange(at(1), 7, 2, "requested", None, "w", None),
        CoreChange(at(1), 7, 3, "in-progress", None, "w", None),
        CoreChange(at(2), 7, 4, "waiting", None, "w", "no paper"),
        CoreChange(at(3), 7, 5, "ready", None, "awf.engine", None),
        CoreChange(at(4), 7, 6, "in-progress", None, "w", None),
        CoreChange(at(5), 7, 7, "done", "failed", "w", "no paper"),
    ]
    played = replay(INITIAL, [], changes)
    assert [(event.values[0], event.reason) for event in played.history] == [
        ("IN", None),
        ("PE", "no paper"),
        ("IN", None),
        ("EX", "no paper"),
    ]
    assert played.current.status == "EX"


def test_a_change_of_the_core_task_that_an_event_caused_is_not_a_second_event() -> None:
    changes = [
        CoreChange(at(1), 7, 2, "requested", None, "ann", None),
        CoreChange(at(1), 7, 3, "in-progress", None, "ann", None),
    ]
    played = replay(INITIAL, [status(1, "WA")], changes)
    assert [event.values for event in played.history] == [("WA",)]


def test_a_status_set_during_one_execution_does_not_apply_to_the_next() -> None:
    changes = [
        CoreChange(at(1), 7, 2, "in-progress", None, "w", None, "one"),
        # At the same time as the release before it, which therefore does not show.
        CoreChange(at(3), 7, 4, "in-progress", None, "w", None, "two"),
    ]
    given = status(2, "LO")._replace(log_position=(7, 2))
    assert replay(INITIAL, [given], changes[:1]).current.status == "LO"
    assert replay(INITIAL, [given], changes).current.status == "IN"


# Commands


def test_a_claim_records_a_transfer_and_a_status() -> None:
    assert decide_command(Claim(), task(), ANN) == (NewEvent("transfer", ("HR", "ann")), NewEvent("status", ("AS",)))


def test_a_repeated_claim_by_the_assignee_records_nothing() -> None:
    assert decide_command(Claim(), task(INITIAL._replace(status="AS", user="ann")), ANN) == ()


@pytest.mark.parametrize(
    ("command", "current", "actor", "type"),
    [
        (Claim(), INITIAL, EVE, "not-a-member"),
        (Claim(), INITIAL._replace(status="AS", user="bob"), ANN, "people-task-taken"),
        (Claim(), INITIAL._replace(status="EX"), ANN, "people-task-taken"),
        (Unclaim(), INITIAL._replace(status="CO", user="ann"), ANN, "people-task-completed"),
        (Unclaim(), INITIAL._replace(status="AS", user="bob"), EVE, "not-a-member"),
        (Transfer("IT", None), INITIAL._replace(status="CA"), ANN, "people-task-completed"),
        (ChangeStatusIfRequired("IN"), INITIAL, ANN, "user-needed"),
        (Complete(), INITIAL, EVE, "not-a-member"),
        (Complete(), INITIAL._replace(status="CO", user="al"), ANN, "people-task-completed"),
        (Cancel(), INITIAL._replace(status="CO", user="ann"), ANN, "people-task-completed"),
    ],
)
def test_a_command_that_is_not_allowed_is_refused(
    command: Command, current: CurrentValues, actor: Member, type: str
) -> None:
    with pytest.raises(Refusal) as caught:
        decide_command(command, task(current), actor)
    assert caught.value.kind.type == type


@pytest.mark.parametrize("given", [*STATUS_NAMES])
def test_an_active_status_needs_a_user(given: str) -> None:
    if given in ACTIVE:
        with pytest.raises(Refusal):
            decide_command(ChangeStatusIfRequired(given), task(), ANN)
    else:
        assert len(decide_command(ChangeStatusIfRequired(given), task(), ANN)) == (given != "PE")
    assert decide_command(ChangeStatusIfRequired(given), task(INITIAL._replace(user="ann", status=given)), ANN) == ()


def test_a_transfer_without_a_user_makes_an_active_task_pending() -> None:
    mine = task(INITIAL._replace(status="IN", user="ann"))
    assert decide_command(Transfer("IT", None), mine, ANN) == (
        NewEvent("transfer", ("IT", None)),
        NewEvent("status", ("PE",)),
    )
    assert decide_command(Transfer("IT", "eve"), mine, ANN) == (NewEvent("transfer", ("IT", "eve")),)
    assert decide_command(Transfer("HR", "ann"), mine, ANN) == ()


def test_a_completion_by_a_user_of_another_team_is_refused() -> None:
    mine = task(INITIAL._replace(status="IN", user="eve"))
    done = mine.current._replace(status="CO")
    with pytest.raises(Refusal) as caught:
        validate(mine, done, EVE)
    assert caught.value.kind.type == "not-a-member"
    validate(mine, done, ANN)
    validate(mine, mine.current, EVE)


@pytest.mark.parametrize("core", [READY._replace(status=s, outcome=o) for s, o in [
    ("waiting", None), ("ready", None), ("requested", None), ("in-progress", None),
    ("done", "succeeded"), ("done", "failed"), ("done", "canceled"),
]])  # fmt: skip
@pytest.mark.parametrize("given", [*STATUS_NAMES])
def test_core_transitions_lead_to_a_state_that_fits_the_status(core: CoreTask, given: str) -> None:
    steps = core_transitions(task(core=core), INITIAL._replace(status=given))
    stands = (core.status, core.outcome)
    leads = {
        "cancel": ("done", "canceled"),
        "recreate": ("ready", None),
        "release": ("ready", None),
        "claim": ("requested", None),
        "start": ("in-progress", None),
        "success": ("done", "succeeded"),
    }
    for move in steps:
        stands = leads[move]
    assert given in allowed_statuses(*stands)
    assert ("recreate" in steps) <= (core.status in ("done", "waiting"))


def test_core_transitions_never_lease_an_automatic_task() -> None:
    for given in ("AS", "IN", "WA", "LO"):
        with pytest.raises(Refusal) as caught:
            core_transitions(task(flow="A"), INITIAL._replace(status=given))
        assert caught.value.kind.type == "people-task-automatic"
    assert (
        core_transitions(task(flow="A", core=READY._replace(status="in-progress")), INITIAL._replace(status="WA")) == ()
    )


def test_the_html_of_a_history_escapes_every_text() -> None:
    page = history_html(task(), [TaskEvent("status", 1, at(1), "<i>eve", False, ("EX",), reason="a & b")])
    assert "<b>" not in page
    assert "<i>" not in page
    assert "status Exception: a &amp; b" in page
    assert "<td>draft</td>" in page


# Decider


@pytest.mark.shows("people/skip-step")
def test_the_decider_creates_tasks_for_initial_steps_that_are_not_skipped() -> None:
    declared = process(
        step("ASK", dueDays=3, assignToUser="ann", initialTaskStatus="AS"),
        step("LATER", createAtProcessStart=False),
        step("OFF", skipInProcessStep=True),
        step("SEND", handlerType="BATCH_JOB"),
    )
    facts = Facts(workflow({"department": "HR", "input": {"n": 1}}), declared, {})
    asked, sent = [action.task_request for action in decide(facts, Event("awf.workflow.event/workflow-init"))]  # type: ignore[union-attr]
    assert asked is not None
    assert sent is not None
    assert (asked.definition, asked.label) == ("awf.people/task", "line/1")
    assert _read(asked.params) == {
        "taskList": "L-1",
        "lineNumber": 1,
        "processStep": "ASK",
        "flow": "M",
        "department": "HR",
        "initialAssignedToTeam": "HR",
        "initialAssignedToUser": "ann",
        "initialTaskStatus": "AS",
        "initialPriority": "M",
        "dueDays": 3,
    }
    assert (sent.definition, sent.label) == ("hr/onboard/SEND", "line/2")
    assert _read(sent.params)["input"] == {"n": 1}


@pytest.mark.parametrize(
    ("outcomes", "ends"),
    [
        ({"line/1": "succeeded", "line/2": "canceled"}, True),
        ({"line/1": "succeeded", "line/2": None}, False),
        ({"line/1": "succeeded", "line/2": "failed"}, False),
        ({"line/1": "succeeded", "line/1/2": None}, False),
        ({"line/1": "canceled", "line/1/2": "succeeded"}, True),
        ({"other": "succeeded"}, False),
    ],
)
def test_the_decider_completes_a_list_that_closes_when_done_with_its_last_task(
    outcomes: dict[str, str | None], ends: bool
) -> None:
    text = task().params
    begun = {label: activity(label, outcome, text, b'{"yes":true}') for label, outcome in outcomes.items()}
    ended = Event("awf.workflow.event/task-completed", label="line/1")
    closing, open_ = process(step(), closeWhenDone=True), process(step())
    decided = decide(Facts(workflow({"department": "HR"}), closing, begun), ended)
    assert bool(decided) is ends
    assert decide(Facts(workflow({"department": "HR"}), open_, begun), ended) == []
    child = workflow({"department": "HR"}, requester=b'{"resourceType":"AidboxWorkflow","id":"x"}')
    assert bool(decide(Facts(child, open_, begun), ended)) is ends


def test_the_result_of_a_list_has_an_entry_for_each_task() -> None:
    declared = process(step(), closeWhenDone=True)
    begun = {"line/1": activity("line/1", "succeeded", task().params, b'{"yes":true}')}
    (ending,) = decide(Facts(workflow({"department": "HR"}), declared, begun), Event("task-completed"))
    result = _read(ending.result)  # type: ignore[union-attr]
    assert result == {"tasks": [{"lineNumber": 1, "processStep": "ASK", "biTaskStatus": "CO", "result": {"yes": True}}]}
