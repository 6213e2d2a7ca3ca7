"""A task whose poll waits is leased in the transaction that creates it; the poll and the create stay independent."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from tests.fixtures.locks import is_blocked
from tests.fixtures.polls import waiting_poll
from tests.fixtures.servers import CallRefused, Server, running_server
from tests.fixtures.waiting import until


@pytest.fixture(autouse=True)
def definition(server: Server) -> None:
    server.define()


def idle_poll(server: Server, pool: ThreadPoolExecutor, **members: Any) -> Future[list[Any]]:
    """Send a long poll and return once it waits behind its first claim."""
    answer = waiting_poll(server, pool, **members)
    assert server.poll(*members.get("taskDefinitions", ())) == []
    return answer


@pytest.mark.parametrize("members", [{}, {"requestId": "r"}, {"fields": ["params"]}, {"start": True}])
def test_a_waiting_poll_gets_its_task_in_the_transaction_of_the_create(server: Server, members: dict[str, Any]) -> None:
    with ThreadPoolExecutor() as pool:
        poll = idle_poll(server, pool, **members)
        id = server.create()["id"]
        (task,) = poll.result(5)

    assert task["id"] == id
    assert server.task(id)["execId"] == task["execId"]
    ((leased_by,),) = server.query(f"select xmin::text from fencepost.live_tasks where id = '{id}'")
    ((named_by,),) = server.query("select max(xmin::text) from fencepost.task_names")
    assert leased_by == named_by, "the row was leased by the transaction that inserted the name"
    assert [entry["action"] for entry in server.log(id)] == ["awf.task/create-and-execute", "awf.task/long-poll"]


def test_each_waiting_poll_gets_one_of_the_tasks_of_a_batch(server: Server) -> None:
    with ThreadPoolExecutor() as pool:
        polls = [idle_poll(server, pool) for _ in range(3)]
        calls = [{"method": "awf.task/create-and-execute", "params": {"definition": "demo/resize"}}] * 5
        ids = {answer["result"]["resource"]["id"] for answer in server.post(calls)[1]}
        tasks = [task["id"] for poll in polls for task in poll.result(5)]

    assert len(set(tasks)) == 3
    assert set(tasks) < ids
    assert {task["id"] for task in server.poll(maxBatchSize=10)} == ids - set(tasks)


def test_polls_for_other_sets_of_definitions_are_announced_the_tasks_that_are_left(server: Server) -> None:
    server.define("demo/other")
    with ThreadPoolExecutor() as pool:
        polls = [
            idle_poll(server, pool),
            idle_poll(server, pool, taskDefinitions=["demo/other"]),
            idle_poll(server, pool, taskDefinitions=["demo/other", "demo/resize"]),
        ]
        names = ["demo/resize", "demo/other"] * 2
        calls = [{"method": "awf.task/create-and-execute", "params": {"definition": name}} for name in names]
        ids = {answer["result"]["resource"]["id"] for answer in server.post(calls)[1]}
        tasks = {task["id"] for poll in polls for task in poll.result(5)}

    assert len(tasks) == 3
    assert tasks < ids


def test_an_older_task_goes_first(server: Server) -> None:
    with ThreadPoolExecutor() as pool:
        poll = idle_poll(server, pool)
        server.query(
            "insert into fencepost.live_tasks (seq, id, definition, definition_version, requester, created_by,"
            " created_at, status, version, retry_count, ready_at, updated_at)"
            " select nextval('fencepost.task_seq'), 'older', 'demo/resize', 1, '{}', 'test', now(), 'ready', 1, 0,"
            " now() - interval '1 minute', now()"
        )
        newer = server.create()["id"]
        assert [task["id"] for task in poll.result(5)] == ["older"]
        assert [task["id"] for task in server.poll()] == [newer]


def test_a_refused_create_leaves_the_poll_waiting(server: Server) -> None:
    server.create(id="taken", label="first")
    assert len(server.poll()) == 1
    with ThreadPoolExecutor() as pool:
        poll = idle_poll(server, pool)
        with pytest.raises(CallRefused):
            server.create(id="taken", label="second")
        assert not poll.done()
        id = server.create()["id"]
        assert [task["id"] for task in poll.result(5)] == [id]


def test_a_create_that_the_database_refuses_leaves_the_poll_waiting(server: Server) -> None:
    with ThreadPoolExecutor() as pool:
        poll = idle_poll(server, pool)
        server.query("alter table fencepost.live_tasks add constraint no_label check (label <> 'bad')")
        with pytest.raises(CallRefused):
            server.create(label="bad")
        assert not poll.done()
        id = server.create()["id"]
        assert [task["id"] for task in poll.result(5)] == [id]


def test_a_task_with_a_later_start_is_not_handed_over(server: Server) -> None:
    with ThreadPoolExecutor() as pool:
        poll = idle_poll(server, pool, timeout=1000)
        server.create(executeAt="2099-01-01T00:00:00Z")
        assert poll.result(5) == []


def test_a_limited_task_is_not_handed_over_beyond_its_limit(server: Server) -> None:
    server.define(concurrencyLimit=1)
    with ThreadPoolExecutor() as pool:
        polls = [idle_poll(server, pool, timeout=2000) for _ in range(2)]
        for _ in range(2):
            server.create()
        assert sorted(len(poll.result(5)) for poll in polls) == [0, 1]


def test_a_draining_server_finishes_a_handover(database: str) -> None:
    with ThreadPoolExecutor() as pool, psycopg.connect(database) as holder, running_server(database) as server:
        server.define()
        poll = idle_poll(server, pool)
        holder.execute("insert into fencepost.task_names (id, seq) values ('mine', 1)")
        created = pool.submit(server.create, id="mine")
        until(lambda: is_blocked(database, "tasks/create"))
        draining = pool.submit(lambda: server.run(server.app._dispatcher.drain()))
        holder.rollback()
        draining.result(10)
        id = created.result(10)["id"]
        assert [task["id"] for task in poll.result(10)] == [id]
