"""The reaper applies deadlines and retries, with a grace period after an outage."""

from __future__ import annotations

from datetime import timedelta

import pytest

from fencepost.clock import FrozenClock
from fencepost.engine.wakeups import Wakeups
from fencepost.loops.reaper import Reaper
from fencepost.settings import Settings
from fencepost.store.deadlines import DeadlineStore
from tests.fixtures.servers import Server, pass_time, running_server
from tests.fixtures.waiting import until

pytestmark = pytest.mark.shows("guarantees/no-stuck-task")


@pytest.fixture
def server(frozen_server: Server) -> Server:
    frozen_server.define(requestedToStartTimeout=1000, inProgressTimeout=2000, allowedRetryCount=1, retryDelay=3000)
    return frozen_server


def test_a_claimed_task_that_is_not_started_in_time_becomes_ready(server: Server, clock: FrozenClock) -> None:
    id = server.create()["id"]
    (first,) = server.poll()

    pass_time(server, clock, 999)
    assert server.task(id)["status"] == "requested"
    pass_time(server, clock, 1)

    task = server.task(id)
    assert (task["status"], task.get("retryCount", 0), "execId" in task) == ("ready", 0, False)
    assert server.refused("awf.task/start", {"id": id, "execId": first["execId"]})[:2] == (409, "exec-id-mismatch")
    assert server.log(id)[-1]["action"] == "awf.engine/requeue"


def test_an_attempt_that_times_out_counts_and_the_last_one_fails_the_task(server: Server, clock: FrozenClock) -> None:
    id = server.create()["id"]
    server.poll(start=True)

    pass_time(server, clock, 2000)
    task = server.task(id)
    assert (task["status"], task["retryCount"]) == ("waiting", 1)
    pass_time(server, clock, 2999)
    assert server.poll() == []
    pass_time(server, clock, 3001)
    (again,) = server.poll(start=True)
    pass_time(server, clock, 2000)

    task = server.task(id)
    assert (task["status"], task["outcome"], task["retryCount"]) == ("done", "failed", 2)
    assert task["outcomeReason"]["type"] == "awf.task/failed-due-to-in-progress-timeout"
    assert server.refused("awf.task/success", {"id": id, "execId": again["execId"]})[:2] == (409, "task-has-been-done")


def test_a_heartbeat_extends_the_deadline(server: Server, clock: FrozenClock) -> None:
    lease = server.started()

    for _ in range(3):
        pass_time(server, clock, 1999)
        server.rpc("awf.task/notify", {**lease, "notification": "heartbeat"})

    assert server.task(lease["id"])["status"] == "in-progress"
    pass_time(server, clock, 2000)
    assert server.task(lease["id"])["status"] == "waiting"


def test_many_expired_tasks_are_reaped_in_bounded_batches(server: Server, clock: FrozenClock) -> None:
    calls = [{"method": "awf.task/create-and-execute", "params": {"definition": "demo/resize"}}] * 600
    server.post(calls)
    assert len(server.poll(maxBatchSize=600)) == 600

    pass_time(server, clock, 1000)
    assert server.query("select count(*) from fencepost.live_tasks where status = 'ready'") == [(500,)]
    server.reap()
    assert server.query("select count(*) from fencepost.live_tasks where status = 'ready'") == [(600,)]


def test_leases_from_before_an_outage_get_a_grace_period(database: str, clock: FrozenClock) -> None:
    with running_server(database, clock) as before:
        before.define(inProgressTimeout=2000)
        lease, silent = before.started(), before.started()
    clock.advance(timedelta(hours=1))

    with running_server(database, clock, Settings(lease_grace_seconds=10)) as after:
        after.reap()
        after.rpc("awf.task/notify", {**lease, "notification": "heartbeat"})
        assert after.task(silent["id"])["status"] == "in-progress"
        for _ in range(6):
            # Never beyond the lease: the reaper of the server runs at any time.
            clock.advance(timedelta(milliseconds=1999))
            after.rpc("awf.task/notify", {**lease, "notification": "heartbeat"})
        after.reap()
        assert [after.task(one["id"])["status"] for one in (lease, silent)] == ["in-progress", "waiting"]


def test_a_lease_taken_after_the_start_gets_no_grace_period(frozen_server: Server, clock: FrozenClock) -> None:
    app = frozen_server.app
    reaper = Reaper(DeadlineStore(app.database, clock, grace_seconds=10), app.engine.definitions, Wakeups())
    frozen_server.run(reaper.prepare())
    frozen_server.define(requestedToStartTimeout=60_000)
    id = frozen_server.create()["id"]
    frozen_server.poll()
    clock.advance(timedelta(minutes=1))
    frozen_server.run(reaper.run_once())
    assert frozen_server.task(id)["status"] == "ready"


def test_the_reaper_loop_applies_a_near_deadline_by_itself(database: str) -> None:
    with running_server(database) as server:
        server.define(requestedToStartTimeout=50)
        id = server.create()["id"]
        server.poll()

        until(lambda: server.task(id)["status"] == "ready", timeout=3)
