"""Concurrent callers of two servers: one run for each device, and one of two conflicting reports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from fencepost.vocabularies.devices.reaper import DeviceReaper
from tests.fixtures.devices import Fleet, socket_to
from tests.fixtures.two_servers import TwoServers
from tests.fixtures.waiting import until

pytestmark = pytest.mark.shows("guarantees/one-run-per-device")

ROUNDS = range(8)


@pytest.fixture
def fleets(servers: TwoServers) -> tuple[Fleet, Fleet]:
    fleet = Fleet(servers.one)
    return fleet, fleet.on(servers.other)


def at_once(pool: ThreadPoolExecutor, *calls: Callable[[], Any]) -> list[Any]:
    """Make concurrent calls and return the result of each."""
    return [future.result(30) for future in [pool.submit(call) for call in calls]]


def settled(fleet: Fleet, run: str) -> Any:
    fleet.server.run(fleet.server.app.engine.deciders.run_pending_decisions(run))
    return fleet.run(run)


def keep_vigil(fleet: Fleet) -> None:
    fleet.server.run(fleet.server.app.of(DeviceReaper).run_once())


def no_longer_pending(fleet: Fleet, run: str) -> bool:
    fleet.server.reap()
    return bool(settled(fleet, run)["tasks"][0]["status"] != "PENDING")


@pytest.mark.shows("devices/one-run-raced")
def test_one_of_many_concurrent_run_requests_begins(fleets: tuple[Fleet, Fleet], pool: ThreadPoolExecutor) -> None:
    other = Fleet(fleets[0].server, "demo/clean")
    wanting = [*fleets, other, other.on(fleets[1].server)] * 8
    for number in ROUNDS:
        calls = (
            partial(fleet.send, "POST", f"/workflows/{fleet.name}/runs", {"device": f"r{number}"}) for fleet in wanting
        )
        answers = at_once(pool, *calls)
        assert Counter(status for status, _ in answers) == {201: 1, 409: len(wanting) - 1}
        (begun,) = [answer["id"] for status, answer in answers if status == 201]
        assert all(begun in answer["error"]["message"] for status, answer in answers if status == 409)


def test_concurrent_repeats_of_a_request_are_one_run(fleets: tuple[Fleet, Fleet], pool: ThreadPoolExecutor) -> None:
    for number in ROUNDS:
        asked = {"device": f"r{number}", "id": f"run-{number}"}
        runs = at_once(pool, *(partial(fleet.begin, **asked) for fleet in fleets * 6))
        assert {run["id"] for run in runs} == {f"run-{number}"}
        assert fleets[0].statuses(f"run-{number}") == ["PENDING"]


@pytest.mark.shows("devices/one-of-two-reports")
@pytest.mark.parametrize(
    ("reports", "ends"),
    [
        (("start", "reject"), {"IN_PROGRESS", "REJECTED"}),
        (("start", "abort"), {"ABORTED"}),
        (("reject", "abort"), {"REJECTED", "ABORTED"}),
        (("start", "start"), {"IN_PROGRESS"}),
        (("reject", "reject"), {"REJECTED"}),
    ],
)
def test_one_of_two_conflicting_reports_is_accepted(
    fleets: tuple[Fleet, Fleet], pool: ThreadPoolExecutor, reports: tuple[str, str], ends: set[str]
) -> None:
    for number in ROUNDS:
        run = fleets[0].begin(device=f"r{number}")
        task = run["currentTaskId"]
        path = f"/tasks/{task}/"
        calls = [partial(fleet.send, "POST", path + verb, {"reason": verb}) for fleet in fleets for verb in reports]
        answers = at_once(pool, *calls)
        assert {status for status, _ in answers} <= {200, 409}
        after = settled(fleets[0], run["id"])
        first = after["tasks"][0]
        assert first["status"] in ends
        # One retry, whatever the number of reports.
        assert len(after["tasks"]) == (1 if first["status"] == "IN_PROGRESS" else 2)
        taken = [answer for status, answer in answers if status == 200]
        assert first["status"] in {answer["status"] for answer in taken}


def test_one_of_a_concurrent_completion_and_stop_wins(fleets: tuple[Fleet, Fleet], pool: ThreadPoolExecutor) -> None:
    one, other = fleets
    for number in ROUNDS:
        run = one.begin(device=f"r{number}")
        task = run["currentTaskId"]
        one.report(task, "start")
        (completed, _), (stopped, _) = at_once(
            pool,
            partial(one.send, "POST", f"/tasks/{task}/complete"),
            partial(other.send, "POST", f"/workflow-runs/{run['id']}/stop"),
        )
        assert stopped == 200
        after = settled(one, run["id"])
        assert after["status"] == "ABORTED"
        statuses = [task["status"] for task in after["tasks"]]
        assert statuses in (["COMPLETED"], ["COMPLETED", "ABORTED"]) if completed == 200 else statuses == ["ABORTED"]


def test_one_of_a_concurrent_start_and_expiry_wins(fleets: tuple[Fleet, Fleet], pool: ThreadPoolExecutor) -> None:
    one, other = fleets
    for number in ROUNDS:
        run = one.begin(device=f"r{number}")
        task = run["currentTaskId"]
        soon = "now() + interval '20 ms'"
        one.server.query(
            f"update fencepost.live_tasks set expires_at = {soon}, deadline_at = {soon} where id = '{task}'"
        )
        answers = at_once(
            pool,
            *[partial(one.send, "POST", f"/tasks/{task}/start")] * 3,
            other.server.reap,
            other.server.reap,
        )
        assert {answer[0] for answer in answers if answer is not None} <= {200, 409}
        until(partial(no_longer_pending, other, run["id"]))
        after = settled(one, run["id"])["tasks"]
        if 200 in [answer[0] for answer in answers if answer is not None]:
            assert [one["status"] for one in after] == ["IN_PROGRESS"]
        else:
            assert (after[0]["status"], after[0]["reason"], len(after)) == ("ABORTED", "not_started_in_time", 2)


def test_one_of_a_concurrent_heartbeat_and_device_expiry_wins(
    fleets: tuple[Fleet, Fleet], pool: ThreadPoolExecutor
) -> None:
    one, _ = fleets
    for fleet in fleets:
        keep_vigil(fleet)
    for number in ROUNDS:
        name = f"r{number}"
        with socket_to(one.server, f"/devices/{name}/events"):
            pass
        run = one.begin(device=name)
        one.report(run["currentTaskId"], "start")
        one.server.query(f"update fencepost.devices set due_at = now() where name = '{name}'")
        at_once(
            pool,
            *[partial(one.call, "POST", f"/devices/{name}/heartbeat")] * 2,
            *(partial(keep_vigil, fleet) for fleet in fleets),
        )
        watched = one.call("GET", f"/devices/{name}")["connected"]
        statuses = [task["status"] for task in settled(one, run["id"])["tasks"]]
        assert statuses == (["IN_PROGRESS"] if watched else ["ABORTED", "PENDING"])


def test_concurrent_deciders_begin_a_step_once(fleets: tuple[Fleet, Fleet], pool: ThreadPoolExecutor) -> None:
    for number in ROUNDS:
        run = fleets[0].begin(device=f"r{number}")
        task = run["currentTaskId"]
        fleets[0].report(task, "start")
        at_once(pool, *(partial(fleet.report, task, "complete") for fleet in fleets * 4))
        assert fleets[1].statuses(run["id"]) == ["COMPLETED", "PENDING"]
