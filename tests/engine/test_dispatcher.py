"""Waiting polls: they make no query, wake at once, and lose no task when their client disconnects."""

from __future__ import annotations

import http.client
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
import psycopg
import pytest

from tests.fixtures.locks import is_blocked
from tests.fixtures.polls import waiting_poll
from tests.fixtures.servers import Server, running_server
from tests.fixtures.waiting import until

pytestmark = pytest.mark.shows("guarantees/idle-is-idle")


@pytest.fixture(autouse=True)
def definition(server: Server) -> None:
    server.define()


def open_poll(server: Server, **members: Any) -> http.client.HTTPConnection:
    """Send a long poll on a connection that the test can break, and return once it waits after its first claim."""
    params = {"taskDefinitions": ["demo/resize"], "timeout": 20_000, **members}
    before = server.app.waiting_polls
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"))
    body = orjson.dumps({"method": "awf.task/long-poll", "params": params})
    connection.request("POST", "/rpc", body, {"content-type": "application/json"})
    until(lambda: server.app.waiting_polls > before)
    assert server.poll() == [], "this claim comes after the first claim of the waiting poll"
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


def test_a_long_poll_returns_an_empty_array_after_its_timeout(server: Server) -> None:
    began = time.monotonic()

    assert server.rpc("awf.task/long-poll", {"taskDefinitions": ["demo/resize"], "timeout": 200}) == {"resources": []}
    assert 0.2 <= time.monotonic() - began < 5
    assert server.app.waiting_polls == 0


def test_a_poll_at_its_timeout_does_not_wait_for_a_claim_of_other_polls(server: Server) -> None:
    with ThreadPoolExecutor() as pool, psycopg.connect(server.conninfo) as holder:
        waiting = waiting_poll(server, pool, timeout=1000)
        assert server.poll() == [], "this claim comes after the first claim of the waiting poll"
        holder.execute("lock table fencepost.live_tasks in access exclusive mode")
        other = pool.submit(server.poll)
        until(lambda: _blocked(server))

        assert waiting.result(10) == []
        assert not other.done()
        holder.rollback()
        assert other.result(10) == []


def test_a_poll_for_several_definitions_is_woken_by_each(server: Server) -> None:
    server.define("demo/other")
    with ThreadPoolExecutor() as pool:
        both = waiting_poll(server, pool, taskDefinitions=["demo/resize", "demo/other"])
        one = waiting_poll(server, pool)

        id = server.create("demo/other")["id"]

        assert [task["id"] for task in both.result(5)] == [id]
        assert not one.done()
        server.create()
        assert len(one.result(5)) == 1


def test_a_poll_for_very_many_definitions_gets_the_oldest_tasks(server: Server) -> None:
    names = [f"demo/kind-{number}" for number in range(80)]
    for name in names:
        server.define(name)
    # Neither in the order of the names nor one of each definition; other definitions have older tasks.
    server.create()
    created = [server.create(names[number])["id"] for number in (70, 3, 70, 41, 3, 79)]
    server.query(
        "insert into fencepost.live_tasks (seq, id, definition, definition_version, requester, created_by, created_at,"
        " status, version, retry_count, ready_at, updated_at, expires_at, deadline_at)"
        " select nextval('fencepost.task_seq'), 'expired', 'demo/kind-5', 1, '{}', 'test', now(), 'ready', 1, 0,"
        " now() - interval '1 hour', now(), now() - interval '1 minute', now() - interval '1 minute'"
    )

    assert [task["id"] for task in server.poll(*names, maxBatchSize=4)] == created[:4]
    assert [task["id"] for task in server.poll(*names, maxBatchSize=4)] == created[4:]
    assert server.poll(*names, maxBatchSize=4) == []


def test_waiting_polls_make_no_query_except_the_fallback_poller(server: Server) -> None:
    with ThreadPoolExecutor(60) as pool:
        polls = [waiting_poll(server, pool, timeout=4000) for _ in range(50)]
        before, began = server.app.database.jobs_taken, time.monotonic()

        assert [poll.result(10) for poll in polls] == [[]] * 50

        seconds = time.monotonic() - began
        # The fallback poller makes at most one query a second; the polls make none.
        assert server.app.database.jobs_taken - before <= seconds + 1


def blocked_create(server: Server, holder: psycopg.Connection[Any]) -> str:
    """Create a task, whose id the transaction of `holder` blocks together with the claim for the waiting poll."""
    holder.execute("insert into fencepost.task_names (id, seq) values ('mine', 1)")
    return str(server.create(id="mine")["id"])


@pytest.mark.parametrize("members", [{}, {"fields": ["params"]}])
def test_a_task_claimed_for_a_disconnected_client_is_given_back(server: Server, members: dict[str, Any]) -> None:
    with ThreadPoolExecutor() as pool, psycopg.connect(server.conninfo) as holder:
        connection = open_poll(server, **members)
        created = pool.submit(blocked_create, server, holder)
        until(lambda: is_blocked(server.conninfo, "tasks/create"))
        connection.close()
        until(lambda: server.app.hanging_up)
        holder.rollback()
        id = created.result(10)

    log = until(lambda: (log := server.log(id))[2:] and log)
    assert [entry["action"] for entry in log[1:]] == ["awf.task/long-poll", "awf.engine/give-back"]
    assert (server.task(id)["status"], server.task(id).get("retryCount", 0)) == ("ready", 0)


def test_a_task_claimed_under_a_request_id_is_kept_when_the_client_disconnects(server: Server) -> None:
    with ThreadPoolExecutor() as pool, psycopg.connect(server.conninfo) as holder:
        connection = open_poll(server, requestId="r-1")
        created = pool.submit(blocked_create, server, holder)
        until(lambda: is_blocked(server.conninfo, "tasks/create"))
        connection.close()
        until(lambda: server.app.hanging_up)
        holder.rollback()
        id = created.result(10)

    until(lambda: server.task(id)["status"] == "requested")
    (task,) = server.poll(requestId="r-1")
    assert (task["id"], task["execId"]) == (id, server.task(id)["execId"])


def test_the_poll_of_a_disconnected_client_is_removed(server: Server) -> None:
    connection = open_poll(server)

    connection.close()

    until(lambda: server.app.waiting_polls == 0)
    id = server.create()["id"]
    assert server.task(id)["status"] == "ready"


def test_a_repeat_of_a_waiting_poll_gets_the_same_tasks(server: Server) -> None:
    with ThreadPoolExecutor() as pool:
        first = waiting_poll(server, pool, requestId="r-1")
        second = waiting_poll(server, pool, requestId="r-1")

        server.create()
        server.create()

        assert first.result(5)[0]["execId"] == second.result(5)[0]["execId"]
    assert len(server.poll()) == 1


def test_a_task_inserted_by_sql_is_found_by_the_fallback_poller(server: Server) -> None:
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


def test_a_poll_at_one_server_is_woken_by_a_task_created_at_another(server: Server, database: str) -> None:
    with ThreadPoolExecutor() as pool, running_server(database) as other:
        poll = waiting_poll(server, pool)
        began = time.monotonic()

        other.create()

        assert len(poll.result(5)) == 1
        assert time.monotonic() - began < 0.9, "the fallback poller found it, not the notification"


def test_concurrent_polls_claim_each_task_once(server: Server) -> None:
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
