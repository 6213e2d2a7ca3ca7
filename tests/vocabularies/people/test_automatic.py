"""Automatic steps: workers do them, and their tasks show it as events."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fixtures.people import Desk
from tests.fixtures.servers import Server

MAIL = "hr/onboard/MAIL"


@pytest.fixture
def desk(server: Server) -> Desk:
    """A desk with an automatic step that has one attempt."""
    server.define(MAIL, allowedRetryCount=0)
    return Desk(server)


@pytest.fixture
def job(desk: Desk) -> str:
    """The id of an automatic task."""
    desk.begin(input={"to": "ada"})
    task = desk.add("MAIL")
    assert (task["flow"], task["biTaskStatus"]) == ("A", "PE")
    return str(task["id"])


def started(desk: Desk) -> dict[str, Any]:
    """Poll, and return `id` and `execId` of the started task."""
    (task,) = desk.server.poll(MAIL, start=True, worker="mailer")
    return {"id": task["id"], "execId": task["execId"]}


def test_a_worker_gets_the_input_of_the_list_and_the_handler_of_the_step(desk: Desk, job: str) -> None:
    (task,) = desk.server.poll(MAIL)
    assert task["id"] == job
    params = task["params"]
    assert (params["taskList"], params["processStep"], params["input"]) == ("L-1", "MAIL", {"to": "ada"})
    assert params["handlerClassName"] == "com.acme.Mail"
    assert desk.current(job)[0] == "AS"


@pytest.mark.shows("people/job-times")
def test_the_start_and_the_finish_of_a_worker_are_in_the_status_stream(desk: Desk, job: str) -> None:
    lease = started(desk)
    assert desk.current(job)[0] == "IN"
    desk.server.rpc("awf.task/success", {**lease, "result": {"sent": 1}})
    assert desk.current(job)[0] == "CO"
    assert desk.get(job)["result"] == {"sent": 1}
    assert desk.get(job)["biCompletionDateTime"] is not None
    assert desk.events(job) == [("IN", "mailer"), ("CO", "mailer")]


@pytest.mark.shows("people/job-error")
def test_a_failed_automatic_task_is_an_exception_until_its_status_is_changed(desk: Desk, job: str) -> None:
    desk.server.rpc("awf.task/fail", {**started(desk), "error": {"message": "no such host"}})
    task = desk.get(job)
    assert (task["biTaskStatus"], task["exceptionMessage"]) == ("EX", "no such host")
    assert desk.call("get-task-list", code="L-1")["resource"]["status"] == "in-progress"
    assert desk.server.poll(MAIL) == []
    again = desk.call("change-task-status-if-required", id=job, user="ann", status="PE", confirm=True)["resource"]
    assert (again["biTaskStatus"], again["exceptionMessage"]) == ("PE", None)
    desk.server.rpc("awf.task/success", started(desk))
    assert [event[0] for event in desk.events(job)] == ["IN", "EX", "PE", "IN", "CO"]


def test_an_automatic_task_is_pending_between_two_attempts(server: Server) -> None:
    server.define(MAIL, allowedRetryCount=1, retryDelay=0)
    desk = Desk(server)
    desk.begin()
    id = desk.add("MAIL")["id"]
    server.rpc("awf.task/fail", {**started(desk), "error": {"message": "busy"}})
    assert desk.current(id)[0] == "PE"


@pytest.mark.shows("people/error")
def test_the_message_of_a_failure_can_be_cleared_and_replaced(desk: Desk, job: str) -> None:
    desk.server.rpc("awf.task/fail", {**started(desk), "error": {"message": "no such host"}})
    assert desk.call("clear-workflow-task-error", id=job)["resource"]["exceptionMessage"] is None
    task = desk.call("set-task-error", id=job, exceptionMessage="ask IT")["resource"]
    assert (task["exceptionMessage"], task["biTaskStatus"]) == ("ask IT", "EX")


@pytest.mark.shows("people/progress")
def test_a_progress_message_does_not_change_the_status(desk: Desk, job: str) -> None:
    started(desk)
    task = desk.call("set-task-progress", id=job, progressMessage="x" * 30)["resource"]
    assert (task["progressMessage"], task["biTaskStatus"]) == ("x" * 30, "IN")
    assert desk.refused("set-task-progress", id=job, progressMessage="x" * 31) == (
        400,
        "invalid-params",
        "$.params.progressMessage",
    )
    assert len(desk.events(job)) == 1


def test_a_worker_keeps_its_lease_while_the_task_is_waiting(desk: Desk, job: str) -> None:
    lease = started(desk)
    desk.call("set-executed-by-user", id=job, user="ann", executedByUser="system")
    desk.call("change-task-status-if-required", id=job, user="ann", status="WA", confirm=True)
    assert desk.current(job) == ("WA", "IT", "system")
    desk.server.rpc("awf.task/success", lease)
    assert desk.current(job)[0] == "CO"


@pytest.mark.parametrize("status", ["AS", "IN", "WA", "LO"])
def test_an_automatic_task_cannot_be_claimed_or_started_by_people(desk: Desk, job: str, status: str) -> None:
    assert desk.refused("change-status", id=job, user="dev", status=status) == (
        422,
        "people-task-automatic",
        "$.params.id",
    )
    assert desk.refused("claim", id=job, user="bob")[1] == "people-task-automatic"
    assert desk.current(job)[0] == "PE"


def test_a_worker_learns_that_a_person_completed_or_canceled_its_task(desk: Desk, job: str) -> None:
    lease = started(desk)
    desk.call("set-task-completed", id=job, user="bob")
    assert desk.current(job) == ("CO", "IT", "bob")
    assert desk.server.refused("awf.task/fail", lease)[1] == "task-has-been-done"
    other = desk.add("MAIL")["id"]
    lease = started(desk)
    desk.call("set-task-canceled", id=other, user="bob")
    assert desk.server.rpc("awf.task/notify", {**lease, "notification": "heartbeat"})["cancelRequested"] is True


def test_a_status_set_on_an_automatic_task_ends_with_the_execution(desk: Desk, job: str) -> None:
    lease = started(desk)
    desk.call("change-status", id=job, user="dev", status="WA")
    desk.server.rpc("awf.task/release", lease)
    assert desk.current(job)[0] == "PE"
    started(desk)
    assert desk.current(job)[0] == "IN"
    assert [event[0] for event in desk.events(job)] == ["IN", "WA", "PE", "IN"]


def test_an_automatic_step_may_use_any_definition(server: Server) -> None:
    server.define("demo/mail")
    step = {"code": "MAIL", "assignToTeam": "IT", "handlerType": "BATCH_JOB", "definition": "demo/mail"}
    desk = Desk(server, [{**step, "createAtProcessStart": True}])
    (task,) = desk.begin()
    assert [one["id"] for one in server.poll("demo/mail")] == [task["id"]]
