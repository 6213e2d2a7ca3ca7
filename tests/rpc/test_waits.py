"""`awf.task/wait`: a task that is in progress at once and succeeds at its time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fencepost.clock import FrozenClock
from fencepost.settings import Settings
from tests.fixtures.builtin import ended
from tests.fixtures.servers import Server, running_server
from tests.fixtures.waiting import until
from tests.fixtures.workflows import Decider

WAIT = "awf.task/wait"


@pytest.fixture
def server(frozen_server: Server) -> Server:
    return frozen_server


def wait(server: Server, **params: Any) -> str:
    task = server.create(WAIT, params=params)
    assert (task["status"], task["retryCount"]) == ("in-progress", 1)
    return str(task["id"])


def pass_time(server: Server, clock: FrozenClock, **by: float) -> None:
    clock.advance(timedelta(**by))
    server.reap()


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [
        ({"seconds": 90}, 90),
        ({"minutes": 1.5}, 90),
        ({"hours": 1, "minutes": 1, "seconds": 1}, 3661),
        ({"hours": 87_000}, 87_000 * 3600),
        ({"seconds": 0.001}, 0.001),
    ],
)
def test_a_wait_lasts_for_its_duration(
    server: Server, clock: FrozenClock, duration: dict[str, float], seconds: float
) -> None:
    id = wait(server, duration=duration)
    pass_time(server, clock, seconds=seconds - 0.001)
    assert server.task(id)["status"] == "in-progress"
    pass_time(server, clock, seconds=0.001)
    task = server.task(id)
    assert (task["status"], task["outcome"], task["retryCount"]) == ("done", "succeeded", 1)
    assert "result" not in task
    assert [(entry["action"], entry["status-after"]) for entry in server.log(id)] == [
        ("awf.task/create-and-execute", "ready"),
        ("awf.engine/start", "in-progress"),
        ("awf.engine/success", "done"),
    ]


@pytest.mark.parametrize(
    ("until", "at"),
    [
        ("2026-03-01", datetime(2026, 3, 1, tzinfo=UTC)),
        ("2026-03-01T12:00:00", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("2026-03-01T12:00:00Z", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("2026-03-01T12:00:00+02:00", datetime(2026, 3, 1, 10, tzinfo=UTC)),
        ("9999-12-31", datetime(9999, 12, 31, tzinfo=UTC)),
    ],
)
def test_a_wait_lasts_until_its_time(server: Server, clock: FrozenClock, until: str, at: datetime) -> None:
    id = wait(server, until=until)
    found = server.task(id)["inProgressTimeoutAt"]
    assert datetime.fromisoformat(found) == at
    now = clock.now()
    assert now is not None
    clock.advance(at - now - timedelta(milliseconds=1))
    server.reap()
    assert server.task(id)["status"] == "in-progress"
    pass_time(server, clock, milliseconds=1)
    assert server.task(id)["outcome"] == "succeeded"


@pytest.mark.parametrize("params", [{"until": "2020-01-01"}, {"until": "0001-01-01"}, {"duration": {"seconds": 0}}])
def test_a_wait_until_a_past_time_ends_at_once(server: Server, params: dict[str, Any]) -> None:
    assert ended(server, wait(server, **params))["outcome"] == "succeeded"


@pytest.mark.parametrize(
    ("params", "path"),
    [
        ({}, "$.params.params"),
        ({"until": "2026-03-01", "duration": {"seconds": 1}}, "$.params.params"),
        ({"until": "tomorrow"}, "$.params.params.until"),
        ({"until": 3}, "$.params.params.until"),
        ({"until": "2026-02-30"}, "$.params.params.until"),
        ({"until": "infinity"}, "$.params.params.until"),
        ({"duration": {}}, "$.params.params.duration"),
        ({"duration": {"days": 1}}, "$.params.params.duration"),
        ({"duration": {"seconds": -1}}, "$.params.params.duration.seconds"),
        ({"duration": {"hours": 1e300}}, "$.params.params.duration.hours"),
        ({"duration": {"hours": 80_000, "minutes": 1e6}}, "$.params.params.duration"),
    ],
)
def test_a_wait_with_an_invalid_time_is_refused(server: Server, params: dict[str, Any], path: str) -> None:
    call = {"definition": WAIT, "params": params}
    assert server.refused("awf.task/create-and-execute", call) == (400, "invalid-params", path)
    assert server.query("select * from fencepost.live_tasks") == []


def test_a_wait_with_an_execute_at_is_refused(server: Server) -> None:
    call = {"definition": WAIT, "params": {"duration": {"seconds": 1}}, "executeAt": "2030-01-01T00:00:00Z"}
    assert server.refused("awf.task/create-and-execute", call) == (400, "invalid-params", "$.params.executeAt")


def test_a_wait_of_months_is_not_polled_and_survives_a_restart(database: str, clock: FrozenClock) -> None:
    settings = Settings(retention=timedelta(days=10), lease_grace_seconds=0)
    with running_server(database, clock, settings) as server:
        ids = [wait(server, duration={"hours": 24 * 200 + number}) for number in range(3)]
        server.reap()
        # A wait costs nothing before its time: the reaper sleeps, and no worker polls for it.
        assert server.run(server.app.reaper.run_once()) > 24 * 199 * 3600
        before = server.query("select version from fencepost.live_tasks where definition = 'awf.task/wait'")
        for _ in range(5):
            pass_time(server, clock, days=1)
        assert server.query("select version from fencepost.live_tasks where definition = 'awf.task/wait'") == before
        clock.advance(timedelta(days=100))
        until(lambda: server.run(server.app.partitions.run_once()) > 60)
    with running_server(database, clock, settings) as server:
        pass_time(server, clock, days=100)
        assert [server.task(id)["status"] for id in ids] == ["done"] * 3


def test_a_wait_can_be_canceled(server: Server, clock: FrozenClock) -> None:
    id = wait(server, duration={"hours": 1})
    assert server.rpc("awf.task/cancel", {"id": id})["resource"]["outcome"] == "canceled"
    pass_time(server, clock, hours=2)
    assert server.task(id)["outcome"] == "canceled"


def test_a_canceled_wait_cannot_be_retried(server: Server) -> None:
    """A wait in the status ready would never run, because no worker polls for it."""
    id = wait(server, duration={"hours": 1})
    server.rpc("awf.task/cancel", {"id": id})
    assert server.refused("awf.task/retry", {"id": id}) == (400, "invalid-params", "$.params.id")
    assert server.task(id)["status"] == "done"


@pytest.mark.parametrize(("method", "params"), [("release", {}), ("notify", {"notification": "heartbeat"})])
def test_a_wait_cannot_be_released_or_extended(
    server: Server, clock: FrozenClock, method: str, params: dict[str, Any]
) -> None:
    id = wait(server, duration={"hours": 1})
    call = {"id": id, "execId": server.task(id)["execId"], **params}
    assert server.refused(f"awf.task/{method}", call) == (400, "invalid-params", "$.params.id")
    pass_time(server, clock, minutes=59)
    assert server.task(id)["status"] == "in-progress"
    pass_time(server, clock, minutes=1)
    assert server.task(id)["outcome"] == "succeeded"


def test_a_poll_for_waits_is_refused(server: Server) -> None:
    wait(server, duration={"hours": 1})
    params = {"taskDefinitions": ["demo/resize", WAIT]}
    assert server.refused("awf.task/poll", params) == (400, "invalid-params", "$.params.taskDefinitions[1]")


def test_a_repeated_create_of_a_wait_returns_the_existing_task(server: Server) -> None:
    call = {"definition": WAIT, "id": "mine", "params": {"duration": {"hours": 1}}}
    one, two = (server.rpc("awf.task/create-and-execute", call)["resource"] for _ in range(2))
    assert one == two
    other = {**call, "params": {"duration": {"hours": 2}}}
    assert server.refused("awf.task/create-and-execute", other)[:2] == (409, "already-exists")


def test_a_wait_created_with_a_short_answer_ends_in_time(server: Server, clock: FrozenClock) -> None:
    call = {"definition": WAIT, "params": {"duration": {"seconds": 5}}, "include-resource?": False}
    id = server.rpc("awf.task/create-and-execute", call)["id"]
    pass_time(server, clock, seconds=5)
    assert server.task(id)["outcome"] == "succeeded"


def test_an_array_can_create_waits_among_other_tasks(server: Server, clock: FrozenClock) -> None:
    server.define()
    waiting = {"definition": WAIT, "params": {"duration": {"seconds": 5}}}
    calls = [waiting, {"definition": "demo/resize"}, waiting, {"definition": WAIT, "params": {}}]
    _, answers = server.post([{"method": "awf.task/create-and-execute", "params": call} for call in calls])
    found = [answer.get("result", {}).get("resource", {}).get("status") for answer in answers]
    assert found == ["in-progress", "ready", "in-progress", None]


def test_the_end_of_a_wait_becomes_an_event_of_its_workflow(server: Server, clock: FrozenClock) -> None:
    decider = Decider(server, "demo/flow")
    id = decider.create()["id"]
    decider.decide(decider.decision(), decider.task("pause", WAIT, params={"duration": {"hours": 1}}))
    pass_time(server, clock, minutes=59)
    assert decider.poll() == []

    pass_time(server, clock, minutes=1)
    event = decider.decision()["params"]
    assert event["event"] == "awf.workflow.event/task-completed"
    assert (event["label"], event["outcome"]) == ("pause", "succeeded")
    (activity,) = decider.status(id)["activities"]
    assert (activity["id"], activity["outcome"]) == (event["task-id"], "succeeded")


def test_a_long_poll_gets_the_decision_when_a_wait_ends(database: str) -> None:
    with running_server(database) as server:
        decider = Decider(server, "demo/flow")
        decider.create()
        decider.decide(decider.decision(), decider.task("pause", WAIT, params={"duration": {"seconds": 0.2}}))
        call = {"workflowDefinitions": ["demo/flow"], "timeout": 5000}
        (decision,) = server.rpc("awf.task/long-poll", call)["resources"]
        assert decision["params"]["label"] == "pause"


def test_canceling_a_workflow_cancels_its_wait(server: Server, clock: FrozenClock) -> None:
    decider = Decider(server, "demo/flow")
    id = decider.create()["id"]
    decider.decide(decider.decision(), decider.task("pause", WAIT, params={"until": "2026-06-01"}))
    server.rpc("awf.workflow/cancel", {"id": id})
    (activity,) = decider.status(id)["activities"]
    assert activity["outcome"] == "canceled"


@pytest.mark.parametrize(
    ("request_", "path"),
    [
        ({"params": {}}, "$.params"),
        ({"params": {"until": "never"}}, "$.params.until"),
        ({"params": {"duration": {"hours": 1}}, "executeAt": "2030-01-01T00:00:00Z"}, "$.executeAt"),
    ],
)
def test_a_decision_with_an_invalid_wait_is_refused(server: Server, request_: dict[str, Any], path: str) -> None:
    decider = Decider(server, "demo/flow")
    decider.create()
    decision = decider.decision()
    call = {"id": decision["id"], "execId": decision["execId"], "result": [decider.task("pause", WAIT, **request_)]}
    status, type, at = server.refused("awf.task/success", call)
    assert (status, type) == (422, "invalid-action")
    assert at == f"$.params.result[0].task-request{path[1:]}"
