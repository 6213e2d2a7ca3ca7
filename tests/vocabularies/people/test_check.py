"""`fencepost check` finds stored values that differ from the history."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from click.testing import CliRunner

from fencepost.cli.check import check
from fencepost.errors import StartRefused
from tests.fixtures.people import Desk
from tests.fixtures.servers import Server

MAIL = "hr/onboard/MAIL"


@pytest.fixture
def desk(server: Server) -> Desk:
    """A desk with tasks in many states."""
    server.define(MAIL, allowedRetryCount=0)
    desk = Desk(server)
    mine, done, _ = desk.task("L-1"), desk.task("L-2"), desk.task("L-3")
    desk.call("claim", id=mine, user="ann")
    desk.call("plan-task-if-required", id=mine, priority="H", confirm=True)
    desk.call("set-task-completed", id=done, user="ann")
    desk.call("change-status", id=done, user="dev", status="IN")
    desk.call("change-task-status-if-required", id=done, user="ann", status="WA")
    desk.add("BADGE", "L-2", assignment="PROCESS_STEP_USER")
    desk.add("MAIL")
    (job,) = server.poll(MAIL, start=True)
    server.rpc("awf.task/fail", {"id": job["id"], "execId": job["execId"], "error": {"message": "no"}})
    desk.call("change-status", id=job["id"], user="dev", status="PE")
    server.poll(MAIL, start=True)
    desk.begin("L-4")
    server.rpc("awf.workflow/cancel", {"id": "L-4"})
    return desk


def differences(server: Server) -> list[dict[str, Any]]:
    """Run the command and return the differences that it prints; its exit status is 1 when there are any."""
    result = CliRunner().invoke(check, ["--database-url", server.conninfo, "--json"])
    found = [orjson.loads(line) for line in result.output.splitlines()]
    assert result.exit_code == bool(found), result.output
    return found


@pytest.mark.shows("people/replay-repeatable")
def test_the_check_finds_no_difference_in_an_untouched_database(desk: Desk) -> None:
    assert differences(desk.server) == []
    result = CliRunner().invoke(check, ["--database-url", desk.server.conninfo])
    assert "6 people's tasks" in result.output


@pytest.mark.parametrize(
    ("change", "members"),
    [
        ("people_tasks set bi_assigned_to_user = 'eve' where bi_priority = 'H'", {"biAssignedToUser"}),
        ("people_tasks set bi_priority = 'L' where bi_priority = 'H'", {"biPriority"}),
        ("people_tasks set bi_task_status = 'LO' where bi_task_status = 'IN'", {"biTaskStatus"}),
        ("people_tasks set bi_due_date_time = now() where bi_priority = 'H'", {"biDueDateTime"}),
        ("people_events set processed = true where not processed", {"biTaskStatus"}),
        # The log entry of a lease is its row: the status of the entry changes with it.
        ("live_tasks set status = 'in-progress' where id = '{id}'", {"biTaskStatus"}),
        # The row stands for the entry of its own version only, so the entry of the lease is missing.
        ("live_tasks set version = 7 where id = '{id}'", {"version", "status", "execId", "deadlineAt"}),
    ],
)
def test_the_check_finds_a_value_that_was_changed_by_hand(desk: Desk, change: str, members: set[str]) -> None:
    (mine,) = [task["id"] for task in desk.call("find-all-tasks-by-task-list", taskList="L-1")["resources"]][:1]
    desk.server.query(f"update fencepost.{change.replace('{id}', mine)}")
    found = {difference["member"].removeprefix("stored ") for difference in differences(desk.server)}
    assert found == members
    result = CliRunner().invoke(check, ["--database-url", desk.server.conninfo])
    assert "in its history" in result.output


def test_the_check_finds_a_deleted_event(desk: Desk) -> None:
    desk.server.query("delete from fencepost.people_events where stream = 'plan'")
    assert {difference["member"] for difference in differences(desk.server)} == {"biPriority", "stored biPriority"}


def test_the_check_of_an_unreachable_database_fails_with_one_sentence() -> None:
    result = CliRunner().invoke(check, ["--database-url", "postgresql://127.0.0.1:1/none"])
    assert isinstance(result.exception, StartRefused)
    assert "cannot connect" in str(result.exception)
