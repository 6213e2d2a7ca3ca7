"""`fencepost_sdk.relay`: each committed row of an outbox becomes one task, whatever dies in between."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from fencepost_sdk import AsyncClient
from fencepost_sdk.relay import INSTALL, relay_batch
from fencepost_sdk.sql import enqueue, enqueue_many
from tests.fixtures.faulty_proxy import FaultyProxy
from tests.fixtures.locks import stopped_in
from tests.fixtures.roles import role
from tests.fixtures.servers import Server
from tests.fixtures.waiting import until

pytestmark = pytest.mark.shows("guarantees/outbox-relayed")

LATER = datetime(2090, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def shop(empty_database: str) -> str:
    """The conninfo of the database of an application, with an outbox."""
    with psycopg.connect(empty_database) as connection:
        connection.execute(INSTALL.read_bytes())
    return empty_database


@pytest.fixture
def resize(server: Server) -> Server:
    """A server with the definition `demo/resize`."""
    server.define()
    return server


def relayed(shop: str, server: Server) -> int:
    """Relay one batch; return its number of rows."""

    async def run() -> int:
        async with (
            AsyncClient(server.url, patience=0.5) as client,
            await psycopg.AsyncConnection.connect(shop, autocommit=True) as connection,
        ):
            return await relay_batch(connection, client)

    return asyncio.run(run())


def rows(shop: str, columns: str) -> list[Any]:
    with psycopg.connect(shop) as connection:
        return connection.execute(f"select {columns} from fencepost.outbox order by seq".encode()).fetchall()


@contextmanager
def process(shop: str, url: str) -> Iterator[subprocess.Popen[bytes]]:
    """A relay in a process of its own."""
    command = [sys.executable, "-m", "fencepost_sdk.relay", shop]
    with subprocess.Popen(command, env={**os.environ, "FENCEPOST_URL": url}, stderr=subprocess.PIPE) as relay:
        try:
            yield relay
        finally:
            relay.kill()


def test_a_committed_row_becomes_a_task_and_one_that_is_rolled_back_does_not(shop: str, resize: Server) -> None:
    settings = {"retryDelay": 5}
    with psycopg.connect(shop) as connection:
        enqueue(connection, "demo/resize", {"n": 1.0}, id="a", label="one", execute_at=LATER, settings=settings)
        (new,) = enqueue_many(connection, "demo/resize", [None])
        connection.commit()
        enqueue(connection, "demo/resize", {}, id="b")
        connection.rollback()
    assert relayed(shop, resize) == 2
    assert relayed(shop, resize) == 0
    assert rows(shop, "seq") == []
    task = resize.task("a")
    assert (task["params"], task["label"], task["executeAt"]) == ({"n": 1.0}, "one", "2090-01-02T03:04:05.000000Z")
    assert resize.rpc("awf.task/status", {"id": "a", "include-settings?": True})["settings"]["retryDelay"] == 5
    assert resize.task(new)["status"] == "ready"
    assert resize.query("select count(*) from fencepost.live_tasks") == [(2,)]


def test_a_refused_row_stays_with_its_error_and_holds_up_no_other(shop: str, resize: Server) -> None:
    with psycopg.connect(shop) as connection:
        enqueue(connection, "demo/later", {"n": 1}, id="refused")
        enqueue(connection, "demo/resize", {}, id="taken")
    assert relayed(shop, resize) == 2
    assert resize.task("taken")["status"] == "ready"
    ((id, attempts, type, postponed),) = rows(shop, "id, attempts, error ->> 'type', due_at > now()")
    assert (id, attempts, type, postponed) == ("refused", 1, "definition-not-found", True)
    assert relayed(shop, resize) == 0

    resize.define("demo/later")
    with psycopg.connect(shop) as connection:
        connection.execute("update fencepost.outbox set due_at = now()")
    assert relayed(shop, resize) == 1
    assert resize.task("refused")["params"] == {"n": 1}
    assert rows(shop, "seq") == []


def test_no_content_of_a_row_ends_the_relay(shop: str, resize: Server) -> None:
    contents = [
        '{"n": 123456789012345678901234567890}',
        "[1]",
        '"text"',
        "1",
        '{"n": "\\u0000"}',
        "[" * 500 + "]" * 500,
    ]
    with psycopg.connect(shop) as connection:
        for params in contents:
            connection.execute("select fencepost.enqueue('demo/resize', %s::json)", [params])
        connection.execute("select fencepost.enqueue('demo/resize', id => 'not an id', settings => '{\"x\": 1}')")
        connection.execute("select fencepost.enqueue('no definition', label => repeat('x', 5000))")
    assert relayed(shop, resize) == len(contents) + 2
    assert rows(shop, "error ->> 'message' is null, attempts") == [(False, 1)] * (len(contents) + 2)


@pytest.mark.parametrize("at", ["infinity", "-infinity", "10000-01-01 UTC", "0001-01-01 UTC"])
def test_a_time_that_no_client_can_read_is_refused_when_it_is_enqueued(shop: str, at: str) -> None:
    with psycopg.connect(shop) as connection, pytest.raises(psycopg.errors.InvalidParameterValue, match="execute_at"):
        connection.execute("select fencepost.enqueue('demo/resize', execute_at => %s)", [at])


def test_a_relay_that_dies_before_it_deletes_creates_no_second_task(shop: str, resize: Server) -> None:
    with psycopg.connect(shop) as connection:
        ids = enqueue_many(connection, "demo/resize", [{"n": number} for number in range(100)])
    with stopped_in(shop, "outbox", "delete"), process(shop, resize.url) as relay:
        until(lambda: resize.query("select count(*) from fencepost.live_tasks") == [(100,)])
        until(lambda: waits_for_lock(shop))
        relay.kill()
        relay.wait(20)
        with psycopg.connect(shop, autocommit=True) as connection:
            connection.execute("select pg_terminate_backend(pid) from pg_stat_activity where wait_event_type = 'Lock'")
        # `stopped_in` wants to see a transaction that it stopped: the next relay is one.
        with process(shop, resize.url):
            until(lambda: waits_for_lock(shop))
    with process(shop, resize.url):
        until(lambda: rows(shop, "seq") == [])
    assert sorted(resize.query("select id from fencepost.live_tasks")) == sorted((id,) for id in ids)


def waits_for_lock(shop: str) -> bool:
    with psycopg.connect(shop) as connection:
        waiting = "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        return connection.execute(waiting).fetchone() is not None


def test_a_relay_waits_for_a_server_and_ends_after_sigterm(shop: str, resize: Server, proxy: FaultyProxy) -> None:
    with psycopg.connect(shop) as connection:
        enqueue(connection, "demo/resize", {}, id="a")
    proxy.go_down()
    with process(shop, proxy.url) as relay:
        assert relay.stderr is not None
        assert b"the relay waits" in relay.stderr.readline()
        assert rows(shop, "attempts") == [(0,)], "the row is not at fault"
        proxy.come_up()
        until(lambda: rows(shop, "seq") == [])
        with psycopg.connect(shop) as connection:
            enqueue(connection, "demo/resize", {}, id="b", notify=True)
        until(lambda: rows(shop, "seq") == [])
        relay.send_signal(signal.SIGTERM)
        assert relay.wait(20) == 0
    assert resize.query("select id from fencepost.live_tasks order by id") == [("a",), ("b",)]


def test_a_lost_reply_creates_no_second_task(shop: str, resize: Server, proxy: FaultyProxy) -> None:
    with psycopg.connect(shop) as connection:
        enqueue(connection, "demo/resize", {"n": 1}, id="a")
    lost = proxy.lose_reply("create-and-execute")
    with process(shop, proxy.url):
        until(lambda: rows(shop, "seq") == [])
    assert lost.hits == 1
    assert resize.query("select id from fencepost.live_tasks") == [("a",)]


def test_two_relays_share_an_outbox(shop: str, resize: Server) -> None:
    with psycopg.connect(shop) as connection:
        for _ in range(3):
            enqueue_many(connection, "demo/resize", [{}] * 700)
    with process(shop, resize.url), process(shop, resize.url):
        until(lambda: rows(shop, "seq") == [])
    assert resize.query("select count(*) from fencepost.live_tasks") == [(2100,)]


def test_only_a_role_with_the_grant_enqueues_and_reads_nothing(shop: str) -> None:
    with (
        role(shop, "shop_one", "select fencepost.grant_enqueue('{role}')") as granted,
        psycopg.connect(granted, autocommit=True) as connection,
    ):
        enqueue(connection, "demo/resize", {})
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select from fencepost.outbox")
    with (
        role(shop, "shop_two", "grant usage on schema fencepost to {role}") as other,
        psycopg.connect(other) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        enqueue(connection, "demo/resize", {})


def installed(database: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fencepost_sdk.relay", "--install", database]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_an_outbox_is_installed_once_and_not_beside_a_server(empty_database: str, database: str) -> None:
    for _ in range(2):
        assert installed(empty_database).returncode == 0
        with psycopg.connect(empty_database) as connection:
            enqueue(connection, "demo/resize")
    assert len(rows(empty_database, "id")) == 2
    refused = installed(database)
    assert refused.returncode == 2
    assert refused.stderr.startswith("fencepost: this is the database of the servers")


def test_a_relay_of_a_database_without_outbox_ends_with_a_sentence(empty_database: str, resize: Server) -> None:
    with process(empty_database, resize.url) as relay:
        _, errors = relay.communicate(timeout=30)
    assert relay.returncode == 2
    assert b'relation "fencepost.outbox" does not exist' in errors
