"""Processes and their steps: valid documents, and the values that tasks get from their step."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fixtures.people import Desk
from tests.fixtures.servers import Server

NEEDED = {"code": "ASK", "assignToTeam": "HR"}


def put(server: Server, name: str = "hr/hire", steps: Any = (), **members: Any) -> Any:
    """Put a process, and return the stored resource."""
    document = {"kind": "process", "name": name, "steps": [*steps], **members}
    return server.rpc("awf.definition/put", document)["resource"]


def refused(server: Server, name: str = "hr/hire", *steps: Any) -> str | None:
    """Put a process that is refused, and return the path of the error."""
    status, type, path = server.refused("awf.definition/put", {"kind": "process", "name": name, "steps": [*steps]})
    assert (status, type) == (400, "invalid-params")
    return path


@pytest.mark.shows("people/process-code", "people/step-code")
def test_codes_of_processes_have_up_to_16_characters_and_codes_of_steps_up_to_8(server: Server) -> None:
    assert put(server, f"hr/{'x' * 16}", [{"code": "x" * 8}], code="x" * 16)["code"] == "x" * 16
    assert refused(server, f"hr/{'x' * 17}") == "$.params.name"
    assert refused(server, "hr/hire", {"code": "x" * 9}) == "$.params.steps[0].code"
    assert refused(server, "hr/hire", {"code": ""}) == "$.params.steps[0].code"


@pytest.mark.shows("people/process-description")
def test_a_process_keeps_its_description_and_its_schemas(server: Server) -> None:
    spec = {"input": {"type": "object"}, "output": {"type": "object", "required": ["hired"]}}
    kept = put(server, description="Hire somebody", specSet=spec)
    assert (kept["description"], kept["specSet"]) == ("Hire somebody", spec)


@pytest.mark.shows("people/step-key")
def test_a_step_code_is_unique_in_its_process(server: Server) -> None:
    assert refused(server, "hr/hire", {"code": "ASK"}, {"code": "ASK"}) == "$.params.steps[1].code"
    for process in ("hr/hire", "hr/leave"):
        put(server, process, [{"code": "ASK", "description": process}])
    for process in ("hr/hire", "hr/leave"):
        params = {"process": process, "code": "ASK"}
        step = server.rpc("awf.people/get-process-step-by-code", params)["resource"]
        assert (step["wfProcess"], step["description"]) == (process, process)


@pytest.mark.shows("people/step-members", "people/create-at-start", "people/skip-step")
def test_a_step_has_every_documented_member(server: Server) -> None:
    given = {
        "code": "MAIL",
        "description": "Send a letter",
        "createAtProcessStart": True,
        "skipInProcessStep": True,
        "dueDays": 5,
        "handlerType": "BATCH_JOB",
        "handlerClassName": "com.acme.Mail",
        "parameterValueTypes": {"to": "Text", "copies": "Number"},
        "page": "/mail",
        "assignToTeam": "HR",
        "assignToUser": "ann",
        "priority": "H",
        "initialTaskStatus": "PE",
        "notificationMailGroup": "hr-news",
    }
    put(server, steps=[given, {"code": "BARE"}])
    steps = [
        server.rpc("awf.people/get-process-step-by-code", {"process": "hr/hire", "code": code})["resource"]
        for code in ("MAIL", "BARE")
    ]
    assert steps[0] == {"resourceType": "WFProcessStep", "wfProcess": "hr/hire", **given}
    assert steps[1] == {
        **dict.fromkeys(steps[0]),
        "resourceType": "WFProcessStep",
        "wfProcess": "hr/hire",
        "code": "BARE",
        "description": "",
        "createAtProcessStart": False,
        "skipInProcessStep": False,
        "dueDays": 0,
        "handlerType": "PAGE",
        "priority": "M",
        "initialTaskStatus": "PE",
    }


@pytest.mark.shows("people/handler")
def test_a_handler_is_a_page_or_a_batch_job(server: Server) -> None:
    for type, flow in (("PAGE", "M"), ("BATCH_JOB", "A")):
        desk = Desk(server, [{**NEEDED, "createAtProcessStart": True, "handlerType": type}])
        (task,) = desk.begin(f"L-{flow}")
        assert task["flow"] == flow
    assert refused(server, "hr/hire", {**NEEDED, "handlerType": "HOOK"}) == "$.params.steps[0].handlerType"


@pytest.mark.shows("people/step-defaults", "people/add-task-defaults")
def test_tasks_start_with_the_values_of_their_step(server: Server) -> None:
    first = {"createAtProcessStart": True, "assignToTeam": "HR", "assignToUser": "ann", "priority": "H"}
    desk = Desk(server, [{**first, "code": "ASK", "initialTaskStatus": "WA"}, {**first, "code": "TELL"}])
    begun = [*desk.begin(), desk.add("ASK", assignment="PROCESS_STEP_USER")]
    members = ("initialAssignedToTeam", "initialAssignedToUser", "initialPriority", "initialTaskStatus", "biTaskStatus")
    assert [tuple(task[member] for member in members) for task in begun] == [
        ("HR", "ann", "H", "WA", "WA"),
        ("HR", "ann", "H", "PE", "PE"),
        ("HR", "ann", "H", "WA", "WA"),
    ]


@pytest.mark.shows("people/step-order")
def test_initial_tasks_have_the_order_of_the_steps(server: Server) -> None:
    codes = ["THIRD", "FIRST", "OFF", "SECOND"]
    steps = [
        {**NEEDED, "code": code, "createAtProcessStart": True, "skipInProcessStep": code == "OFF"} for code in codes
    ]
    begun = [(task["lineNumber"], task["processStep"]) for task in Desk(server, steps).begin()]
    assert begun == [(1, "THIRD"), (2, "FIRST"), (3, "SECOND")]


@pytest.mark.shows("people/no-next-step")
@pytest.mark.parametrize("end", ["set-task-completed", "set-task-canceled"])
def test_a_closed_task_starts_no_task_of_the_next_step(server: Server, end: str) -> None:
    desk = Desk(server)
    desk.call(end, id=desk.task(), user="ann")
    server.run(server.app.engine.deciders.run_pending_decisions("L-1"))
    assert len(desk.call("find-all-tasks-by-task-list", taskList="L-1")["resources"]) == 1
