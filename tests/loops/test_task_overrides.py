"""Settings of a task override those of its definition: timeouts, expiry, retries and delays."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from fencepost.clock import FrozenClock
from fencepost.settings import Settings
from fencepost.store.check import check
from tests.fixtures.schedules import NIGHTLY, put
from tests.fixtures.servers import Server, pass_time, running_server
from tests.fixtures.surface import CHECKS
from tests.fixtures.waiting import until
from tests.fixtures.workflows import Decider


@pytest.fixture
def server(frozen_server: Server) -> Server:
    frozen_server.define(requestedToStartTimeout=1000, inProgressTimeout=2000, allowedRetryCount=1, retryDelay=3000)
    return frozen_server


def reason(task: dict[str, Any]) -> str:
    assert (task["status"], task["outcome"]) == ("done", "failed")
    return str(task["outcomeReason"]["type"])


def test_a_task_uses_and_shows_its_own_settings(server: Server, clock: FrozenClock) -> None:
    own = {"requestedToStartTimeout": 50, "inProgressTimeout": 70, "allowedRetryCount": 0, "retryDelay": 5}
    task = server.create(settings=own)
    assert {name: task[name] for name in own} == own
    server.poll()
    pass_time(server, clock, 50)
    assert server.task(task["id"])["status"] == "ready"
    server.poll(start=True)
    pass_time(server, clock, 69)
    assert server.task(task["id"])["status"] == "in-progress"
    pass_time(server, clock, 1)
    assert reason(server.task(task["id"])) == "awf.task/failed-due-to-in-progress-timeout"
    settings = server.rpc("awf.task/status", {"id": task["id"], "include-settings?": True})["settings"]
    assert settings["allowedRetryCount"] == 0


def test_a_task_may_override_the_retry_count_and_delay_of_its_definition(server: Server, clock: FrozenClock) -> None:
    id = server.create(settings={"allowedRetryCount": 3, "retryDelay": 10})["id"]
    for _ in range(3):
        (task,) = server.poll(start=True)
        server.rpc("awf.task/fail", {"id": id, "execId": task["execId"]})
        assert server.task(id)["status"] == "waiting"
        pass_time(server, clock, 10)
    (task,) = server.poll(start=True)
    server.rpc("awf.task/fail", {"id": id, "execId": task["execId"]})
    assert reason(server.task(id)) == "awf.task/failed-by-executor"


@pytest.mark.parametrize("state", ["waiting", "ready", "requested"])
def test_a_task_that_is_not_started_before_it_expires_fails(server: Server, clock: FrozenClock, state: str) -> None:
    members = {"executeAt": "2999-01-01T00:00:00Z"} if state == "waiting" else {}
    id = server.create(settings={"expiresAfter": 500, "requestedToStartTimeout": 9000}, **members)["id"]
    if state == "requested":
        server.poll()
    pass_time(server, clock, 499)
    assert server.task(id)["status"] == state
    pass_time(server, clock, 1)
    assert reason(server.task(id)) == "awf.task/expired"
    entry = server.log(id)[-1]
    assert (entry["action"], entry["status-before"], entry["caller"]) == ("awf.engine/expire", state, "awf.engine")


def test_an_expired_task_is_not_claimed_even_before_it_is_reaped(server: Server, clock: FrozenClock) -> None:
    server.create(settings={"expiresAfter": 500})
    clock.advance(timedelta(milliseconds=500))
    assert server.poll() == []


def test_an_attempt_started_before_the_expiry_continues_without_a_retry(server: Server, clock: FrozenClock) -> None:
    id = server.create(settings={"expiresAfter": 500})["id"]
    server.poll(start=True)
    pass_time(server, clock, 1999)
    assert server.task(id)["status"] == "in-progress"
    pass_time(server, clock, 1)
    assert reason(server.task(id)) == "awf.task/failed-due-to-in-progress-timeout"


def test_a_failed_task_expires_when_its_retry_would_be_too_late(server: Server, clock: FrozenClock) -> None:
    id = server.create(settings={"expiresAfter": 500})["id"]
    (task,) = server.poll(start=True)
    server.rpc("awf.task/fail", {"id": id, "execId": task["execId"]})
    assert server.task(id)["status"] == "waiting"
    pass_time(server, clock, 500)
    assert reason(server.task(id)) == "awf.task/expired"


def test_a_released_task_still_expires(server: Server, clock: FrozenClock) -> None:
    id = server.create(settings={"expiresAfter": 500})["id"]
    (task,) = server.poll(start=True)
    server.rpc("awf.task/release", {"id": id, "execId": task["execId"]})
    pass_time(server, clock, 500)
    assert reason(server.task(id)) == "awf.task/expired"


def test_a_manual_retry_of_an_expired_task_does_not_expire_again(server: Server, clock: FrozenClock) -> None:
    id = server.create(settings={"expiresAfter": 500})["id"]
    pass_time(server, clock, 500)
    server.rpc("awf.task/retry", {"id": id})
    pass_time(server, clock, 5000)
    assert [task["id"] for task in server.poll()] == [id]


ATTEMPTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "of a definition": ({"attemptTimeout": 3000}, {}),
    "of a task": ({}, {"attemptTimeout": 3000}),
    "longer of a task": ({"attemptTimeout": 100}, {"attemptTimeout": 3000}),
    "shorter of a task": ({"attemptTimeout": 9000}, {"attemptTimeout": 3000}),
}


@pytest.mark.parametrize("by_start", [False, True], ids=["by poll", "by start"])
@pytest.mark.parametrize("limit", [{}, {"concurrencyLimit": 1}], ids=["free", "limited"])
@pytest.mark.parametrize("whose", ATTEMPTS)
def test_the_attempt_timeout_applies_regardless_of_heartbeats(
    server: Server, clock: FrozenClock, whose: str, limit: dict[str, Any], by_start: bool
) -> None:
    declared, own = ATTEMPTS[whose]
    server.define(inProgressTimeout=2000, **declared, **limit)
    id = server.create(settings={**own, "allowedRetryCount": 0})["id"]
    assert server.task(id)["attemptTimeout"] == 3000
    (task,) = server.poll(start=not by_start)
    lease = {"id": id, "execId": task["execId"]}
    if by_start:
        pass_time(server, clock, 500)
        server.rpc("awf.task/start", lease)
    pass_time(server, clock, 1500)
    server.rpc("awf.task/notify", {**lease, "notification": "heartbeat"})
    pass_time(server, clock, 1499)
    assert server.task(id)["status"] == "in-progress"
    server.rpc("awf.task/notify", {**lease, "notification": "heartbeat"})
    pass_time(server, clock, 1)
    assert reason(server.task(id)) == "awf.task/failed-due-to-in-progress-timeout"


def test_a_task_is_retried_after_the_attempt_timeout_and_the_late_worker_is_refused(
    server: Server, clock: FrozenClock
) -> None:
    server.define(attemptTimeout=1500, inProgressTimeout=1000, allowedRetryCount=1, retryDelay=3000)
    lease = server.started()
    for _ in range(2):
        pass_time(server, clock, 700)
        server.rpc("awf.task/notify", {**lease, "notification": "heartbeat"})
    pass_time(server, clock, 100)
    assert (server.task(lease["id"])["status"], server.log(lease["id"])[-1]["action"]) == (
        "waiting",
        "awf.engine/timeout",
    )
    assert server.refused("awf.task/success", lease)[:2] == (409, "exec-id-mismatch")
    pass_time(server, clock, 3000)
    (again,) = server.poll(start=True)
    pass_time(server, clock, 1000)
    assert reason(server.task(lease["id"])) == "awf.task/failed-due-to-in-progress-timeout"
    late = {"id": lease["id"], "execId": again["execId"]}
    assert server.refused("awf.task/success", late)[:2] == (409, "task-has-been-done")


def test_the_attempt_timeout_is_a_versioned_setting_of_a_definition(server: Server) -> None:
    assert "attemptTimeout" not in server.create()
    version = server.define(attemptTimeout=5000)["version"]
    assert server.define(attemptTimeout=5000)["version"] == version
    assert server.rpc("awf.definition/get", {"name": "demo/resize"})["resource"]["attemptTimeout"] == 5000
    id = server.create()["id"]
    assert server.rpc("awf.task/status", {"id": id, "include-settings?": True})["settings"]["attemptTimeout"] == 5000
    for wrong in (0, -1, 1.5, "1 h", True, 2**62):
        params = {"kind": "task", "name": "demo/resize", "attemptTimeout": wrong}
        assert server.refused("awf.definition/put", params) == (400, "invalid-params", "$.params.attemptTimeout")


def test_the_attempt_timeout_applies_to_decision_tasks(server: Server, clock: FrozenClock) -> None:
    decider = Decider(server, "demo/steps", attemptTimeout=1500)
    decider.create()
    decision = decider.decision()
    for _ in range(2):
        pass_time(server, clock, 700)
        lease = {"id": decision["id"], "execId": decision["execId"]}
        server.rpc("awf.task/notify", {**lease, "notification": "heartbeat"})
    pass_time(server, clock, 100)
    assert server.task(decision["id"])["status"] == "waiting"


def test_the_reaper_loop_ends_a_hung_attempt_at_its_attempt_timeout(database: str, server: Server) -> None:
    del server
    with running_server(database) as real:
        real.define(attemptTimeout=300)
        id = real.create()["id"]
        (task,) = real.poll()
        real.rpc("awf.task/start", {"id": id, "execId": task["execId"]})
        until(lambda: real.task(id)["status"] == "waiting", timeout=3)


def test_the_reaper_loop_applies_the_expiry_of_a_task(database: str, server: Server) -> None:
    """The server uses the time of the database; its next regular round would be much later."""
    del server
    with running_server(database) as real:
        id = real.create(settings={"expiresAfter": 300})["id"]
        until(lambda: real.task(id)["status"] == "done", timeout=3)


def test_the_reaper_loop_applies_the_expiry_of_a_task_started_by_a_schedule(database: str) -> None:
    with running_server(database) as real:
        real.define()
        put(real, task_request={"definition": "demo/resize", "settings": {"expiresAfter": 300}})
        started = real.rpc("awf.schedule/run-now", {"name": NIGHTLY})["start"]
        id = started["reference"]["id"]
        until(lambda: real.task(id)["status"] == "done", timeout=3)


def test_a_task_that_expired_in_an_outage_can_be_started_after_it(database: str, clock: FrozenClock) -> None:
    with running_server(database, clock) as before:
        before.define()
        ids = [before.create(settings={"expiresAfter": 5000})["id"] for _ in range(2)]
    clock.advance(timedelta(hours=1))
    with running_server(database, clock, Settings(lease_grace_seconds=10)) as after:
        assert [entry["action"] for entry in after.log(ids[0])][1:] == ["awf.engine/snapshot"]
        assert [found for checked in check(database, CHECKS) for found in checked.differences] == []
        pass_time(after, clock, 9000)
        (task,) = after.poll(start=True)
        assert task["id"] == ids[0]
    # The expiry is extended only once, regardless of restarts.
    with running_server(database, clock, Settings(lease_grace_seconds=10)) as again:
        pass_time(again, clock, 999)
        assert again.task(ids[1])["status"] == "ready"
        pass_time(again, clock, 1)
        assert reason(again.task(ids[1])) == "awf.task/expired"
        assert again.task(ids[0])["status"] == "in-progress"


def test_a_retry_that_was_due_in_an_outage_starts_after_it(database: str, clock: FrozenClock) -> None:
    with running_server(database, clock) as before:
        before.define(retryDelay=2000)
        lease = before.started(settings={"expiresAfter": 5000})
        before.rpc("awf.task/fail", {**lease, "error": {}})
    clock.advance(timedelta(hours=1))
    with running_server(database, clock, Settings(lease_grace_seconds=10)) as after:
        after.reap()
        assert after.task(lease["id"])["status"] == "ready"
        pass_time(after, clock, 9999)
        assert len(after.poll()) == 1


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({"attemptTimeout": 0}, "$.params.settings.attemptTimeout"),
        ({"expiresAfter": -1}, "$.params.settings.expiresAfter"),
        ({"retryDelay": "soon"}, "$.params.settings.retryDelay"),
        ({"timeout": 5}, "$.params.settings"),
    ],
)
def test_invalid_task_settings_are_refused_with_their_path(server: Server, settings: Any, path: str) -> None:
    params = {"definition": "demo/resize", "settings": settings}
    status, type, at = server.refused("awf.task/create-and-execute", params)
    assert (status, type) == (400, "invalid-params")
    assert at is not None
    assert at.startswith(path)


def test_a_create_with_the_same_id_and_other_settings_is_refused(server: Server) -> None:
    created = server.create(id="one", settings={"retryDelay": 5})
    assert server.create(id="one", settings={"retryDelay": 5})["id"] == created["id"]
    params = {"definition": "demo/resize", "id": "one", "settings": {"retryDelay": 6}}
    assert server.refused("awf.task/create-and-execute", params)[:2] == (409, "already-exists")


def test_a_decider_can_override_the_settings_of_an_activity(server: Server, clock: FrozenClock) -> None:
    decider = Decider(server, "demo/steps")
    workflow = decider.create()
    action = decider.task("one", settings={"expiresAfter": 500, "allowedRetryCount": 0})
    decider.decide(decider.decision(), action)
    (activity,) = decider.status(workflow["id"])["activities"]
    assert activity["expiresAfter"] == 500
    pass_time(server, clock, 500)
    decision = decider.decision()
    assert (decision["params"]["label"], decision["params"]["outcome"]) == ("one", "failed")


def test_a_child_workflow_with_settings_is_refused(server: Server) -> None:
    decider = Decider(server, "demo/steps")
    decider.create()
    child = decider.child("one", "demo/steps")
    child["workflow-request"]["settings"] = {"retryDelay": 5}
    decision = decider.decision()
    params = {"id": decision["id"], "execId": decision["execId"], "result": [child]}
    assert server.refused("awf.task/success", params) == (
        422,
        "invalid-action",
        "$.params.result[0].workflow-request.settings",
    )
