"""Transient errors of Postgres are retried or answered as unavailable, and never reported as bugs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from fencepost.errors import UNAVAILABLE, Refusal
from fencepost.store.connection import Connection, fetch
from fencepost.store.database import Database, DatabaseAway
from tests.fixtures.waiting import until

Use = Callable[[Database], Coroutine[Any, Any, Any]]


def using(conninfo: str, use: Use) -> Any:
    async def run() -> Any:
        used = Database(conninfo, connections=1)
        try:
            return await use(used)
        finally:
            await used.close()

    return asyncio.run(run())


def raising(code: str, times: int) -> tuple[Callable[[Connection], Any], list[int]]:
    """Return a job that fails with SQLSTATE `code` the first `times`, and a list of the backends that ran it."""
    ran: list[int] = []

    def job(connection: Connection) -> Any:
        ran.append(connection.backend[0])
        if len(ran) <= times:
            raised = f"do $$ begin raise exception 'as asked' using errcode = '{code}'; end $$"
            fetch(connection, raised, {})
        return fetch(connection, "select 7", {})

    return job, ran


@pytest.mark.parametrize("code", ["53000", "53100", "53200", "53300", "53400", "55P03", "57014", "58000", "58030"])
def test_a_transient_error_is_answered_as_unavailable(code: str, database: str) -> None:
    job, ran = raising(code, 1)
    with pytest.raises(Refusal) as caught:
        using(database, lambda used: used.run(job))
    assert (caught.value.kind, caught.value.retry_after) == (UNAVAILABLE, 1)
    assert len(ran) == 1


@pytest.mark.parametrize("code", ["25006", "57P01", "57P02", "57P03", "57P05", "08000", "08003", "08006", "26000"])
def test_an_error_of_a_connection_is_retried_on_another_connection(code: str, database: str) -> None:
    job, ran = raising(code, 1)
    assert using(database, lambda used: used.run(job)) == [(7,)]
    assert len(set(ran)) == 2


@pytest.mark.parametrize("code", ["40001", "40P01"])
def test_a_serialization_failure_or_deadlock_is_retried_on_the_same_connection(code: str, database: str) -> None:
    job, ran = raising(code, 1)
    assert using(database, lambda used: used.run(job)) == [(7,)]
    assert (len(ran), len(set(ran))) == (2, 1)


@pytest.mark.parametrize("code", ["25006", "57P03", "08006"])
def test_a_lasting_connection_error_is_unavailable_after_the_time_limit_of_a_call(code: str, database: str) -> None:
    job, _ = raising(code, 1000)
    began = time.monotonic()
    with pytest.raises(DatabaseAway):
        using(database, lambda used: used.run(job))
    assert time.monotonic() - began < 5 + 2


def _backends(database: str, user: str) -> int:
    with psycopg.connect(database) as owner:
        row = owner.execute("select count(*) from pg_stat_activity where usename = %s", [user]).fetchone()
        assert row is not None
        return int(row[0])


def test_a_database_that_has_no_connection_left_is_unavailable(database: str) -> None:
    """Opening a connection fails with SQLSTATE 53300."""
    with psycopg.connect(database, autocommit=True) as owner:
        owner.execute("create role crowded login connection limit 1")
        owner.execute("grant usage on schema fencepost to crowded")
    crowded = make_conninfo(database, user="crowded")
    try:
        with psycopg.connect(crowded), pytest.raises(DatabaseAway):
            using(crowded, lambda used: used.fetch("select 1", {}))
        # A closed connection counts until its backend has ended.
        until(lambda: _backends(database, "crowded") == 0)
        assert using(crowded, lambda used: used.fetch("select 7", {})) == [(7,)]
    finally:
        with psycopg.connect(database, autocommit=True) as owner:
            owner.execute("drop owned by crowded")
            owner.execute("drop role crowded")


def test_a_statement_is_prepared_again_after_its_table_changed(database: str) -> None:
    async def use(used: Database) -> Any:
        before = await used.fetch("select * from public.changed", {})
        with psycopg.connect(database, autocommit=True) as owner:
            owner.execute("alter table public.changed add more integer default 2")
        return before, await used.fetch("select * from public.changed", {})

    with psycopg.connect(database, autocommit=True) as owner:
        owner.execute("create table public.changed as select 1 as number")
    assert using(database, use) == ([(1,)], [(1, 2)])
