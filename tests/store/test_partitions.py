"""Partitions are created and dropped without blocking servers, and a crash leaves nothing behind."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest

from fencepost.clock import FrozenClock
from fencepost.settings import Settings
from fencepost.store.connection import connect
from fencepost.store.statements import statement
from tests.fixtures.history import (
    HOUR,
    loose_tables,
    maintain_once,
    maintain_partitions,
    seamless,
    spans,
    until_maintained,
)
from tests.fixtures.locks import stopped_in, until_stuck
from tests.fixtures.servers import CallRefused, Server, running_server
from tests.fixtures.two_servers import TwoServers
from tests.fixtures.waiting import until

pytestmark = pytest.mark.shows("guarantees/deletion-blocks-nothing")

TEN_HOURS = Settings(retention=10 * HOUR, lease_grace_seconds=0)
FINISH = "awf.task/cancel"


@pytest.fixture
def server(new_database: str, clock: FrozenClock) -> Iterator[Server]:
    """A server that keeps history for ten hours, in partitions of one hour."""
    with running_server(new_database, clock, TEN_HOURS) as running:
        running.define(requestedToStartTimeout=1000 * 3_600_000, inProgressTimeout=1000 * 3_600_000)
        until_maintained(running)
        yield running


@pytest.fixture
def frozen_servers(server: Server, clock: FrozenClock) -> Iterator[TwoServers]:
    """Two of these servers on one database."""
    with running_server(server.conninfo, clock, TEN_HOURS) as other:
        until_maintained(other)
        yield TwoServers(server, other)


@contextmanager
def open_transaction(server: Server, text: str) -> Iterator[psycopg.Connection]:
    """Hold a transaction open in which a statement has run."""
    with psycopg.connect(server.conninfo) as connection:
        connection.execute(text.encode())
        yield connection


def finished(server: Server, id: str) -> str:
    server.create(id=id)
    server.rpc(FINISH, {"id": id})
    return id


def status(server: Server, id: str) -> str | None:
    """Return the status of a task; None without a task."""
    try:
        return str(server.task(id)["status"])
    except CallRefused as refused:
        if refused.status != 404:
            raise
        return None


def test_two_servers_at_once_create_and_drop_each_partition_once(
    frozen_servers: TwoServers, clock: FrozenClock, pool: ThreadPoolExecutor
) -> None:
    server, other = frozen_servers
    for number in range(4):
        finished(server, f"mine-{number}")
        clock.advance(9 * HOUR)
        list(pool.map(maintain_partitions, [server, other, server, other]))
        for parent in ("done_tasks", "task_log"):
            found = spans(server, parent)
            assert seamless(found[-2:])
            assert any(clock.now() in one for one in found)
            assert found[0].ends_at > clock.now() - 10 * HOUR  # type: ignore[operator]
    assert [status(other, f"mine-{number}") for number in range(4)] == [None, None, None, "done"]
    assert loose_tables(server) == []


def test_tasks_are_served_while_a_long_transaction_blocks_partition_changes(server: Server, clock: FrozenClock) -> None:
    finished(server, "old")
    last = spans(server)[-1]
    clock.advance(2 * HOUR)

    with open_transaction(server, "select count(*) from fencepost.done_tasks"):
        assert maintain_once(server) == 60
        assert spans(server)[-1] == last
        finished(server, "young")

    maintain_partitions(server)
    assert spans(server)[-1].ends_at == last.ends_at + 2 * HOUR
    assert [status(server, id) for id in ("old", "young")] == ["done", "done"]


def test_an_open_write_transaction_does_not_block_new_partitions(server: Server, clock: FrozenClock) -> None:
    last = spans(server, "task_log")[-1]
    insert = (
        "insert into fencepost.task_log (seq, version, at, action, caller, status_before, status, retry_count)"
        f" values (1, 2, '{clock.now()}', 'awf.task/notify', 'test', 'in-progress', 'in-progress', 1)"
    )
    clock.advance(HOUR)
    with open_transaction(server, insert):
        assert maintain_once(server) > 60
    assert spans(server, "task_log")[-1].ends_at == last.ends_at + HOUR


def test_a_partition_that_is_being_read_is_dropped_later_without_blocking_tasks(
    server: Server, clock: FrozenClock
) -> None:
    finished(server, "old")
    (name,) = server.query("select tableoid::regclass::text from fencepost.done_tasks")[0]
    clock.advance(11 * HOUR)
    server.run(server.app.partitions.prepare())

    with open_transaction(server, f"select count(*) from {name}"):
        assert maintain_once(server) == 60
        finished(server, "young")
        assert server.query(f"select count(*) from {name}") == [(1,)]
        # The rows of the detached partition are gone; the id is free.
        assert status(server, "old") is None
        server.create(id="old")

    maintain_partitions(server)
    assert server.query(f"select to_regclass('{name}')") == [(None,)]
    assert [status(server, id) for id in ("old", "young")] == ["ready", "done"]


def test_a_server_that_dies_before_a_partition_is_attached_leaves_nothing_behind(
    server: Server, clock: FrozenClock
) -> None:
    before = spans(server)
    clock.advance(HOUR)
    with open_transaction(server, "select count(*) from fencepost.done_tasks_default"), ThreadPoolExecutor(1) as thread:
        killed = False

        def kill_attaching() -> bool:
            nonlocal killed
            rows = server.query(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()"
                " and query like 'alter table %attach partition%' and pid <> pg_backend_pid() and state = 'active'"
            )
            killed = killed or bool(rows)
            return killed

        while not killed:
            run = thread.submit(maintain_once, server)
            until(lambda run=run: kill_attaching() or run.done())  # type: ignore[misc]
            assert run.result() == 60
        assert spans(server) == before
        assert loose_tables(server) == []

    maintain_partitions(server)
    assert seamless(spans(server))
    assert spans(server)[-1].ends_at == before[-1].ends_at + HOUR


def test_another_server_completes_an_interrupted_partition_drop(server: Server, clock: FrozenClock) -> None:
    finished(server, "one")
    finished(server, "two")
    lease = server.started()
    clock.advance(11 * HOUR)
    server.run(server.app.partitions.prepare())
    with (
        open_transaction(server, "select count(*) from fencepost.done_tasks, fencepost.task_log"),
        running_server(server.conninfo, clock, TEN_HOURS) as dying,
    ):
        assert maintain_once(dying) == 60
    server.query("insert into fencepost.task_names (id, seq) select 'one', seq from fencepost.done_tasks limit 1")

    maintain_partitions(server)

    assert [status(server, id) for id in ("one", "two")] == [None, None]
    assert server.query("select count(*) from fencepost.task_names where id in ('one', 'two')") == [(0,)]
    assert server.rpc("awf.task/success", {**lease, "result": {}})["resource"]["status"] == "done"


def test_a_retry_during_the_deletion_of_ids_finds_no_task(
    server: Server, clock: FrozenClock, pool: ThreadPoolExecutor
) -> None:
    finished(server, "mine")
    (name,) = server.query("select tableoid::regclass::text from fencepost.done_tasks")[0]
    (span,) = server.query(
        f"select begins_at, ends_at from fencepost.history_partitions where 'fencepost.' || name = '{name}'"
    )

    # The same as store/partitions.py, in a transaction that stays open.
    with connect(server.conninfo) as connection, connection.transaction():
        connection.execute(f"lock table {name} in share mode".encode())
        params = {"begins_at": span[0], "ends_at": span[1], "after": 0, "batch": 10}
        connection.execute(statement("history/delete_task_names").encode(), params)
        retry = pool.submit(server.refused, "awf.task/retry", {"id": "mine"})
        until_stuck(server.conninfo, retry)
        assert not retry.done()

    assert retry.result()[0] == 404
    assert server.query("select count(*) from fencepost.live_tasks") == [(0,)]


def test_ids_are_not_deleted_while_a_retry_is_in_progress(
    server: Server, clock: FrozenClock, pool: ThreadPoolExecutor
) -> None:
    finished(server, "mine")
    clock.advance(11 * HOUR)
    server.run(server.app.partitions.prepare())
    with stopped_in(server.conninfo, "live_tasks", "insert"):
        retry = pool.submit(server.rpc, "awf.task/retry", {"id": "mine"})
        until_stuck(server.conninfo, retry)
        assert not retry.done()
        assert maintain_once(server) == 60
        assert server.query("select count(*) from fencepost.task_names where id = 'mine'") == [(1,)]

    assert retry.result()["resource"]["status"] == "ready"
    maintain_partitions(server)
    assert status(server, "mine") == "ready"
