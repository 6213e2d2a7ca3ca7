"""SQL tasks on a database that goes silent: the query ends and frees its connection."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from fencepost.errors import SQL_FAILED, Refusal
from fencepost.store.reader import Reader
from tests.fixtures.silent_proxy import SilentProxy, silent_proxy
from tests.fixtures.waiting import until

ROLE = "silent_reading"
# Seconds for the query, the grace period, the unanswered cancellation, and a noisy machine.
LONGEST = 1 + 1 + 5 + 2


@pytest.fixture
def proxy(database: str) -> Iterator[SilentProxy]:
    with psycopg.connect(database, autocommit=True) as owner:
        owner.execute(f"create role {ROLE} login".encode())
    with silent_proxy(make_conninfo(database, user=ROLE)) as running:
        yield running
    with psycopg.connect(database, autocommit=True) as owner:
        owner.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = %s", (ROLE,))
        owner.execute(f"drop role {ROLE}".encode())


async def silenced(proxy: SilentProxy, reader: Reader, database: str) -> asyncio.Task[list[bytes]]:
    """Start a query and silence the network while it runs."""
    reading = asyncio.create_task(reader.rows("select pg_sleep(0.9)", []))
    with psycopg.connect(database, autocommit=True) as owner:
        sleeping = "select 1 from pg_stat_activity where usename = %s and wait_event = 'PgSleep'"
        await asyncio.to_thread(until, lambda: owner.execute(sleeping, (ROLE,)).fetchall())
        proxy.silence(new_ones=True)
    assert not reading.done()
    return reading


def test_a_query_fails_in_time_when_its_database_goes_silent(proxy: SilentProxy, database: str) -> None:
    async def use() -> float:
        reading = await silenced(proxy, Reader(proxy.conninfo, seconds=1, most_bytes=1000), database)
        began = time.monotonic()
        with pytest.raises(Refusal) as caught:
            await reading
        assert caught.value.kind is SQL_FAILED
        return time.monotonic() - began

    assert asyncio.run(use()) < LONGEST


def test_a_canceled_query_on_a_silent_database_ends_soon(proxy: SilentProxy, database: str) -> None:
    async def use() -> float:
        reading = await silenced(proxy, Reader(proxy.conninfo, seconds=60, most_bytes=1000), database)
        began = time.monotonic()
        reading.cancel()
        await asyncio.wait({reading}, timeout=30)
        assert reading.cancelled()
        return time.monotonic() - began

    assert asyncio.run(use()) < 1 + 3
