"""The scheduler handles due times: starts, skips, catch-up and changes to daylight saving time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from fencepost.clock import FrozenClock
from fencepost.settings import Settings
from tests.fixtures.history import until_maintained
from tests.fixtures.schedules import DAY, HOUR, MINUTE, became, finish, pass_time, put, run_due, starts, status
from tests.fixtures.servers import Server, running_server
from tests.fixtures.waiting import until
from tests.fixtures.workflows import Decider

pytestmark = pytest.mark.shows("guarantees/due-time-once")

SECOND = timedelta(seconds=1)


@pytest.fixture
def server(frozen_server: Server) -> Server:
    frozen_server.define()
    return frozen_server


def test_a_due_time_starts_a_task_once(server: Server, clock: FrozenClock) -> None:
    put(server, task_request={"definition": "demo/resize", "label": "hourly", "params": {"width": 7}})
    assert status(server)["executeAt"] == "2026-01-01T01:00:00.000000Z"

    pass_time(server, clock, HOUR - SECOND)
    assert became(server) == []
    pass_time(server, clock, SECOND)

    (start,) = starts(server)
    assert (start["dueAt"], start["kind"], start["status"]) == ("2026-01-01T01:00:00.000000Z", "scheduled", "started")
    task = server.task(start["reference"]["id"])
    assert task["requester"] == {"service": "awf/scheduler", "rule": "demo/nightly"}
    assert (task["label"], task["params"], task["status"]) == ("hourly", {"width": 7}, "ready")
    assert server.log(task["id"])[0]["caller"] == "awf.engine"
    shown = status(server)
    assert shown["lastSchedule"] == start["dueAt"]
    assert shown["lastScheduleStatus"] == "started"
    assert shown["lastScheduleReference"] == {"resourceType": "AidboxTask", "id": task["id"]}
    assert shown["executeAt"] == "2026-01-01T02:00:00.000000Z"


def test_a_due_time_starts_a_workflow(server: Server, clock: FrozenClock) -> None:
    decider = Decider(server, "demo/order")
    put(server, workflow_request={"definition": "demo/order", "params": {"customer": "c-17"}})
    pass_time(server, clock, HOUR)
    reference = status(server)["lastScheduleReference"]
    assert reference["resourceType"] == "AidboxWorkflow"
    workflow = decider.status(reference["id"])["resource"]
    assert (workflow["params"], workflow["requester"]["rule"]) == ({"customer": "c-17"}, "demo/nightly")

    pass_time(server, clock, HOUR)
    decider.decide(decider.decision(), {"action": "awf.workflow.action/complete-workflow"})
    pass_time(server, clock, HOUR)
    assert became(server) == [
        ("2026-01-01T01:00", "started"),
        ("2026-01-01T02:00", "still-live"),
        ("2026-01-01T03:00", "started"),
    ]


def test_a_schedule_can_start_a_built_in_task(server: Server, clock: FrozenClock) -> None:
    put(server, task_request={"definition": "awf.task/wait", "params": {"duration": {"minutes": 90}}})
    pass_time(server, clock, HOUR, times=2)
    assert server.task(status(server)["lastScheduleReference"]["id"])["status"] == "in-progress"
    clock.advance(30 * MINUTE)
    server.reap()
    pass_time(server, clock, 30 * MINUTE)
    assert [what for _, what in became(server)] == ["started", "still-live", "started"]


def test_a_task_started_by_a_schedule_wakes_a_waiting_poll(database: str) -> None:
    with running_server(database) as server:
        server.define()
        put(server, schedule="* * * * * *")
        (task,) = server.rpc("awf.task/long-poll", {"taskDefinitions": ["demo/resize"], "timeout": 10_000})["resources"]
        assert task["requester"]["rule"] == "demo/nightly"


def test_the_forbid_policy_skips_a_due_time_while_the_last_start_is_live(server: Server, clock: FrozenClock) -> None:
    put(server)
    put(server, "demo/side-by-side", concurrency_policy="allow")
    pass_time(server, clock, HOUR, times=2)
    assert [what for _, what in became(server)] == ["started", "still-live"]
    assert [what for _, what in became(server, "demo/side-by-side")] == ["started", "started"]

    shown = status(server)
    assert (shown["lastSchedule"][:16], shown["lastScheduleStatus"]) == ("2026-01-01T02:00", "skipped")
    finish(server, shown["lastScheduleReference"]["id"])
    pass_time(server, clock, HOUR)
    assert became(server)[-1] == ("2026-01-01T03:00", "started")


def test_a_late_due_time_is_started_within_the_deadline_and_skipped_beyond_it(
    server: Server, clock: FrozenClock
) -> None:
    put(server, concurrency_policy="allow", start_deadline_seconds=300)
    pass_time(server, clock, HOUR + 300 * SECOND)
    pass_time(server, clock, HOUR + SECOND)
    assert became(server) == [("2026-01-01T01:00", "started"), ("2026-01-01T02:00", "late")]
    assert status(server)["executeAt"] == "2026-01-01T03:00:00.000000Z"


def test_due_times_missed_in_a_year_are_skipped_in_one_step(server: Server, clock: FrozenClock) -> None:
    put(server, schedule="* * * * *", concurrency_policy="allow")
    pass_time(server, clock, 365 * DAY + 61 * SECOND)
    late, *rest = starts(server)
    assert (late["dueAt"], late["until"]) == ("2026-01-01T00:01:00.000000Z", "2027-01-01T00:01:00.000000Z")
    assert [start["dueAt"][:16] for start in rest] == ["2027-01-01T00:01"]


def test_the_newest_missed_due_times_are_caught_up(server: Server, clock: FrozenClock) -> None:
    put(server, concurrency_policy="allow", catch_up=3)
    pass_time(server, clock, 10 * HOUR + 30 * MINUTE)
    assert became(server) == [
        ("2026-01-01T01:00", "late"),
        ("2026-01-01T08:00", "started"),
        ("2026-01-01T09:00", "started"),
        ("2026-01-01T10:00", "started"),
    ]


def test_jitter_delays_a_start_as_the_status_shows(server: Server, clock: FrozenClock) -> None:
    put(server, jitter_seconds=3000)
    shown = status(server)
    assert shown["dueAt"] == "2026-01-01T01:00:00.000000Z"
    at = datetime.fromisoformat(shown["executeAt"])
    assert timedelta() < at - datetime.fromisoformat(shown["dueAt"]) < 3000 * SECOND
    pass_time(server, clock, at - clock.now() - SECOND)  # type: ignore[operator]
    assert became(server) == []
    pass_time(server, clock, SECOND)
    assert became(server) == [("2026-01-01T01:00", "started")]


def test_a_due_time_that_cannot_start_is_skipped_with_the_reason(server: Server, clock: FrozenClock) -> None:
    put(server, task_request={"definition": "demo/resize", "params": {"width": 0}}, concurrency_policy="allow")
    put(server, "demo/other")
    schema = {"type": "object", "properties": {"width": {"minimum": 1}}}
    server.define(params=schema)
    pass_time(server, clock, HOUR)
    (start,) = starts(server)
    assert (start["reason"], start["message"]) == ("refused", "0 is less than the minimum of 1")
    assert became(server, "demo/other") == [("2026-01-01T01:00", "started")]
    server.define()
    pass_time(server, clock, HOUR)
    assert [what for _, what in became(server)] == ["refused", "started"]


def test_a_schedule_of_a_deleted_definition_shows_the_reason(server: Server, clock: FrozenClock) -> None:
    put(server)
    server.rpc("awf.definition/delete", {"name": "demo/resize"})
    pass_time(server, clock, HOUR)
    assert starts(server)[0]["message"].startswith("there is no definition 'demo/resize'")


def test_many_schedules_due_at_once_are_all_started(server: Server, clock: FrozenClock) -> None:
    names = [f"demo/many-{number}" for number in range(250)]
    request = {"definition": "demo/resize"}
    documents = [{"kind": "schedule", "name": name, "schedule": "@hourly", "task-request": request} for name in names]
    server.post([{"method": "awf.definition/put", "params": document} for document in documents])
    pass_time(server, clock, HOUR)
    assert server.query("select count(*) from fencepost.live_tasks") == [(250,)]
    assert {tuple(became(server, name)) for name in names[::50]} == {(("2026-01-01T01:00", "started"),)}


# Daylight saving time


@pytest.mark.parametrize(
    ("schedule", "zone", "begin", "due"),
    [
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00Z", ["2026-03-29T01:00", "2026-03-30T00:30"]),
        ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00Z", ["2026-10-25T00:30", "2026-10-26T01:30"]),
        ("30 2 * * *", "America/New_York", "2026-03-07T12:00Z", ["2026-03-08T07:00", "2026-03-09T06:30"]),
        ("30 1 * * *", "America/New_York", "2026-10-31T12:00Z", ["2026-11-01T05:30", "2026-11-02T06:30"]),
    ],
)
def test_a_nightly_job_starts_once_in_the_night_in_which_clocks_are_changed(
    database: str, schedule: str, zone: str, begin: str, due: list[str]
) -> None:
    clock = FrozenClock(datetime.fromisoformat(begin))
    with running_server(database, clock) as server:
        server.define()
        put(server, schedule=schedule, timezone=zone, concurrency_policy="allow")
        pass_time(server, clock, 30 * MINUTE, times=2 * 44)
        assert became(server) == [(at, "started") for at in due]


# The loop


def test_the_scheduler_loop_starts_a_due_schedule_by_itself(database: str) -> None:
    with running_server(database) as server:
        server.define()
        put(server, schedule="* * * * * *", concurrency_policy="allow")
        until(lambda: len(starts(server)) >= 2)


# Run history


@pytest.fixture
def forgetful(database: str, clock: FrozenClock) -> Iterator[Server]:
    """A server that keeps history for ten hours."""
    with running_server(database, clock, Settings(retention=10 * HOUR, lease_grace_seconds=0)) as running:
        running.define()
        until_maintained(running)
        yield running


def test_the_run_history_of_a_schedule_is_kept_for_the_retention(forgetful: Server, clock: FrozenClock) -> None:
    put(forgetful, concurrency_policy="allow")
    pass_time(forgetful, clock, HOUR, times=13)
    until(lambda: forgetful.run(forgetful.app.partitions.run_once()) > 60)
    assert became(forgetful)[0] == ("2026-01-01T03:00", "started")
    run_due(forgetful)
    assert status(forgetful)["lastSchedule"][:16] == "2026-01-01T13:00"


def test_an_unreadable_schedule_does_not_block_other_schedules(server: Server, clock: FrozenClock) -> None:
    put(server, "demo/bad")
    put(server, "demo/good")
    # A machine with newer time zone data may have stored this document.
    server.query(
        'update fencepost.definitions set document = (document::jsonb || \'{"timezone": "Europe/Nowhere"}\')::json'
        " where name = 'demo/bad'"
    )
    clock.advance(HOUR)
    until(lambda: server.run(server.app.scheduler.run_once()) >= 0 and bool(server.poll()))
    assert status(server, "demo/good")["lastScheduleStatus"] == "started"
