"""Suspects: a task with a lost attempt may have crashed its worker, so a poll returns it alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest

from fencepost.clock import FrozenClock
from tests.fixtures.servers import Server, pass_time, running_server
from tests.fixtures.waiting import until

pytestmark = pytest.mark.shows("guarantees/deadly-task-alone")

LIMITS: list[dict[str, Any]] = [{}, {"concurrencyLimit": 1, "concurrencyPath": ["params", "k"]}]
RETRY_DELAY = 3000


@pytest.fixture(params=LIMITS, ids=["free", "limited"])
def server(frozen_server: Server, request: pytest.FixtureRequest) -> Server:
    settings: dict[str, Any] = {"requestedToStartTimeout": 9000, "inProgressTimeout": 2000, "allowedRetryCount": 9}
    frozen_server.define(retryDelay=RETRY_DELAY, **settings, **request.param)
    return frozen_server


def create(server: Server, count: int) -> list[str]:
    return [server.create(params={"k": str(number)})["id"] for number in range(count)]


def lose(server: Server, clock: FrozenClock, tasks: int = 1, times: int = 1) -> None:
    """Start every ready task, let its lease expire, and advance the clock past the latest retry."""
    for time in range(times):
        held: list[Any] = []
        while more := server.poll(maxBatchSize=50, start=True):
            held += more
        assert len(held) == tasks
        pass_time(server, clock, 2000)
        pass_time(server, clock, RETRY_DELAY * (1 + 2**time))


def lost(task: dict[str, Any]) -> int | None:
    return task.get("lostAttempts")


def test_a_task_with_a_lost_attempt_is_alone_in_its_poll_and_marked(server: Server, clock: FrozenClock) -> None:
    create(server, 3)
    lose(server, clock, 3)
    polls = [server.poll(maxBatchSize=10) for _ in range(4)]
    assert [[lost(task) for task in tasks] for tasks in polls] == [[1], [1], [1], []]


def test_a_task_without_a_lost_attempt_has_no_mark(server: Server) -> None:
    create(server, 2)
    assert [lost(task) for task in server.poll(maxBatchSize=10)] == [None, None]


def test_suspects_and_other_tasks_are_claimed_in_order_of_ready_time(server: Server, clock: FrozenClock) -> None:
    create(server, 2)
    lose(server, clock, 2)
    others = [server.create(params={"k": f"o{number}"})["id"] for number in range(3)]
    polls = [server.poll(maxBatchSize=10) for _ in range(3)]
    assert [len(tasks) for tasks in polls] == [1, 1, 3]
    assert [task["id"] for task in polls[2]] == others


def test_a_suspect_is_claimed_after_older_tasks(server: Server, clock: FrozenClock) -> None:
    (suspect,) = create(server, 1)
    server.poll(start=True)
    others = [server.create(params={"k": f"o{number}"})["id"] for number in range(3)]
    pass_time(server, clock, 2000)
    pass_time(server, clock, 2 * RETRY_DELAY)
    assert [task["id"] for task in server.poll(maxBatchSize=10)] == others
    assert [task["id"] for task in server.poll(maxBatchSize=10)] == [suspect]


def test_each_waiting_poll_gets_either_a_suspect_or_other_tasks(database: str) -> None:
    with running_server(database) as server, ThreadPoolExecutor() as pool:
        server.define(inProgressTimeout=50, retryDelay=0, requestedToStartTimeout=60_000)
        server.create()
        server.poll(start=True)
        until(lambda: server.task(server.query("select id from fencepost.live_tasks")[0][0])["status"] == "ready")
        params = {"taskDefinitions": ["demo/resize"], "timeout": 20_000, "maxBatchSize": 5}
        (suspect,) = server.rpc("awf.task/long-poll", params)["resources"]
        polls = []
        for _ in range(3):
            polls.append(pool.submit(lambda: server.rpc("awf.task/long-poll", params)["resources"]))
            until(lambda: server.app.waiting_polls == len(polls))
        server.rpc("awf.task/release", {"id": suspect["id"], "execId": suspect["execId"]})
        server.post([{"method": "awf.task/create-and-execute", "params": {"definition": "demo/resize"}}] * 10)
        answers = [poll.result(10) for poll in polls]
        assert sum(suspect["id"] in {task["id"] for task in tasks} for tasks in answers) == 1
        assert {len(tasks) for tasks in answers if any(map(lost, tasks))} == {1}


def test_a_retry_after_a_lost_attempt_has_a_random_extra_delay(server: Server, clock: FrozenClock) -> None:
    create(server, 20)
    server.poll(maxBatchSize=20, start=True)
    pass_time(server, clock, 2000)
    now = clock.now()
    assert now is not None
    rows = server.query("select ready_at from fencepost.live_tasks")
    delays = [(at - now) / timedelta(milliseconds=RETRY_DELAY) for (at,) in rows]
    assert all(1 <= delay <= 2 for delay in delays)
    assert max(delays) - min(delays) > 0.1, "20 tasks that were lost together are retried together"


def test_the_random_delay_after_many_lost_attempts_is_bounded(server: Server, clock: FrozenClock) -> None:
    create(server, 1)
    server.query("update fencepost.live_tasks set lost_attempts = 30")
    server.poll(start=True)
    pass_time(server, clock, 2000)
    ((at,),) = server.query("select ready_at from fencepost.live_tasks")
    now = clock.now()
    assert isinstance(now, datetime)
    assert timedelta(milliseconds=RETRY_DELAY) <= at - now <= timedelta(milliseconds=RETRY_DELAY, minutes=10)


@pytest.mark.parametrize("end", ["fail", "release", "requeue", "retry"])
def test_a_report_of_failure_or_a_manual_retry_clears_the_mark_of_a_suspect(
    server: Server, clock: FrozenClock, end: str
) -> None:
    (id,) = create(server, 1)
    lose(server, clock, times=2)
    (task,) = server.poll(start=end in ("fail", "release"))
    assert lost(task) == 2
    match end:
        case "fail" | "release":
            server.rpc(f"awf.task/{end}", {"id": id, "execId": task["execId"]})
        case "retry":
            server.rpc("awf.task/cancel", {"id": id})
            server.rpc("awf.task/retry", {"id": id})
    pass_time(server, clock, 9000)
    (again,) = server.poll()
    assert lost(again) == {"release": 2, "requeue": 2}.get(end)


def test_an_attempt_timeout_after_a_heartbeat_does_not_count_as_a_lost_attempt(
    server: Server, clock: FrozenClock
) -> None:
    (id,) = [server.create(params={"k": "slow"}, settings={"attemptTimeout": 2500})["id"]]
    (task,) = server.poll(start=True)
    pass_time(server, clock, 1000)
    server.rpc("awf.task/notify", {"id": id, "execId": task["execId"], "notification": "heartbeat"})
    pass_time(server, clock, 1500)
    pass_time(server, clock, RETRY_DELAY)
    (again,) = server.poll(start=True)
    assert lost(again) is None
    pass_time(server, clock, 2500)
    pass_time(server, clock, 2 * RETRY_DELAY)
    assert lost(server.poll()[0]) == 1


def test_a_repeated_poll_shows_the_mark_again(server: Server, clock: FrozenClock) -> None:
    create(server, 1)
    lose(server, clock)
    first, again = (server.poll(requestId="one", maxBatchSize=5) for _ in range(2))
    assert [task["execId"] for task in first] == [task["execId"] for task in again]
    assert lost(first[0]) == lost(again[0]) == 1
