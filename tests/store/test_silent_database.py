"""A database with a silent network: no connection is closed, nothing answers, and every call ends in time."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import psycopg
import pytest

from fencepost.errors import UNAVAILABLE, Refusal
from fencepost.store.connection import Connection, connect, fetch
from fencepost.store.connection_monitor import monitored
from fencepost.store.database import Database, DatabaseAway
from fencepost.telemetry import Event, listeners
from tests.fixtures.silent_proxy import SilentProxy, backends, silent_proxy
from tests.fixtures.waiting import until

pytestmark = pytest.mark.shows("guarantees/silent-database")

# The documented limits, and the seconds that a noisy machine may add.
CALL_SECONDS = 5.0
READY_SECONDS = 2.0
NOISE = 1.5

Use = Callable[[Database], Coroutine[Any, Any, Any]]


@pytest.fixture
def proxy(database: str) -> Iterator[SilentProxy]:
    with silent_proxy(database) as running:
        yield running


@pytest.fixture
def said() -> Iterator[list[str]]:
    """Names of the logged outage events."""
    heard: list[str] = []

    def listen(event: Event, _: dict[str, Any]) -> None:
        if event in (Event.DATABASE_LOST, Event.DATABASE_BACK):
            heard.append(event.label)

    listeners.append(listen)
    yield heard
    listeners.remove(listen)


def using(conninfo: str, use: Use, connections: int = 2) -> Any:
    async def run() -> Any:
        used = Database(conninfo, connections=connections)
        try:
            return await use(used)
        finally:
            await used.close()

    return asyncio.run(run())


async def seconds_until_away(call: Coroutine[Any, Any, Any]) -> float:
    began = time.monotonic()
    with pytest.raises(Refusal) as caught:
        await call
    assert (caught.value.kind, caught.value.retry_after) == (UNAVAILABLE, 1)
    assert isinstance(caught.value, DatabaseAway)
    return time.monotonic() - began


def test_a_statement_is_run_again_when_its_connection_goes_silent(proxy: SilentProxy, database: str) -> None:
    async def use(used: Database) -> tuple[Any, float]:
        await asyncio.gather(used.fetch("select 1", {}), used.fetch("select 1", {}))
        proxy.silence()
        began = time.monotonic()
        rows = await used.fetch("select 7", {})
        return rows, time.monotonic() - began

    rows, seconds = using(proxy.conninfo, use)
    assert rows == [(7,)]
    assert seconds < CALL_SECONDS + NOISE


def test_other_open_connections_are_replaced_when_one_goes_silent(proxy: SilentProxy) -> None:
    async def use(used: Database) -> float:
        pause = [used.fetch("select pg_sleep(0.1)", {}) for _ in range(4)]
        await asyncio.gather(*pause)
        proxy.silence()
        await used.fetch("select 1", {})
        began = time.monotonic()
        for _ in range(8):
            await used.fetch("select 1", {})
        return time.monotonic() - began

    assert using(proxy.conninfo, use, connections=4) < NOISE


def test_locks_of_a_silent_connection_are_free_for_the_second_run(proxy: SilentProxy, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as owner:
        owner.execute("create table public.counted (number integer not null)")
        owner.execute("insert into public.counted values (0)")
    runs: list[int] = []

    def job(connection: Connection) -> None:
        runs.append(connection.backend[0])
        with connection.transaction():
            fetch(connection, "update public.counted set number = number + 1", {})
            if len(runs) == 1:
                proxy.silence()
            fetch(connection, "select 1", {})

    async def use(used: Database) -> float:
        began = time.monotonic()
        await used.run(job)
        return time.monotonic() - began

    assert using(proxy.conninfo, use) < CALL_SECONDS + NOISE
    assert len(set(runs)) == 2
    with psycopg.connect(database) as owner:
        assert owner.execute("select number from public.counted").fetchall() == [(1,)]


def test_a_silent_database_is_reported_unavailable_in_time_to_every_caller(proxy: SilentProxy, said: list[str]) -> None:
    async def use(used: Database) -> None:
        await used.ready()
        await asyncio.gather(*(used.fetch("select pg_sleep(0.1)", {}) for _ in range(4)))
        proxy.silence(new_ones=True)
        assert await seconds_until_away(used.ready()) < READY_SECONDS + NOISE / 2
        waited = await asyncio.gather(*(seconds_until_away(used.fetch("select 1", {})) for _ in range(20)))
        assert max(waited) < CALL_SECONDS + NOISE
        # The outage is known now, so that later calls fail at once.
        assert await seconds_until_away(used.ready()) < NOISE
        assert await seconds_until_away(used.fetch("select 1", {})) < NOISE
        proxy.speak()
        await asyncio.to_thread(until, lambda: "database-back" in said, 15)
        await used.ready()
        assert await used.fetch("select 7", {}) == [(7,)]

    using(proxy.conninfo, use)
    assert said == ["database-lost", "database-back"]


def test_a_long_statement_is_not_run_again(proxy: SilentProxy, database: str) -> None:
    runs: list[int] = []

    def job(connection: Connection) -> Any:
        runs.append(connection.backend[0])
        return fetch(connection, "select 7 from pg_sleep(4)", {})

    async def use(used: Database) -> Any:
        return await used.run(job)

    assert using(proxy.conninfo, use) == [(7,)]
    assert len(runs) == 1


def test_a_statement_that_waits_for_a_lock_is_not_run_again(database: str) -> None:
    async def use(used: Database) -> Any:
        waiting = asyncio.create_task(used.fetch("select count(*) from fencepost.live_tasks", {}))
        done, _ = await asyncio.wait({waiting}, timeout=3)
        assert not done
        await used.ready()
        holder.rollback()
        return await waiting

    with psycopg.connect(database) as holder:
        holder.execute("lock table fencepost.live_tasks")
        assert using(database, use) == [(0,)]


def test_a_job_that_computes_between_statements_is_not_interrupted(database: str) -> None:
    """The backend is idle meanwhile, which must not count as a lost statement."""
    over = threading.Event()
    runs: list[int] = []

    def job(connection: Connection) -> Any:
        runs.append(connection.backend[0])
        with connection.transaction():
            fetch(connection, "select 1", {})
            over.wait(3)
            return fetch(connection, "select 7", {})

    async def use(used: Database) -> Any:
        return await used.run(job)

    assert using(database, use) == [(7,)]
    assert len(runs) == 1


def test_closing_the_database_does_not_wait_for_a_silent_server(proxy: SilentProxy) -> None:
    async def use() -> float:
        used = Database(proxy.conninfo)
        await asyncio.gather(*(used.fetch("select pg_sleep(0.1)", {}) for _ in range(4)))
        proxy.silence(new_ones=True)
        calls = [asyncio.ensure_future(used.fetch("select 1", {})) for _ in range(12)]
        await asyncio.sleep(0)
        began = time.monotonic()
        await used.close()
        seconds = time.monotonic() - began
        for call in calls:
            call.cancel()
        return seconds

    assert asyncio.run(use()) < 1.3 + NOISE


def test_an_idle_backend_that_is_terminated_is_not_an_outage(database: str, said: list[str]) -> None:
    async def use(used: Database) -> None:
        await asyncio.gather(*(used.fetch("select pg_sleep(0.1)", {}) for _ in range(2)))
        with psycopg.connect(database, autocommit=True) as owner:
            for pid in backends(database):
                owner.execute("select pg_terminate_backend(%s)", (pid,))
        assert await used.fetch("select 7", {}) == [(7,)]
        await used.ready()

    using(database, use)
    assert said == []


def test_a_read_only_database_is_reported_lost_until_it_takes_writes(database: str, said: list[str]) -> None:
    def alter(text: str) -> None:
        with psycopg.connect(database, autocommit=True) as owner:
            owner.execute("set default_transaction_read_only = off")
            name = owner.info.dbname
            owner.execute(f"alter database {name} {text}".encode())

    write = "insert into public.written values (%(number)s::integer)"

    async def use(used: Database) -> None:
        alter("set default_transaction_read_only = on")
        assert await seconds_until_away(used.fetch(write, {"number": 1})) < CALL_SECONDS + NOISE
        with pytest.raises(DatabaseAway, match="takes no writes"):
            await used.ready()
        alter("reset default_transaction_read_only")
        await asyncio.to_thread(until, lambda: "database-back" in said, 15)
        await used.ready()
        await used.fetch(write, {"number": 3})

    with psycopg.connect(database, autocommit=True) as owner:
        owner.execute("create table public.written (number integer not null)")
    using(database, use)
    assert said == ["database-lost", "database-back"]


def test_a_statement_during_a_start_fails_in_time_when_its_connection_goes_silent(proxy: SilentProxy) -> None:
    with connect(proxy.conninfo) as connection, monitored(proxy.conninfo, connection):
        proxy.silence(new_ones=True)
        began = time.monotonic()
        with pytest.raises(psycopg.Error):
            fetch(connection, "select 1", {})
        assert time.monotonic() - began < CALL_SECONDS + NOISE


def test_a_long_statement_during_a_start_is_not_interrupted(database: str) -> None:
    with connect(database) as connection, monitored(database, connection):
        assert fetch(connection, "select 7 from pg_sleep(3)", {}) == [(7,)]
