"""Database connections: a broken connection is replaced, and a lost database is answered as unavailable."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

import psycopg
import pytest

from fencepost.errors import UNAVAILABLE, Refusal
from fencepost.store.connection import Connection, fetch, fetch_together
from fencepost.store.database import Database, Job
from tests.fixtures.waiting import until

Use = Callable[[Database], Coroutine[Any, Any, Any]]


def using(conninfo: str, use: Use, connections: int = 1) -> Any:
    async def run() -> Any:
        database = Database(conninfo, connections=connections)
        try:
            return await use(database)
        finally:
            await database.close()

    return asyncio.run(run())


def test_a_job_runs_again_on_a_new_connection_when_its_connection_is_cut(database: str) -> None:
    seen: list[int] = []

    def job(connection: Connection) -> int:
        seen.append(connection.info.backend_pid)
        if len(seen) == 1:
            with psycopg.connect(database, autocommit=True) as other:
                other.execute("select pg_terminate_backend(%s)", (seen[0],))
        return int(fetch(connection, "select 7", {})[0][0])

    async def use(used: Database) -> int:
        return await used.run(job)

    assert using(database, use) == 7
    assert len(set(seen)) == 2


def test_an_unreachable_database_is_unavailable_and_not_a_bug(database: str) -> None:
    async def use(used: Database) -> None:
        await used.fetch("select 1", {})

    with pytest.raises(Refusal) as caught:
        using(database + " dbname=there_is_none", use)

    assert (caught.value.kind, caught.value.retry_after) == (UNAVAILABLE, 1)


def test_a_statement_that_cannot_lock_in_time_is_unavailable(database: str) -> None:
    async def use(used: Database) -> None:
        await used.fetch("set lock_timeout = '50ms'", {})
        await used.fetch("select * from fencepost.live_tasks", {})

    with psycopg.connect(database) as holder:
        holder.execute("lock table fencepost.live_tasks")
        with pytest.raises(Refusal, match="lock timeout"):
            using(database, use)


def test_an_invalid_statement_raises_the_error_of_postgres(database: str) -> None:
    async def use(used: Database) -> None:
        await used.fetch("select nonsense", {})

    with pytest.raises(psycopg.errors.UndefinedColumn):
        using(database, use)


def in_transaction(*statements: tuple[str, Mapping[str, Any]]) -> Job[Sequence[list[Any]]]:
    """Return a job that runs statements in order in one transaction and gives the rows of each."""

    def job(connection: Connection) -> Sequence[list[Any]]:
        with connection.transaction():
            return [fetch(connection, text, params) for text, params in statements]

    return job


INSERT = "insert into fencepost.task_names (id, seq) values (%(name)s::text, 1) returning id"
NAMES = "select id from fencepost.task_names order by id"


def test_statements_together_are_one_transaction_and_see_each_other(database: str) -> None:
    async def use(used: Database) -> list[list[Any]]:
        return await used.run(lambda connection: fetch_together(connection, [(INSERT, {"name": "one"}), (NAMES, {})]))

    assert using(database, use) == [[("one",)], [("one",)]]


@pytest.mark.parametrize("invalid", ["select 1 / (select 0)", "select 'a'::text::integer"])
def test_a_failed_statement_undoes_those_before_it_and_leaves_the_connection(database: str, invalid: str) -> None:
    def job(connection: Connection) -> list[list[Any]]:
        with pytest.raises(psycopg.DataError):
            fetch_together(connection, [(INSERT, {"name": "one"}), (invalid, {}), (INSERT, {"name": "two"})])
        names, backend = fetch_together(connection, [(NAMES, {}), ("select pg_backend_pid()", {})])
        return [names, backend, [(connection.info.backend_pid,)]]

    async def use(used: Database) -> list[list[Any]]:
        return await used.run(job)

    names, backend, same = using(database, use)
    assert (names, backend) == ([], same)


def test_statements_together_run_again_when_their_connection_is_cut(database: str) -> None:
    seen: list[int] = []

    def job(connection: Connection) -> list[list[Any]]:
        seen.append(connection.info.backend_pid)
        end = "select pg_terminate_backend(pg_backend_pid())" if len(seen) == 1 else "select 1"
        return fetch_together(connection, [(INSERT, {"name": "one"}), (end, {}), (NAMES, {})])

    async def use(used: Database) -> list[list[Any]]:
        return await used.run(job)

    assert using(database, use)[2] == [("one",)]
    assert len(set(seen)) == 2


def test_two_deadlocked_transactions_both_succeed(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("create table public.pair (name text primary key, touched integer not null)")
        connection.execute("insert into public.pair values ('a', 0), ('b', 0)")
    touch = "update public.pair set touched = touched + 1 where name = %(name)s"

    async def use(used: Database) -> None:
        pause: tuple[str, dict[str, str]] = ("select pg_sleep(0.1)", {})
        there = in_transaction((touch, {"name": "a"}), pause, (touch, {"name": "b"}))
        back = in_transaction((touch, {"name": "b"}), pause, (touch, {"name": "a"}))
        await asyncio.gather(used.run(there), used.run(back))

    using(database, use, connections=2)

    with psycopg.connect(database) as connection:
        assert connection.execute("select touched from public.pair").fetchall() == [(2,), (2,)]


def test_closing_the_database_does_not_wait_for_a_blocked_statement(database: str) -> None:
    async def use(used: Database) -> None:
        stuck = asyncio.create_task(used.fetch("select * from fencepost.live_tasks", {}))
        await asyncio.to_thread(until, waiting)
        stuck.cancel()

    def waiting() -> bool:
        return bool(watcher.execute("select 1 from pg_stat_activity where wait_event_type = 'Lock'").fetchall())

    with psycopg.connect(database) as holder, psycopg.connect(database, autocommit=True) as watcher:
        holder.execute("lock table fencepost.live_tasks")
        using(database, use)
