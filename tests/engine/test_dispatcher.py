"""Waiting polls: they cost nothing, wake at once, and lose nothing when their client goes away."""

from __future__ import annotations

import http.client
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import orjson
import psycopg
import pytest

from tests.fixtures.locks import is_blocked
from tests.fixtures.servers import Server, running_server
from tests.fixtures.waiting import until

pytestmark = pytest.mark.shows("guarantees/idle-is-idle")


@pytest.fixture(autouse=True)
def definition(server: Server) -> None:
    server.define()


def waiting_poll(server: Server, pool: ThreadPoolExecutor, **members: Any) -> Future[list[Any]]:
    """Send a long poll and return once it waits in the server's memory."""
    params = {"taskDefinitions": ["demo/resize"], "timeout": 20_000, **members}
    before = server.app.waiting_polls
    answer = pool.submit(lambda: list(server.rpc("awf.task/long-poll", params)["resources"]))
    until(lambda: server.app.waiting_polls > before)
    return answer


def open_poll(server: Server, **members: Any) -> http.client.HTTPConnection:
    """Send a long poll on a connection that the test can break, and return once it waits."""
    params = {"taskDefinitions": ["demo/resize"], "timeout": 20_000, **members}
    before = server.app.waiting_polls
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"))
    body = orjson.dumps({"method": "awf.task/long-poll", "params": params})
    connection.request("POST", "/rpc", body, {"content-type": "application/json"})
    until(lambda: server.app.waiting_polls > before)
    return connection


def test_a_created_task_wakes_the_poll_that_waits_longest(server: Server) -> None:
    with ThreadPoolExecutor() as pool:
        first = waiting_poll(server, pool)
        second = waiting_poll(server, pool)

        id = server.create()["id"]

        assert [task["id"] for task in first.result(5)] == [id]
        assert not second.done()
        server.create()
        assert len(second.result(5)) == 1


def test_a_poll_answers_an_empty_array_when_its_time_is_over(server: Server) -> None:
    began = time.monotonic()

    assert server.rpc("awf.task/long-poll", {"taskDefinitions": ["demo/resize"], "timeout": 200}) == {"resources": []}
    assert 0.2 <= time.monotonic() - began < 5
    assert server.app.waiting_polls == 0


def test_a_poll_whose_time_is_over_does_not_wait_for_the_claim_of_others(server: Server) -> None:
    with ThreadPoolExecutor() as pool, psycopg.connect(server.conninfo) as holder:
        waiting = waiting_poll(server, pool, timeout=1000)
        assert server.poll() == [], "a claim behind the one of the poll that waits"
        holder.execute("lock table fencepost.live_tasks in access exclusive mode")
        other = pool.submit(server.poll)
        until(lambda: _blocked(server))

        assert waiting.result(10) == []
        assert not other.done()
        holder.rollback()
        assert other.result(10) == []


def test_polls_for_several_definitions_hear_of_each(server: Server) -> None:
    server.define("demo/other")
    with ThreadPoolExecutor() as pool:
        both = waiting_poll(server, pool, taskDefinitions=["demo/resize", "demo/other"])
        one = waiting_poll(server, pool)

        id = server.create("demo/other")["id"]

        assert [task["id"] for task in both.result(5)] == [id]
        assert not one.done()
        server.create()
        assert len(one.result(5)) == 1


def test_waiting_polls_make_no_query_but_the_lookouts(server: Server) -> None:
    with ThreadPoolExecutor(60) as pool:
        polls = [waiting_poll(server, pool, timeout=4000) for _ in range(50)]
        before, began = server.app.database.jobs_taken, time.monotonic()

        assert [poll.result(10) for poll in polls] == [[]] * 50

        seconds = time.monotonic() - began
        # The fallback poller's query, less than one a second: nothing that grows with the polls, and nothing beside it.
        assert server.app.database.jobs_taken - before <= seconds + 1


def test_what_was_claimed_for_a_client_that_hung_up_is_given_back(server: Server) -> None:
    with psycopg.connect(server.conninfo) as holder:
        # The claim stands still at its log entry, so that the client can go away in the middle of it.
        connection = open_poll(server)
        holder.execute("lock table fencepost.task_log in share mode")
        id = server.create()["id"]
        until(lambda: _blocked(server))
        connection.close()
        until(lambda: server.app.hanging_up)
        holder.rollback()

    log = until(lambda: (log := server.log(id))[2:] and log)
    assert [entry["action"] for entry in log[1:]] == ["awf.task/long-poll", "awf.engine/give-back"]
    assert (server.task(id)["status"], server.task(id).get("retryCount", 0)) == ("ready", 0)


def test_a_hang_up_gives_nothing_back_for_a_poll_that_will_be_repeated(server: Server) -> None:
    with psycopg.connect(server.conninfo) as holder:
        connection = open_poll(server, requestId="r-1")
        holder.execute("lock table fencepost.task_log in share mode")
        id = server.create()["id"]
        until(lambda: _blocked(server))
        connection.close()
        until(lambda: server.app.hanging_up)
        holder.rollback()

    until(lambda: server.task(id)["status"] == "requested")
    (task,) = server.poll(requestId="r-1")
    assert (task["id"], task["execId"]) == (id, server.task(id)["execId"])


def test_a_client_that_hung_up_is_forgotten(server: Server) -> None:
    connection = open_poll(server)

    connection.close()

    until(lambda: server.app.waiting_polls == 0)
    id = server.create()["id"]
    assert server.task(id)["status"] == "ready"


def test_a_repeat_of_a_poll_that_still_waits_gets_what_that_one_was_given(server: Server) -> None:
    with ThreadPoolExecutor() as pool:
        first = waiting_poll(server, pool, requestId="r-1")
        second = waiting_poll(server, pool, requestId="r-1")

        server.create()
        server.create()

        assert first.result(5)[0]["execId"] == second.result(5)[0]["execId"]
    assert len(server.poll()) == 1


def test_work_that_no_one_announced_is_found(server: Server) -> None:
    with ThreadPoolExecutor() as pool:
        poll = waiting_poll(server, pool)

        server.query(
            """
            insert into fencepost.live_tasks
                (id, definition, definition_version, requester, created_by, created_at, status, version, retry_count,
                 ready_at, updated_at)
            values ('by-sql', 'demo/resize', 1, '{}', 'sql', now(), 'ready', 1, 0, now(), now())
            """
        )

        assert [task["id"] for task in poll.result(5)] == ["by-sql"]


def test_a_poll_on_one_server_hears_of_work_created_on_another(server: Server, database: str) -> None:
    with ThreadPoolExecutor() as pool, running_server(database) as other:
        poll = waiting_poll(server, pool)
        began = time.monotonic()

        other.create()

        assert len(poll.result(5)) == 1
        assert time.monotonic() - began < 0.9, "the fallback poller found it, not the notification"


def test_many_workers_get_each_task_once(server: Server) -> None:
    ids = [
        answer["result"]["resource"]["id"]
        for answer in server.post(
            [{"method": "awf.task/create-and-execute", "params": {"definition": "demo/resize"}}] * 300
        )[1]
    ]
    seen: list[str] = []
    lock = threading.Lock()

    def work(size: int) -> None:
        while tasks := server.poll(maxBatchSize=size, start=True):
            with lock:
                seen.extend(task["id"] for task in tasks)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, [1, 2, 3, 5, 7, 11, 13, 17]))

    assert sorted(seen) == sorted(ids)


def _blocked(server: Server) -> bool:
    return is_blocked(server.conninfo, "tasks/claim")
