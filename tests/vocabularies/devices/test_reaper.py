"""Deadlines of devices: the start window of a task, silence, and outages."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

import pytest

from fencepost.clock import FrozenClock
from fencepost.settings import DeviceSettings, Settings
from fencepost.vocabularies.devices.reaper import DeviceReaper
from fencepost.vocabularies.devices.registry import DeviceRegistry
from tests.fixtures.devices import Fleet, socket_to, streaming
from tests.fixtures.servers import Server, running_server
from tests.fixtures.two_servers import TwoServers
from tests.fixtures.waiting import until

pytestmark = pytest.mark.shows("guarantees/outage-costs-nothing", "guarantees/observing-changes-nothing")

R2 = "/devices/r2/events"
NO_GRACE = Settings(lease_grace_seconds=0)


@pytest.fixture
def fleet(frozen_server: Server) -> Fleet:
    return Fleet(frozen_server)


def pass_time(fleet: Fleet, clock: FrozenClock, seconds: float, run: Any = None) -> None:
    """Let time go on, and do what is due then.

    The server's own loops look too, and may be in the middle of it: an effect is waited for with `come_to`.
    """
    clock.advance(timedelta(seconds=seconds))
    server = fleet.server
    server.reap()
    server.run(server.app.of(DeviceReaper).run_once())
    if run is not None:
        server.run(server.app.engine.deciders.run_pending_decisions(run["id"]))


def come_to(fleet: Fleet, run: Any, *statuses: str) -> None:
    """Wait until the tasks of a run have these statuses."""
    until(lambda: fleet.statuses(run["id"]) == list(statuses))


def connect(fleet: Fleet) -> None:
    """Open a channel and close it."""
    with socket_to(fleet.server, R2):
        pass


@pytest.mark.shows("devices/start-window")
def test_a_task_that_is_not_started_in_its_window_is_aborted_and_retried(fleet: Fleet, clock: FrozenClock) -> None:
    run = fleet.begin()
    pass_time(fleet, clock, 9.9, run)
    assert fleet.statuses(run["id"]) == ["PENDING"]
    pass_time(fleet, clock, 0.2, run)
    come_to(fleet, run, "ABORTED", "PENDING")
    assert fleet.run(run["id"])["tasks"][0]["reason"] == "not_started_in_time"


def test_a_run_fails_when_its_device_never_answers(fleet: Fleet, clock: FrozenClock) -> None:
    run = fleet.begin()
    for aborted in range(1, 5):
        pass_time(fleet, clock, 10.1, run)
        come_to(fleet, run, *["ABORTED"] * aborted, *["PENDING"] * (aborted < 4))
    until(lambda: fleet.run(run["id"])["status"] == "FAILED")
    assert fleet.begin()["status"] == "RUNNING"


@pytest.mark.shows("devices/restart-start-window")
def test_a_server_that_was_down_during_the_window_aborts_nothing(database: str, clock: FrozenClock) -> None:
    with running_server(database, clock) as before:
        task = Fleet(before).begin()["currentTaskId"]
    clock.advance(timedelta(hours=1))
    with running_server(database, clock, Settings(lease_grace_seconds=10)) as after:
        fleet = Fleet(after)
        pass_time(fleet, clock, 9.9)
        assert fleet.report(task, "start")["status"] == "IN_PROGRESS"


def test_a_report_after_the_window_is_refused(fleet: Fleet, clock: FrozenClock) -> None:
    task = fleet.begin()["currentTaskId"]
    clock.advance(timedelta(seconds=11))
    # The reaper has not ended the task yet, but it can no longer start.
    status, answer = fleet.send("POST", f"/tasks/{task}/start")
    assert (status, answer["error"]["type"]) == (409, "report-refused")
    assert fleet.task(task)["reason"] == "not_started_in_time"
    # An abort leads to the status that the task already has.
    assert fleet.report(task, "abort")["status"] == "ABORTED"


def test_a_started_task_of_a_device_without_a_channel_has_no_timeout(fleet: Fleet, clock: FrozenClock) -> None:
    run = fleet.begin()
    fleet.report(run["currentTaskId"], "start")
    pass_time(fleet, clock, 365 * 24 * 3600, run)
    assert fleet.do(run["id"], "complete")["tasks"][0]["status"] == "COMPLETED"


def test_the_silence_of_a_document_limits_the_silence_of_its_device(frozen_server: Server, clock: FrozenClock) -> None:
    fleet = Fleet(frozen_server, silence=60_000)
    run = fleet.begin()
    fleet.report(run["currentTaskId"], "start")
    pass_time(fleet, clock, 61, run)
    come_to(fleet, run, "ABORTED", "PENDING")
    assert [(task["status"], task.get("reason")) for task in fleet.run(run["id"])["tasks"]] == [
        ("ABORTED", "device_silent"),
        ("PENDING", None),
    ]


@pytest.mark.shows("devices/aborted-by-disconnect")
def test_the_task_of_a_silent_watched_device_is_aborted(fleet: Fleet, clock: FrozenClock) -> None:
    connect(fleet)
    run = fleet.begin()
    fleet.report(run["currentTaskId"], "start")
    pass_time(fleet, clock, 14.9, run)
    assert fleet.statuses(run["id"]) == ["IN_PROGRESS"]
    pass_time(fleet, clock, 0.2, run)
    come_to(fleet, run, "ABORTED", "PENDING")
    first, _ = fleet.run(run["id"])["tasks"]
    assert (first["status"], first["reason"]) == ("ABORTED", "device_disconnected")
    assert not fleet.call("GET", "/devices/r2")["connected"]


@pytest.mark.shows("devices/disconnect-announced")
def test_clients_and_the_device_receive_a_disconnect(fleet: Fleet, clock: FrozenClock) -> None:
    connect(fleet)
    run = fleet.begin()
    task = run["currentTaskId"]
    fleet.report(task, "start")
    with streaming(fleet.server, "/events/client") as client:
        pass_time(fleet, clock, 15.1, run)
        event = client.next("TASK_ABORTED")
        assert (event["taskId"], event["deviceId"], event["reason"]) == (task, "r2", "device_disconnected")
        assert client.next("WORKFLOW_RUN_RETRYING")["workflowRunId"] == run["id"]
    with streaming(fleet.server, f"{R2}?as=device") as device:
        following = device.next("TASK_REGISTERED")["task_id"]
    assert following == fleet.run(run["id"])["currentTaskId"] != task


@pytest.mark.shows("devices/healthcheck", "devices/report-is-heartbeat")
@pytest.mark.parametrize("sign", ["report", "heartbeat", "connection", "answer"])
def test_each_kind_of_heartbeat_extends_the_deadline_of_a_device(fleet: Fleet, clock: FrozenClock, sign: str) -> None:
    connect(fleet)
    run = fleet.begin()
    task = run["currentTaskId"]
    fleet.report(task, "start")
    pass_time(fleet, clock, 10, run)
    if sign == "report":
        fleet.report(task, "start")
    elif sign == "heartbeat":
        fleet.call("POST", "/devices/r2/heartbeat")
    elif sign == "connection":
        connect(fleet)
    else:
        with socket_to(fleet.server, R2) as device:
            device.send_json(type="HEARTBEAT")
            device.send_json(type="TASK_STARTED", task_id=task)
            device.next("REPORT_TAKEN")
    pass_time(fleet, clock, 10, run)
    assert fleet.statuses(run["id"]) == ["IN_PROGRESS"]
    pass_time(fleet, clock, 5.1, run)
    come_to(fleet, run, "ABORTED", "PENDING")


def test_an_expired_device_is_watched_again_when_it_reconnects(fleet: Fleet, clock: FrozenClock) -> None:
    connect(fleet)
    pass_time(fleet, clock, 16)
    assert not fleet.call("GET", "/devices/r2")["connected"]
    with streaming(fleet.server, f"{R2}?as=device"):
        assert fleet.call("GET", "/devices/r2")["connected"]


def test_silence_between_two_runs_aborts_nothing(fleet: Fleet, clock: FrozenClock) -> None:
    connect(fleet)
    pass_time(fleet, clock, 100)
    run = fleet.begin()
    fleet.report(run["currentTaskId"], "start")
    pass_time(fleet, clock, 100, run)
    assert fleet.statuses(run["id"]) == ["IN_PROGRESS"]


def test_a_silent_device_does_not_abort_tasks_of_others(fleet: Fleet, clock: FrozenClock) -> None:
    connect(fleet)
    mine, other = fleet.begin(), fleet.begin(device="c3")
    for run in (mine, other):
        fleet.report(run["currentTaskId"], "start")
    pass_time(fleet, clock, 16, mine)
    assert (fleet.statuses(mine["id"])[0], fleet.statuses(other["id"])) == ("ABORTED", ["IN_PROGRESS"])


@pytest.mark.shows("devices/restart-running")
def test_a_starting_server_extends_the_deadline_of_every_device(database: str, clock: FrozenClock) -> None:
    with running_server(database, clock, NO_GRACE) as server:
        fleet = Fleet(server)
        connect(fleet)
        run = fleet.begin()
        fleet.report(run["currentTaskId"], "start")
    clock.advance(timedelta(hours=1))
    with running_server(database, clock, NO_GRACE) as server:
        fleet = fleet.on(server)
        pass_time(fleet, clock, 14.9, run)
        assert fleet.statuses(run["id"]) == ["IN_PROGRESS"]
        pass_time(fleet, clock, 0.2, run)
        come_to(fleet, run, "ABORTED", "PENDING")


def test_a_device_reconnects_to_another_server(database: str, clock: FrozenClock) -> None:
    with running_server(database, clock, NO_GRACE) as one, running_server(database, clock, NO_GRACE) as other:
        fleet = Fleet(one)
        connect(fleet)
        run = fleet.begin()
        fleet.report(run["currentTaskId"], "start")
        pass_time(fleet, clock, 10, run)
        connect(fleet.on(other))
        pass_time(fleet, clock, 10, run)
        assert fleet.statuses(run["id"]) == ["IN_PROGRESS"]


@pytest.mark.shows("devices/missed-heartbeats")
def test_a_device_with_a_broken_connection_expires(database: str) -> None:
    patience = DeviceSettings(retries=0, healthcheck_seconds=0.1, silence_seconds=0.5)
    with running_server(database, settings=Settings(devices=patience)) as server:
        fleet = Fleet(server)
        run = fleet.begin()
        with streaming(server, f"{R2}?as=device") as device:
            fleet.report(device.next("TASK_REGISTERED")["task_id"], "start")
            device.next("HEALTHCHECK")
        until(lambda: fleet.run(run["id"])["status"] == "FAILED")
        assert fleet.run(run["id"])["reason"] == "device_disconnected"


@pytest.mark.shows("devices/missed-heartbeats")
def test_a_device_that_ignores_health_checks_on_an_open_socket_expires(database: str) -> None:
    patience = DeviceSettings(retries=0, healthcheck_seconds=0.1, silence_seconds=1.5)
    with running_server(database, settings=Settings(devices=patience)) as server, socket_to(server, R2) as device:
        fleet = Fleet(server)
        run = fleet.begin()
        task = device.next("TASK_REGISTERED")["task_id"]
        device.send_json(type="TASK_STARTED", task_id=task)
        device.next("REPORT_TAKEN")
        # Health checks arrive meanwhile.
        while (told := device.next("HEALTHCHECK", "TASK_ABORTED"))["type"] == "HEALTHCHECK":
            asked = told
        assert (asked, told["task_id"], told["reason"]) == ({"type": "HEALTHCHECK"}, task, "device_disconnected")
        until(lambda: fleet.run(run["id"])["status"] == "FAILED")


def test_two_servers_abort_the_task_of_a_silent_device_once(servers: TwoServers) -> None:
    fleet = Fleet(servers.one)
    connect(fleet)
    run = fleet.begin()
    fleet.report(run["currentTaskId"], "start")
    servers.one.query("update fencepost.devices set due_at = now() - interval '1 second'")
    lost = [server.app.of(DeviceRegistry) for server in servers]
    count = sum(server.run(known.expire()) for server, known in zip(servers, lost, strict=True))
    assert count <= 1
    come_to(fleet, run, "ABORTED", "PENDING")


def test_an_idle_reaper_runs_one_statement(fleet: Fleet) -> None:
    app = fleet.server.app

    def asked(look: Callable[[], Coroutine[Any, Any, float]]) -> int:
        before = app.database.jobs_taken
        assert fleet.server.run(look()) == 30
        return app.database.jobs_taken - before

    # Other loops of the server run statements too.
    for look in (app.of(DeviceReaper).run_once, app.scheduler.run_once):
        assert min(asked(look) for _ in range(5)) == 1
