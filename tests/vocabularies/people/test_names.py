"""The documented names: methods in kebab-case, members of records as they are."""

from __future__ import annotations

import re

import pytest

from fencepost.vocabularies.people.methods import people_methods
from tests.fixtures.people import Desk
from tests.fixtures.servers import Server

# Teams; reads of tasks; changes of tasks; the interfaces of a wrapped task.
_DOCUMENTED = """
    findTeamByCode isUserPartOfTheTeam
    findOneTaskByTaskListAndProcessStepCode findAllTasksByTaskList getById findAllPendingTasksOrderByTeamAndDueDate
    createTaskList addTask changeTaskStatusIfRequired transferTaskIfRequired setTaskProgress setTaskError
    clearWorkflowTaskError setTaskReferenceEntity getProcessStepByCode removeTask
    getTaskList assertTaskIsNotCompleted assertTaskUserIsValid validateAfterTaskCompleted setExecutedByUser
    setTaskCompleted setTaskCanceled displayTaskEvents changeStatus
"""
# Buttons, by their labels.
_BUTTONS = ("claim", "unclaim", "transfer", "open-page", "change-status", "my-tasks")
_CONFIRMED = ("confirm-status-event", "confirm-transfer-event", "confirm-plan-event")


@pytest.mark.shows("people/methods-kebab-case")
def test_every_documented_method_exists_in_kebab_case() -> None:
    named = [re.sub("[A-Z]", lambda letter: f"-{letter[0].lower()}", name) for name in _DOCUMENTED.split()]
    assert {f"awf.people/{name}" for name in (*named, *_BUTTONS, *_CONFIRMED)} <= {*people_methods.methods}


@pytest.mark.shows("people/statuses")
def test_statuses_have_the_documented_codes_and_names(server: Server) -> None:
    names = {
        "AS": "Assigned",
        "IN": "In Progress",
        "WA": "Waiting",
        "EX": "Exception",
        "CA": "Canceled",
        "CO": "Completed",
        "LO": "Locked",
        "PE": "Pending",
    }
    desk = Desk(server)
    id = desk.task()
    for code in names:
        desk.call("change-status", id=id, user="dev", status=code)
    history = desk.call("display-task-events", id=id)
    assert [event["biTaskStatus"] for event in history["resources"]] == [*names]
    assert re.findall("<td>status ([^<]*)</td>", history["html"]) == [*names.values()]
    assert desk.refused("change-status", id=id, user="dev", status="XX")[2] == "$.params.status"


@pytest.mark.shows("people/event-members", "people/event-values")
@pytest.mark.parametrize(
    ("method", "given", "kind", "members"),
    [
        ("change-task-status-if-required", {"status": "IN"}, "WFTaskStatusEvent", {"biTaskStatus": "IN"}),
        (
            "transfer-task-if-required",
            {"assignedToTeam": "IT"},
            "WFTaskTransferEvent",
            {"assignedToTeam": "IT", "assignedToUser": None},
        ),
        (
            "plan-task-if-required",
            {"priority": "H", "dueDateTime": "2031-01-01T00:00:00.000000Z"},
            "WFTaskPlanEvent",
            {"priority": "H", "dueDateTime": "2031-01-01T00:00:00.000000Z"},
        ),
    ],
)
def test_an_event_has_every_member_of_its_stream(
    server: Server, method: str, given: dict[str, str], kind: str, members: dict[str, str | None]
) -> None:
    desk = Desk(server)
    id = desk.task()
    desk.call("claim", id=id, user="ann")
    event = desk.call(method, id=id, user="al", **given)["event"]
    assert event == {
        "resourceType": kind,
        "id": event["id"],
        "wfTask": id,
        "eventDateTime": event["eventDateTime"],
        "user": "al",
        "processed": False,
        **members,
    }
