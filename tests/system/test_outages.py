"""The database goes away and comes back: calls succeed or answer 503, live workers keep their tasks, nothing hangs."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fencepost.settings import Settings
from fencepost.store.embedded import EmbeddedPostgres
from fencepost.store.migrations import migrate
from tests.fixtures.processes import Client
from tests.fixtures.servers import Server, running_server
from tests.fixtures.waiting import until

# Seconds after which a client gives up; a call without a database must be answered before.
PATIENCE = 10.0


@pytest.fixture(scope="module")
def data(open_folder: Path) -> Path:
    return open_folder / "outages"


@pytest.fixture
def mortal(data: Path) -> Iterator[EmbeddedPostgres]:
    """A Postgres that the test may stop and start."""
    with EmbeddedPostgres(data, options={"fsync": "off"}) as postgres:
        migrate(postgres.conninfo)
        yield postgres


@pytest.fixture
def server(mortal: EmbeddedPostgres) -> Iterator[Server]:
    """A server on this Postgres, with a definition that allows one second between heartbeats."""
    with running_server(mortal.conninfo, settings=Settings(lease_grace_seconds=3)) as running:
        running.define(inProgressTimeout=1000, requestedToStartTimeout=1000, retryDelay=60_000)
        yield running
        mortal.start()
        for task in running.rpc("awf.task/list", {"filter": {"status": ["ready", "requested", "in-progress"]}})[
            "resources"
        ]:
            running.rpc("awf.task/cancel", {"id": task["id"]})


def port_of(server: Server) -> int:
    return int(server.url.rpartition(":")[2])


def test_calls_during_a_restart_of_the_database_succeed_or_get_503(
    server: Server, mortal: EmbeddedPostgres, pool: ThreadPoolExecutor
) -> None:
    server.define("outage/restart")
    statuses: Counter[int] = Counter()
    created: list[str] = []
    over = threading.Event()

    def keep_calling(caller: int) -> None:
        with Client(port_of(server)) as client:
            number = 0
            while not over.is_set():
                id = f"restart-{caller}-{number}"
                params = {"definition": "outage/restart", "id": id}
                status, _ = client.post({"method": "awf.task/create-and-execute", "params": params})
                statuses[status] += 1
                if status == 200:
                    created.append(id)
                number += 1

    callers = [pool.submit(keep_calling, caller) for caller in range(4)]

    def until_created(more: int) -> None:
        enough = len(created) + more
        until(lambda: len(created) >= enough)

    for _ in range(2):
        until_created(50)
        mortal.stop()
        mortal.start()
    until_created(50)
    over.set()
    for caller in callers:
        caller.result(PATIENCE)

    assert set(statuses) <= {200, 503}
    there = server.query("select id from fencepost.task_resources where definition = 'outage/restart'")
    assert {id for (id,) in there} >= set(created)


def test_many_calls_without_a_database_get_503_with_retry_after_in_time(
    server: Server, mortal: EmbeddedPostgres, pool: ThreadPoolExecutor
) -> None:
    mortal.stop()
    began = time.monotonic()

    def look(number: int) -> tuple[int, str | None, float]:
        body = b'{"method": "awf.task/status", "params": {"id": "%d"}}' % number
        status, headers, _ = server.send("POST", "/rpc", body, content_type="application/json")
        return status, headers.get("retry-after"), time.monotonic() - began

    answers = list(pool.map(look, range(32)))
    assert {status for status, _, _ in answers} == {503}
    assert all(retry_after is not None for _, retry_after, _ in answers)
    assert max(seconds for _, _, seconds in answers) < PATIENCE
    assert server.send("GET", "/healthz")[0] == 200
    assert server.send("GET", "/readyz")[0] == 503


def test_a_worker_that_reports_after_an_outage_keeps_its_task(server: Server, mortal: EmbeddedPostgres) -> None:
    lease = server.started()
    mortal.stop()
    over = time.monotonic() + 1.2
    until(lambda: time.monotonic() > over)
    mortal.start()

    server.reap()  # the reaper does so at once when the database is back
    assert server.task(lease["id"])["status"] == "in-progress"
    assert server.rpc("awf.task/notify", {**lease, "notification": "heartbeat"})["inProgressTimeoutAt"]
    assert server.rpc("awf.task/success", lease)["resource"]["outcome"] == "succeeded"


def test_a_worker_that_is_silent_after_an_outage_loses_its_task_after_the_grace_period(
    server: Server, mortal: EmbeddedPostgres
) -> None:
    lease = server.started()
    mortal.stop()
    mortal.start()
    until(lambda: server.task(lease["id"])["status"] == "waiting", timeout=8)
    assert server.refused("awf.task/success", lease)[:2] == (409, "exec-id-mismatch")


def test_a_worker_that_reports_after_a_restart_of_the_server_keeps_its_task(mortal: EmbeddedPostgres) -> None:
    with running_server(mortal.conninfo) as before:
        before.define("outage/own", inProgressTimeout=300)
        lease = before.started("outage/own")
    over = time.monotonic() + 0.5
    until(lambda: time.monotonic() > over)
    with running_server(mortal.conninfo) as after:
        after.reap()
        assert after.rpc("awf.task/success", lease)["resource"]["outcome"] == "succeeded"


def test_servers_receive_notifications_of_each_other_again_after_an_outage(
    server: Server, mortal: EmbeddedPostgres, pool: ThreadPoolExecutor
) -> None:
    with running_server(mortal.conninfo) as other:
        mortal.stop()
        mortal.start()
        listening = "select count(*) from pg_stat_activity where query ilike 'listen fencepost'"
        until(lambda: server.query(listening) == [(2,)])
        waits = []
        for _ in range(3):
            wanted = {"taskDefinitions": ["demo/resize"], "timeout": 10_000}
            poll = pool.submit(server.rpc, "awf.task/long-poll", wanted)
            until(lambda: server.app.waiting_polls == 1)
            began = time.monotonic()
            id = other.create()["id"]
            assert [task["id"] for task in poll.result(10)["resources"]] == [id]
            waits.append(time.monotonic() - began)
        assert min(waits) < 0.2


def test_a_long_poll_during_an_outage_gets_a_task_or_503(
    server: Server, mortal: EmbeddedPostgres, pool: ThreadPoolExecutor
) -> None:
    wanted = {"taskDefinitions": ["demo/resize"], "timeout": 20_000}
    poll = pool.submit(server.post, {"method": "awf.task/long-poll", "params": wanted})
    until(lambda: server.app.waiting_polls == 1)
    mortal.stop()
    mortal.start()
    id = server.create()["id"]
    status, answer = poll.result(PATIENCE)
    assert status == 503 or [task["id"] for task in answer["result"]["resources"]] == [id]
