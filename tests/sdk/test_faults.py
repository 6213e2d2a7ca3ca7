"""A worker behind a network that loses replies: everything is done once, and nothing is lost."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fencepost_sdk import AsyncClient, Client, Worker
from tests.fixtures.faulty_proxy import FaultyProxy
from tests.fixtures.servers import Server
from tests.fixtures.waiting import until
from tests.sdk.conftest import Run

pytestmark = pytest.mark.shows("guarantees/lost-reply")


def counting(worker: Worker) -> dict[int, int]:
    """Give a worker a handler that counts how often it did each task."""
    done: dict[int, int] = {}

    @worker.task("demo/count")
    async def count(params: dict[str, int]) -> dict[str, int]:
        done[params["n"]] = done.get(params["n"], 0) + 1
        return params

    return done


def ended(server: Server, expected: int) -> bool:
    tasks = server.rpc("awf.task/list", {"filter": {"status": "done"}, "limit": 1000})["resources"]
    return len(tasks) == expected and all(task["outcome"] == "succeeded" for task in tasks)


def entries(server: Server, action: str) -> int:
    return int(server.query(f"select count(*) from fencepost.task_entries where action = '{action}'")[0][0])


def methods(body: bytes) -> list[str]:
    return [call["method"] for call in json.loads(body)]


@pytest.mark.parametrize("fault", ["lose_reply", "cut"])
@pytest.mark.parametrize("needle", ["awf.task/success", "awf.task/long-poll", '"awf.task/poll"'])
def test_a_request_with_a_lost_reply_is_repeated_and_each_task_runs_once(
    server: Server, proxy: FaultyProxy, run: Run, fault: str, needle: str
) -> None:
    server.define("demo/count")
    worker = Worker(proxy.url, concurrency=4)
    done = counting(worker)
    hit = getattr(proxy, fault)(needle, times=3)
    for number in range(40):
        server.create("demo/count", params={"n": number})
    run(worker)
    until(lambda: ended(server, 40))
    # Some faults need more polls than this work gives cause for.
    until(lambda: server.create("demo/count", params={"n": len(done)}) and hit.hits == 3)
    until(lambda: ended(server, server.query("select count(*) from fencepost.task_resources")[0][0]))
    assert set(done.values()) == {1}
    assert entries(server, "awf.task/success") == len(done)
    assert not server.query("select 1 from fencepost.done_tasks where retry_count <> 1")


def test_a_repeated_request_is_byte_identical(server: Server, proxy: FaultyProxy, run: Run) -> None:
    server.define("demo/count")
    worker = Worker(proxy.url)
    counting(worker)
    proxy.lose_reply("awf.task/success")
    server.create("demo/count", params={"n": 1})
    run(worker)
    until(lambda: ended(server, 1))
    until(lambda: proxy.sent("awf.task/success") == 2)
    first, second = (body for body in proxy.requests if b"awf.task/success" in body)
    assert first == second


def test_every_poll_has_a_request_id_of_its_own(server: Server, proxy: FaultyProxy, run: Run) -> None:
    server.define("demo/count")
    worker = Worker(proxy.url, concurrency=1)
    counting(worker)
    for number in range(5):
        server.create("demo/count", params={"n": number})
    run(worker)
    until(lambda: ended(server, 5))
    polls = [call["params"] for body in proxy.requests for call in json.loads(body) if "poll" in call["method"]]
    assert len({poll["requestId"] for poll in polls}) == len(polls) >= 5


def test_one_request_has_the_finishes_and_the_next_poll(server: Server, proxy: FaultyProxy, run: Run) -> None:
    server.define("demo/count")
    worker = Worker(proxy.url, concurrency=5)
    counting(worker)
    for number in range(20):
        server.create("demo/count", params={"n": number})
    run(worker)
    until(lambda: ended(server, 20))
    until(lambda: proxy.sent("long-poll") >= 2)
    calls = [methods(body) for body in proxy.requests]
    assert calls[0] == ["awf.task/long-poll"]
    assert calls[1] == ["awf.task/success-many", "awf.task/poll"]
    assert len(json.loads(proxy.requests[1])[0]["params"]["ids"]) == 5
    assert calls[-1] == ["awf.task/long-poll"]
    assert len(calls) <= 7


@pytest.mark.parametrize("fault", ["lose_reply", "cut"])
def test_a_poll_is_sent_beside_many_finishes_and_survives_a_lost_reply_to_them(
    server: Server, proxy: FaultyProxy, run: Run, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fencepost_sdk.outbox.MAX_FINISHES_WITH_POLL", 8)
    server.define("demo/count")
    worker = Worker(proxy.url, concurrency=20)
    done = counting(worker)
    for number in range(100):
        server.create("demo/count", params={"n": number})
    hit = getattr(proxy, fault)("awf.task/success", times=2)
    run(worker)
    until(lambda: ended(server, 100))
    assert hit.hits == 2
    assert set(done.values()) == {1}
    assert entries(server, "awf.task/success") == 100
    batches = [calls for calls in map(json.loads, proxy.requests) if calls[0]["method"] == "awf.task/success-many"]
    full = [calls for calls in batches if len(calls[0]["params"]["ids"]) > 8]
    assert full
    assert all(len(calls) == 1 for calls in full)


def test_a_worker_with_unacknowledged_finishes_stops_polling(server: Server, proxy: FaultyProxy, run: Run) -> None:
    server.define("demo/count")
    worker = Worker(proxy.url, concurrency=10)
    done = counting(worker)
    for number in range(60):
        server.create("demo/count", params={"n": number})
    refused = proxy.refuse(503, needle="awf.task/success", times=4)
    run(worker)
    until(lambda: refused.hits == 4)
    assert len(done) <= 2 * 10
    until(lambda: ended(server, 60))
    assert set(done.values()) == {1}


def test_an_idle_worker_has_one_long_poll_open_and_sends_nothing_else(
    server: Server, proxy: FaultyProxy, client: Client, run: Run
) -> None:
    server.define("demo/count")
    worker = Worker(proxy.url)
    counting(worker)
    run(worker)
    until(lambda: proxy.requests)
    for number in range(50):
        client.call("awf.task/list", {"limit": 1, "filter": {"ilike": str(number)}})
    (only,) = proxy.requests
    assert [call["method"] for call in json.loads(only)] == ["awf.task/long-poll"]


def test_a_worker_follows_retry_after_of_an_overloaded_server(
    server: Server, proxy: FaultyProxy, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    server.define("demo/count")
    worker = Worker(proxy.url)
    counting(worker)
    proxy.refuse(503, retry_after=1, needle="awf.task/success")
    server.create("demo/count", params={"n": 1})
    run(worker)
    until(lambda: ended(server, 1))
    assert "unavailable: the proxy says so; retrying in 1." in caplog.text
    assert proxy.sent("awf.task/success") == 2


@pytest.mark.parametrize("status", [429, 500, 502, 504])
def test_transient_errors_are_retried(server: Server, proxy: FaultyProxy, run: Run, status: int) -> None:
    server.define("demo/count")
    worker = Worker(proxy.url)
    done = counting(worker)
    proxy.refuse(status, needle="awf.task/success", times=2)
    proxy.refuse(status, needle="awf.task/long-poll", times=2)
    server.create("demo/count", params={"n": 1})
    run(worker)
    until(lambda: ended(server, 1))
    assert done == {1: 1}


def test_a_worker_continues_after_a_network_outage(server: Server, proxy: FaultyProxy, run: Run) -> None:
    server.define("demo/count")
    worker = Worker(proxy.url)
    done = counting(worker)
    run(worker)
    server.create("demo/count", params={"n": 0})
    until(lambda: ended(server, 1))
    proxy.go_down()
    for number in range(1, 10):
        server.create("demo/count", params={"n": number})
    proxy.come_up()
    until(lambda: ended(server, 10), timeout=30)
    assert set(done.values()) == {1}


def test_a_login_refused_later_is_retried_and_no_result_is_lost(server: Server, proxy: FaultyProxy, run: Run) -> None:
    server.define("demo/count")
    worker = Worker(proxy.url)
    counting(worker)
    proxy.refuse(401, needle="awf.task/success", times=2)
    server.create("demo/count", params={"n": 1})
    run(worker)
    until(lambda: ended(server, 1))


def test_a_create_with_a_lost_reply_makes_one_task(server: Server, proxy: FaultyProxy) -> None:
    server.define("demo/count")
    lost = proxy.lose_reply("create-and-execute", times=2)
    with Client(proxy.url) as client:
        task = client.create("demo/count", {"n": 1})
    assert lost.hits == 2
    assert [one["id"] for one in server.rpc("awf.task/list")["resources"]] == [task.id]


def test_create_many_with_a_lost_reply_makes_each_task_once(server: Server, proxy: FaultyProxy) -> None:
    server.define("demo/count")
    lost = proxy.lose_reply("create-many", times=3)
    with Client(proxy.url) as client:
        ids = client.create_many("demo/count", [{"n": number} for number in range(2500)])
    assert lost.hits == 3
    assert sorted(server.query("select id from fencepost.task_resources")) == sorted((id,) for id in ids)


async def create_and_cancel(url: str) -> Any:
    async with AsyncClient(url) as client:
        task = await client.create("demo/count", {"n": 1})
        return await client.cancel(task)


def test_an_async_cancel_with_a_lost_reply_succeeds(server: Server, proxy: FaultyProxy) -> None:
    import asyncio

    server.define("demo/count")
    proxy.lose_reply("awf.task/cancel")
    assert asyncio.run(create_and_cancel(proxy.url)).outcome == "canceled"


@pytest.mark.parametrize("status", [301, 400, 403, 404, 418])
def test_answers_of_a_proxy_cost_no_result(server: Server, proxy: FaultyProxy, run: Run, status: int) -> None:
    server.define("demo/count")
    worker = Worker(proxy.url)
    done = counting(worker)
    proxy.refuse(status, needle="awf.task/success", times=2, body=b"<html>maintenance</html>")
    server.create("demo/count", params={"n": 1})
    run(worker)
    until(lambda: ended(server, 1))
    assert done == {1: 1}


def test_a_worker_waits_for_a_server_that_is_down_at_its_start(server: Server, proxy: FaultyProxy, run: Run) -> None:
    server.define("demo/count")
    worker = Worker(proxy.url)
    counting(worker)
    proxy.go_down()
    run(worker)
    server.create("demo/count", params={"n": 1})
    until(lambda: proxy.turned_away >= 2)
    proxy.come_up()
    until(lambda: ended(server, 1))


def test_a_connection_closed_while_idle_is_replaced_without_delay(
    server: Server, proxy: FaultyProxy, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    server.define("demo/count")
    worker = Worker(proxy.url, concurrency=1)
    counting(worker)
    hits = proxy.hang_up("awf.task/success", times=3)
    run(worker)
    for number in range(4):
        server.create("demo/count", params={"n": number})
        until(lambda done=number + 1: ended(server, done))  # type: ignore[misc]
    assert hits.hits == 3
    assert proxy.sent("awf.task/success") == 4
    assert not caplog.records
