"""Task lists: creation, added tasks, closing, and lists that workflows and events start."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from threading import Event
from typing import Any

import pytest

from fencepost.domain.actions import AnyAction, CompleteWorkflow
from fencepost.domain.decider import Event as DecidedEvent
from fencepost.domain.decider import Facts
from fencepost.vocabularies.people.decider import decide
from tests.fixtures.events import publish, put_trigger, rule
from tests.fixtures.people import Desk
from tests.fixtures.servers import Server, running_server
from tests.fixtures.waiting import until
from tests.fixtures.workflows import Decider


@pytest.fixture
def desk(server: Server) -> Desk:
    """A desk with the default steps."""
    return Desk(server)


# Creation


@pytest.mark.shows("people/create-at-start", "people/create-list")
def test_a_new_list_has_a_task_for_each_initial_step_that_is_not_skipped(desk: Desk) -> None:
    answer = desk.call(
        "create-task-list", process="hr/onboard", code="L-1", sourceDocumentLine="doc-9/3", domainObjectKey="93"
    )
    assert answer["resource"] == {
        "resourceType": "WFTaskList",
        "code": "L-1",
        "process": "hr/onboard",
        "department": "HR",
        "sourceDocumentLine": "doc-9/3",
        "domainObjectType": None,
        "domainObjectKey": "93",
        "domainObjectCode": None,
        "input": None,
        "status": "in-progress",
        "outcome": None,
        "result": None,
        "startDateTime": answer["resource"]["startDateTime"],
    }
    assert [(task["lineNumber"], task["processStep"]) for task in answer["tasks"]] == [(1, "ASK")]


@pytest.mark.shows("people/list-members", "people/get-list")
def test_a_list_keeps_every_member_that_it_was_created_with(desk: Desk) -> None:
    given = {
        "department": "OPS",
        "sourceDocumentLine": "doc-9/3",
        "domainObjectType": "Person",
        "domainObjectKey": "93",
        "domainObjectCode": "P-93",
        "input": {"to": "ada"},
    }
    begun = desk.call("create-task-list", process="hr/onboard", code="L-1", **given)
    assert {member: begun["resource"][member] for member in given} == given
    assert begun["tasks"][0]["department"] == "OPS"
    assert desk.call("get-task-list", code="L-1")["resource"] == begun["resource"]


@pytest.mark.shows("people/task-members")
def test_a_task_has_every_documented_member(desk: Desk) -> None:
    (task,) = desk.begin()
    start, due = task["startDateTime"], task["initialDueDateTime"]
    assert (int(due[8:10]) - int(start[8:10])) % 28 in (0, 1, 2, 3)
    assert task == {
        "resourceType": "WFTask",
        "id": task["id"],
        "taskList": "L-1",
        "lineNumber": 1,
        "process": "hr/onboard",
        "processStep": "ASK",
        "flow": "M",
        "department": "HR",
        "startDateTime": start,
        "description": None,
        "referenceCode": None,
        "partner": None,
        "partnerContact": None,
        "initialAssignedToTeam": "HR",
        "initialAssignedToUser": None,
        "initialTaskStatus": "PE",
        "initialPriority": "M",
        "initialDueDateTime": due,
        "progressMessage": None,
        "exceptionMessage": None,
        "domainObjectKey": None,
        "domainObjectCode": None,
        "biAssignedToTeam": "HR",
        "biAssignedToUser": None,
        "biTaskStatus": "PE",
        "biPriority": "M",
        "biDueDateTime": due,
        "biCompletionDateTime": None,
        "biLocked": False,
        "lockedBy": None,
        "result": None,
        "coreTask": task["id"],
    }


@pytest.mark.shows("people/due-date-days")
def test_the_due_date_is_the_due_days_of_the_step_after_the_creation(desk: Desk) -> None:
    desk.begin()
    assert desk.server.query(
        "select initial_due_date_time - start_date_time = interval '3 days' from fencepost.people_resources"
    ) == [(True,)]


@pytest.mark.shows("people/list-key")
def test_a_repeated_creation_returns_the_list_and_other_content_is_refused(desk: Desk) -> None:
    tasks = desk.begin()
    assert desk.begin() == tasks
    assert desk.refused("create-task-list", process="hr/onboard", code="L-1", domainObjectKey="x") == (
        409,
        "already-exists",
        "$.params.code",
    )
    assert desk.refused("create-task-list", process="hr/onboard", code="L-1", department="IT")[0] == 409


def test_a_list_without_a_code_gets_a_generated_one(desk: Desk) -> None:
    codes = {desk.call("create-task-list", process="hr/onboard")["resource"]["code"] for _ in range(2)}
    assert len(codes) == 2


@pytest.mark.parametrize(
    ("members", "refusal"),
    [
        ({"process": "hr/nothing"}, (404, "definition-not-found", "$.params.process")),
        ({"process": "demo/resize"}, (400, "invalid-params", "$.params.process")),
        ({"department": ""}, (400, "invalid-params", "$.params.department")),
        ({"input": []}, (400, "invalid-params", "$.params.input")),
        ({"input": {"n": "x"}}, (400, "invalid-params", "$.params.input.n")),
        ({"sourceDocument": "x"}, (400, "invalid-params", "$.params.sourceDocument")),
        ({"code": "x" * 65}, (400, "invalid-params", "$.params.code")),
    ],
)
def test_an_invalid_list_is_refused_at_its_field(
    desk: Desk, members: dict[str, Any], refusal: tuple[int, str, str]
) -> None:
    desk.server.define()
    spec = {"input": {"properties": {"n": {"type": "integer"}}}}
    Desk(desk.server, specSet=spec)
    status, type, path = desk.refused("create-task-list", **{"process": "hr/onboard", **members})
    assert (status, type, path) == refusal


def test_a_list_needs_a_department_when_its_process_has_none(server: Server) -> None:
    desk = Desk(server, department=None)
    assert desk.refused("create-task-list", process="hr/onboard") == (400, "invalid-params", "$.params.department")
    assert desk.begin(department="OPS")[0]["department"] == "OPS"


def test_a_process_is_put_and_read_like_any_definition(desk: Desk) -> None:
    resource = desk.server.rpc("awf.definition/get", {"name": "hr/onboard"})["resource"]
    assert (resource["kind"], resource["steps"][0]["dueDays"]) == ("process", 3)
    bad = {"kind": "process", "name": "hr/other", "steps": [{"code": "TOO-LONG-A-CODE"}]}
    assert desk.server.refused("awf.definition/put", bad) == (400, "invalid-params", "$.params.steps[0].code")
    bad = {"kind": "process", "name": "hr/other", "steps": [{"code": "A", "createAtProcessStart": True}]}
    assert desk.server.refused("awf.definition/put", bad)[2] == "$.params.steps[0].assignToTeam"
    for own in ("awf.task/wait", "awf.machine/action", "aidbox.task/run-rpc", "awf.workflow/decision-task"):
        bad = {**bad, "steps": [{"code": "A", "handlerType": "BATCH_JOB", "definition": own}]}
        assert desk.server.refused("awf.definition/put", bad)[2] == "$.params.steps[0].definition"


@pytest.mark.shows("people/step-by-code")
def test_a_step_is_found_by_its_code(desk: Desk) -> None:
    step = desk.call("get-process-step-by-code", process="hr/onboard", code="ASK")["resource"]
    assert (step["wfProcess"], step["page"], step["handlerType"]) == ("hr/onboard", "https://hr/ask", "PAGE")
    missing = desk.refused("get-process-step-by-code", process="hr/nothing", code="ASK")
    assert missing == (404, "definition-not-found", "$.params.process")
    assert desk.refused("get-process-step-by-code", process="hr/onboard", code="AKS") == (
        404,
        "process-step-not-found",
        "$.params.code",
    )


# Added tasks


@pytest.mark.shows("people/add-task-defaults", "people/all-tasks")
def test_an_added_task_gets_the_next_line_and_the_values_of_the_step(desk: Desk) -> None:
    desk.begin()
    added = desk.add("BADGE", description="a badge", referenceCode="B-1", priority="H")
    assert (added["lineNumber"], added["initialAssignedToTeam"], added["initialAssignedToUser"]) == (2, "IT", None)
    assert (added["initialTaskStatus"], added["biPriority"], added["description"]) == ("PE", "H", "a badge")
    assert desk.add("BADGE")["lineNumber"] == 3
    assert [task["lineNumber"] for task in desk.call("find-all-tasks-by-task-list", taskList="L-1")["resources"]] == [
        1,
        2,
        3,
    ]


@pytest.mark.shows("people/task-given", "people/add-task")
def test_an_added_task_has_the_values_of_the_call(desk: Desk) -> None:
    desk.begin()
    desk.call("put-partner", code="acme", contacts=[{"code": "wile"}])
    given = {
        "department": "OPS",
        "description": "a badge",
        "referenceCode": "B-1",
        "partner": "acme",
        "partnerContact": "wile",
    }
    plan = {"priority": "L", "dueDateTime": "2031-01-01T00:00:00.000000Z"}
    added = desk.add("BADGE", team="HR", user="ann", **given, **plan)
    assert {member: added[member] for member in given} == given
    for kind in ("initial", "bi"):
        members = ("AssignedToTeam", "AssignedToUser", "TaskStatus", "Priority", "DueDateTime")
        assert [added[kind + member] for member in members] == ["HR", "ann", "AS", *plan.values()]
    desk.call("set-task-completed", id=added["id"], user="ann")


@pytest.mark.shows("people/assignment", "people/add-task-status")
@pytest.mark.parametrize(
    ("assignment", "user", "expected"),
    [
        ("DEFAULT", None, (None, "PE")),
        ("DEFAULT", "ann", ("ann", "AS")),
        ("PROCESS_STEP_USER", None, ("bob", "AS")),
        ("PROCESS_STEP_USER", "ann", ("bob", "AS")),
    ],
)
def test_the_assignment_decides_between_the_user_of_the_call_and_of_the_step(
    desk: Desk, assignment: str, user: str | None, expected: tuple[str | None, str]
) -> None:
    desk.begin()
    added = desk.add("BADGE", assignment=assignment, user=user)
    assert (added["initialAssignedToUser"], added["initialTaskStatus"]) == expected
    assert (added["biAssignedToUser"], added["biTaskStatus"]) == expected


@pytest.mark.shows("people/task-key")
def test_a_repeated_line_returns_the_same_task(desk: Desk) -> None:
    desk.begin()
    added = desk.add("BADGE", lineNumber=7)
    assert desk.add("BADGE", lineNumber=7) == added
    assert desk.refused("add-task", taskList="L-1", processStep="BADGE", lineNumber=7, priority="H") == (
        409,
        "already-exists",
        "$.params.lineNumber",
    )
    assert desk.add("BADGE")["lineNumber"] == 8


def test_concurrently_added_tasks_get_a_line_each(server: Server) -> None:
    desk = Desk(server)
    desk.begin()
    with running_server(server.conninfo) as other, ThreadPoolExecutor(8) as threads:
        desks = [desk, Desk(other)]
        lines = threads.map(lambda number: desks[number % 2].add("BADGE")["lineNumber"], range(16))
        assert sorted(lines) == list(range(2, 18))


@pytest.mark.parametrize(
    ("members", "refusal"),
    [
        ({"taskList": "L-2"}, (404, "task-list-not-found", "$.params.taskList")),
        ({"processStep": "BAGDE"}, (404, "process-step-not-found", "$.params.processStep")),
        ({"processStep": "OFF"}, (400, "invalid-params", "$.params.processStep")),
        ({"team": "XX"}, (400, "invalid-params", "$.params.team")),
        ({"partner": "acme"}, (400, "invalid-params", "$.params.partner")),
        ({"partnerContact": "wile"}, (400, "invalid-params", "$.params.partnerContact")),
        ({"dueDateTime": "soon"}, (400, "invalid-params", "$.params.dueDateTime")),
        ({"priority": "high"}, (400, "invalid-params", "$.params.priority")),
        ({"assignment": "MINE"}, (400, "invalid-params", "$.params.assignment")),
        ({"lineNumber": 0}, (400, "invalid-params", "$.params.lineNumber")),
    ],
)
def test_an_invalid_task_is_refused_at_its_field(
    desk: Desk, members: dict[str, Any], refusal: tuple[int, str, str]
) -> None:
    desk.begin()
    assert desk.refused("add-task", **{"taskList": "L-1", "processStep": "BADGE", **members}) == refusal
    assert len(desk.call("find-all-tasks-by-task-list", taskList="L-1")["resources"]) == 1


def test_a_task_that_does_not_fit_the_definition_of_its_step_is_refused(desk: Desk) -> None:
    desk.begin()
    desk.server.define("hr/onboard/MAIL", params={"required": ["input"]})
    refusal = (400, "invalid-params", "$.params.processStep")
    assert desk.refused("add-task", taskList="L-1", processStep="MAIL") == refusal
    desk.begin("L-2", input={"to": "ada"})
    assert desk.add("MAIL", "L-2")["biTaskStatus"] == "PE"
    desk.server.rpc("awf.definition/put", {"kind": "workflow", "name": "demo/mail"})
    Desk(desk.server, [{"code": "MAIL", "assignToTeam": "HR", "handlerType": "BATCH_JOB", "definition": "demo/mail"}])
    desk.begin("L-3")
    assert desk.refused("add-task", taskList="L-3", processStep="MAIL") == refusal


@pytest.mark.shows("people/partner-contact")
def test_a_contact_belongs_to_its_partner(desk: Desk) -> None:
    desk.begin()
    desk.call("put-partner", code="acme", contacts=[{"code": "wile"}, {"code": "bugs"}])
    desk.call("put-partner", code="zoo", contacts=[{"code": "leo"}])
    added = desk.add("BADGE", partner="acme", partnerContact="wile")
    assert (added["partner"], added["partnerContact"]) == ("acme", "wile")
    refusal = (400, "invalid-params", "$.params.partnerContact")
    assert (
        desk.refused("add-task", taskList="L-1", processStep="BADGE", partner="zoo", partnerContact="wile") == refusal
    )
    desk.call("put-partner", code="acme", contacts=[{"code": "bugs"}])
    assert (
        desk.refused("add-task", taskList="L-1", processStep="BADGE", partner="acme", partnerContact="wile") == refusal
    )
    assert (
        desk.refused("put-partner", code="x", contacts=[{"code": "a"}, {"code": "a"}])[2] == "$.params.contacts[1].code"
    )


def test_cross_department_refuses_an_added_task_with_the_department_of_its_list(server: Server) -> None:
    desk = Desk(server, [{"code": "BADGE", "assignToTeam": "IT"}], crossDepartment=True)
    desk.begin()
    assert desk.refused("add-task", taskList="L-1", processStep="BADGE") == (
        400,
        "invalid-params",
        "$.params.department",
    )
    assert desk.add("BADGE", department="IT")["department"] == "IT"


@pytest.mark.shows("people/cross-department")
def test_departments_must_differ_by_default_when_the_process_names_one(server: Server) -> None:
    desk = Desk(server)
    steps = [{"code": "BADGE", "assignToTeam": "IT", "createAtProcessStart": True}]
    process = {"kind": "process", "name": "hr/badge", "department": "HR", "steps": steps}
    server.rpc("awf.definition/put", process)
    refused = desk.refused("create-task-list", process="hr/badge", code="L-1")
    assert refused == (400, "invalid-params", "$.params.department")
    server.rpc("awf.definition/put", {**process, "steps": [{**steps[0], "department": "IT"}]})
    (task,) = desk.call("create-task-list", process="hr/badge", code="L-1")["tasks"]
    assert task["department"] == "IT"
    server.rpc("awf.definition/put", {**process, "crossDepartment": False})
    (task,) = desk.call("create-task-list", process="hr/badge", code="L-2")["tasks"]
    assert task["department"] == "HR"


def test_a_list_without_a_first_decision_reserves_its_initial_lines(server: Server) -> None:
    desk = Desk(server)
    with running_server(server.conninfo, deciders={}) as slow:
        # The client may be gone before the first tasks are created.
        slow.rpc("awf.workflow/create-and-execute", {"definition": "hr/onboard", "id": "L-1", "params": {}})
        assert Desk(slow).add("BADGE")["lineNumber"] == 2
    until(lambda: len(desk.call("find-all-tasks-by-task-list", taskList="L-1")["resources"]) == 2)
    assert desk.refused("add-task", taskList="L-1", processStep="BADGE", lineNumber=1)[1] == "already-exists"


# Closing


@pytest.mark.shows("people/spec-set-output")
def test_a_list_can_be_closed_when_it_has_no_open_task(server: Server) -> None:
    spec = {"output": {"type": "object", "required": ["hired"]}}
    desk = Desk(server, specSet=spec)
    id = desk.task()
    assert desk.refused("close-task-list", code="L-1", result={"hired": True})[:2] == (422, "tasks-not-over")
    desk.call("set-task-completed", id=id, user="ann")
    assert desk.refused("close-task-list", code="L-1", result={"n": 1}) == (400, "invalid-params", "$.params.result")
    closed = desk.call("close-task-list", code="L-1", result={"hired": True})["resource"]
    assert (closed["status"], closed["outcome"], closed["result"]) == ("done", "succeeded", {"hired": True})
    assert desk.call("close-task-list", code="L-1", result={"hired": True})["resource"] == closed
    assert desk.call("get-task-list", code="L-1")["resource"] == closed
    assert desk.refused("change-status", id=id, user="dev", status="PE")[1] == "workflow-has-been-done"


def test_a_list_that_closes_when_done_has_the_results_of_its_tasks(server: Server) -> None:
    desk = Desk(server, closeWhenDone=True)
    id = desk.task()
    desk.call("set-task-completed", id=id, user="ann", result={"fits": True})
    closed = until(lambda: (one := desk.call("get-task-list", code="L-1")["resource"])["status"] == "done" and one)
    assert closed["result"] == {
        "tasks": [{"lineNumber": 1, "processStep": "ASK", "biTaskStatus": "CO", "result": {"fits": True}}]
    }


@pytest.mark.parametrize("what", ["added", "reopened"])
def test_a_list_stays_live_when_a_task_is_opened_during_its_last_decision(database: str, what: str) -> None:
    """A server decides that all tasks are closed; before it completes the list, another server opens a task."""
    looked, go_on = Event(), Event()

    def slowly(facts: Facts, event: DecidedEvent) -> Sequence[AnyAction]:
        actions = decide(facts, event)
        if any(isinstance(action, CompleteWorkflow) for action in actions) and not looked.is_set():
            looked.set()
            assert go_on.wait(30)
        return actions

    with (
        running_server(database, deciders={"process": slowly}) as one,
        running_server(database, deciders={"process": slowly}) as other,
    ):
        desks = [Desk(one, closeWhenDone=True), Desk(other, closeWhenDone=True)]
        id = desks[0].task()
        with ThreadPoolExecutor(3) as threads:
            saying = [threads.submit(desk.call, "set-task-completed", id=id, user="ann") for desk in desks[:1]]
            assert looked.wait(30)
            # One of the two servers is busy with the decision; the other one answers this call.
            calls = [threads.submit(_more, desk, id, what) for desk in desks]
            wait(calls, return_when=FIRST_COMPLETED)
            go_on.set()
            more = calls[0].result() or calls[1].result()
            saying[0].result()
        assert desks[0].call("get-task-list", code="L-1")["resource"]["status"] == "in-progress"
        assert desks[0].current(more)[0] == "PE"
        desks[0].call("set-task-completed", id=more, user="bob" if what == "added" else "ann")
        until(lambda: desks[0].call("get-task-list", code="L-1")["resource"]["status"] == "done")


def _more(desk: Desk, id: str, what: str) -> str:
    if what == "added":
        return str(desk.add("BADGE", lineNumber=3)["id"])
    desk.call("change-status", id=id, user="dev", status="PE")
    return id


@pytest.mark.shows("people/owned-list")
def test_a_workflow_gets_the_result_of_a_task_list_that_it_started(desk: Desk) -> None:
    decider = Decider(desk.server, "demo/order")
    decider.create()
    decider.decide(decider.decision(), decider.child("approval", "hr/onboard", params={"domainObjectKey": "93"}))
    (task,) = until(lambda: desk.call("find-all-pending-tasks-order-by-team-and-due-date")["resources"])
    desk.call("claim", id=task["id"], user="ann")
    desk.call("set-task-completed", id=task["id"], user="ann", result={"yes": True})
    (decision,) = until(decider.poll)
    assert (decision["params"]["label"], decision["params"]["outcome"]) == ("approval", "succeeded")
    child = desk.server.rpc("awf.workflow/status", {"id": decision["params"]["workflow-id"]})["resource"]
    assert child["result"]["tasks"][0]["result"] == {"yes": True}


def test_a_task_list_that_a_workflow_starts_is_checked(desk: Desk) -> None:
    refusal = desk.server.refused(
        "awf.workflow/create-and-execute", {"definition": "hr/onboard", "params": {"departement": "HR"}}
    )
    assert refusal == (400, "invalid-params", "$.params.params.departement")


def test_a_published_event_starts_a_task_list(desk: Desk) -> None:
    put_trigger(
        desk.server,
        rule("status", value="hired"),
        workflow=True,
        definition="hr/onboard",
        params={"domainObjectKey": {"get-in": ["id"]}},
    )
    (started,) = publish(desk.server, {"status": "hired", "id": "P-93"})["started"]
    code = started["resource"]["id"]
    until(lambda: desk.call("find-all-tasks-by-task-list", taskList=code)["resources"])
    assert desk.call("get-task-list", code=code)["resource"]["domainObjectKey"] == "P-93"
