"""`fencepost.enqueue` in transactions that last: servers find each committed task, and no other call waits for long."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg import errors

from fencepost.loops import fallback_poller
from fencepost.store import definitions
from tests.fixtures.locks import until_stuck
from tests.fixtures.polls import waiting_poll
from tests.fixtures.servers import CallRefused, Server, running_server
from tests.fixtures.two_servers import TwoServers

# The fallback poller asks every 1.2 s; the rest is for a busy machine.
SOON = 3.0
ONE = "select fencepost.enqueue('demo/resize')"
X = "select fencepost.enqueue('demo/resize', '{}', id => 'x')"
LIMITED: dict[str, Any] = {"concurrencyLimit": 1, "concurrencyPath": ["params", "k"]}


@pytest.fixture
def application(database: str) -> Iterator[psycopg.Connection[Any]]:
    """A transaction of an application, which rolls back unless the test commits it."""
    with psycopg.connect(database) as connection:
        yield connection
        connection.rollback()


@contextmanager
def another(conninfo: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(conninfo) as connection:
        yield connection
        connection.rollback()


def enqueued(connection: psycopg.Connection[Any], text: str = ONE) -> Any:
    return connection.execute(text.encode()).fetchall()[0][0]


@pytest.mark.shows("guarantees/enqueued-with-the-transaction")
def test_a_task_that_commits_late_is_found_by_a_waiting_poll_in_about_a_second(
    server: Server, application: psycopg.Connection[Any], pool: ThreadPoolExecutor
) -> None:
    server.define()
    poll = waiting_poll(server, pool)
    id = enqueued(application)
    # Longer than two looks of the server.
    assert server.rpc("awf.task/long-poll", {"taskDefinitions": ["demo/resize"], "timeout": 3000})["resources"] == []
    assert not poll.done()
    application.commit()
    committed = time.monotonic()
    assert [task["id"] for task in poll.result(20)] == [id]
    assert time.monotonic() - committed < SOON


@pytest.mark.shows("guarantees/enqueued-with-the-transaction")
def test_a_delayed_task_is_found_when_it_is_due(
    server: Server, application: psycopg.Connection[Any], pool: ThreadPoolExecutor
) -> None:
    server.define()
    poll = waiting_poll(server, pool)
    id = enqueued(application, "select fencepost.enqueue('demo/resize', execute_at => now() + interval '2 s')")
    application.commit()
    committed = time.monotonic()
    assert [task["id"] for task in poll.result(20)] == [id]
    assert 1.5 < time.monotonic() - committed < 2 + SOON


@pytest.mark.shows("guarantees/enqueued-with-the-transaction")
def test_a_task_is_given_to_one_of_the_polls_that_wait_on_two_servers(
    servers: TwoServers, application: psycopg.Connection[Any], pool: ThreadPoolExecutor
) -> None:
    polls = [waiting_poll(server, pool, timeout=5000) for server in servers]
    id = enqueued(application)
    application.commit()
    assert [task["id"] for poll in polls for task in poll.result(20)] == [id]


def test_a_notification_wakes_the_poll_without_the_look(
    database: str,
    application: psycopg.Connection[Any],
    pool: ThreadPoolExecutor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fallback_poller, "_INTERVAL", 60.0)
    with running_server(database) as server:
        server.define()
        poll = waiting_poll(server, pool)
        id = enqueued(application, "select fencepost.enqueue('demo/resize', notify => true)")
        application.commit()
        committed = time.monotonic()
        assert [task["id"] for task in poll.result(20)] == [id]
        assert time.monotonic() - committed < SOON


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_a_second_transaction_with_the_same_id_waits_for_the_first(
    server: Server, application: psycopg.Connection[Any], pool: ThreadPoolExecutor, end: str
) -> None:
    server.define()
    enqueued(application, X)
    with another(server.conninfo) as second:
        call = pool.submit(enqueued, second, X)
        until_stuck(server.conninfo, call)
        getattr(application, end)()
        assert call.result(10) == "x"
        second.commit()
    assert [task["id"] for task in server.poll(maxBatchSize=10)] == ["x"]


def test_a_second_transaction_with_other_content_is_refused_when_the_first_commits(
    server: Server, application: psycopg.Connection[Any], pool: ThreadPoolExecutor
) -> None:
    server.define()
    enqueued(application, X)
    with another(server.conninfo) as second:
        call = pool.submit(enqueued, second, X.replace("{}", '{"a": 1}'))
        until_stuck(server.conninfo, call)
        application.commit()
        with pytest.raises(errors.UniqueViolation):
            call.result(10)


def test_a_snapshot_that_cannot_see_the_task_with_the_id_is_to_be_repeated(
    server: Server, application: psycopg.Connection[Any]
) -> None:
    server.define()
    application.execute("set transaction isolation level repeatable read")
    application.execute("select from fencepost.definitions")
    server.create(id="x")
    with pytest.raises(errors.SerializationFailure):
        enqueued(application, X)


def test_transactions_that_enqueue_the_same_ids_in_another_order_do_not_deadlock(
    server: Server, pool: ThreadPoolExecutor
) -> None:
    server.define()

    def run(descending: str) -> None:
        with psycopg.connect(server.conninfo, autocommit=True) as connection:
            for batch in range(30):
                connection.execute(
                    "select fencepost.enqueue_many('demo/resize', array_fill('{}'::json, '{50}'), "
                    f"array_agg({batch} || '-' || n order by n {descending})) from generate_series(1, 50) as n".encode()
                )

    for future in [pool.submit(run, order) for order in ("asc", "desc", "asc", "desc")]:
        future.result(60)
    assert server.query("select count(*) from fencepost.live_tasks") == [(1500,)]


def test_a_new_limit_waits_for_the_transaction_and_applies_to_its_tasks(
    server: Server, application: psycopg.Connection[Any], pool: ThreadPoolExecutor
) -> None:
    server.define()
    server.define("demo/other")
    enqueued(application, """select fencepost.enqueue('demo/resize', '{"k": 1}')""")
    put = pool.submit(server.define, **LIMITED)
    until_stuck(server.conninfo, put)
    enqueued(application, """select fencepost.enqueue('demo/resize', '{"k": 1}')""")
    # Creates of others go on meanwhile: each try to put blocks them for a moment only.
    for _ in range(5):
        began = time.monotonic()
        server.create("demo/other")
        assert time.monotonic() - began < SOON
    assert not put.done()
    application.commit()
    put.result(20)
    assert server.query("select limit_key from fencepost.live_tasks where definition = 'demo/resize'") == [("1",)] * 2
    assert len(server.poll(maxBatchSize=10)) == 1


def test_a_new_limit_is_refused_when_the_transaction_does_not_end(
    server: Server, application: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    server.define()
    enqueued(application)
    monkeypatch.setattr(definitions, "_PATIENCE", 0.5)
    with pytest.raises(CallRefused, match="a transaction that has enqueued tasks is open for a long time"):
        server.define(**LIMITED)
    assert server.define(allowedRetryCount=7)["version"] == 2
    application.commit()
    assert server.define(**LIMITED)["version"] == 3


def test_a_delete_of_the_definition_waits_for_the_transaction_and_sees_its_task(
    server: Server, application: psycopg.Connection[Any], pool: ThreadPoolExecutor
) -> None:
    server.define()
    enqueued(application)
    delete = pool.submit(server.refused, "awf.definition/delete", {"name": "demo/resize"})
    until_stuck(server.conninfo, delete)
    application.commit()
    assert delete.result(20) == (422, "definition-in-use", "$.params.name")


@pytest.mark.parametrize("change", ["limit", "delete"])
def test_a_snapshot_from_before_a_change_of_the_definition_is_to_be_repeated(
    server: Server, application: psycopg.Connection[Any], change: str
) -> None:
    server.define()
    application.execute("set transaction isolation level repeatable read")
    application.execute("select from fencepost.definitions")
    if change == "limit":
        server.define(**LIMITED)
    else:
        server.rpc("awf.definition/delete", {"name": "demo/resize"})
    with pytest.raises(errors.SerializationFailure):
        enqueued(application)
