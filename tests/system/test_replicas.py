"""Several servers on one database: no task is lost or done twice, and each server serves tasks of the others."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.fixtures.processes import Client, Process, serving
from tests.fixtures.two_servers import TwoServers
from tests.fixtures.waiting import until
from tests.system.load import DEFINITION, Load

KILLS = 3
FOREIGN_PAYLOADS = [
    *("", "x", "[]", "null", "{}", '{"from": 1}', '{"from": "x", "ready": [], "definitions": {}}'),
    *('{"from": "x", "ready": {"demo/resize": "many"}, "definitions": []}', "[" * 2000),
    *('{"from": "x", "ready": {"demo/resize": -1, "demo/none": 1e99}, "definitions": [[], null]}', "{" * 2000),
    '{"from": "x", "ready": {}, "definitions": [], "further": 1}',
]


@pytest.fixture
def replicas(database: str, tmp_path: Any) -> Iterator[list[Process]]:
    """Two server processes on one database."""
    arguments = ("--database-url", database, "--lease-grace", "0.5")
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    with serving(tmp_path / "one", *arguments) as one, serving(tmp_path / "other", *arguments) as other:
        with Client(one.port) as client:
            times = {"requestedToStartTimeout": 1000, "inProgressTimeout": 1500, "retryDelay": 100}
            definition = {"kind": "task", "name": DEFINITION, "allowedRetryCount": 1000, **times}
            client.call("awf.definition/put", definition)
        yield [one, other]


def test_clients_that_switch_to_the_other_server_lose_nothing_when_one_is_killed(replicas: list[Process]) -> None:
    load = Load(*(process.port for process in replicas))
    with load.running(creators=2, workers=4):
        for number in range(KILLS):
            load.until_finished(100)
            replicas[number % 2].kill()
            replicas[number % 2].start()
    load.check()
    assert load.retries >= KILLS, "the kills interrupted no call"


def test_two_servers_can_start_at_once_on_an_empty_database(empty_database: str, tmp_path: Any) -> None:
    processes = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        processes.append(Process(tmp_path / name, "--database-url", empty_database))
    try:
        for process in processes:
            process.start(wait=False)
        for process in processes:
            process.until_ready()
            with Client(process.port) as client:
                assert client.call("awf.task/list", {}) == {"resources": []}
    finally:
        for process in processes:
            process.stop()


def test_a_poll_at_one_server_is_woken_by_a_task_created_at_the_other(
    servers: TwoServers, pool: ThreadPoolExecutor
) -> None:
    """The fallback poller needs up to a second; the quickest of five wake-ups must be much faster."""
    waits = []
    for _ in range(5):
        waiting = {"taskDefinitions": ["demo/resize"], "timeout": 10_000}
        poll = pool.submit(servers.one.rpc, "awf.task/long-poll", waiting)
        until(lambda: servers.one.app.waiting_polls == 1)
        began = time.monotonic()
        id = servers.other.create()["id"]
        assert [task["id"] for task in poll.result(10)["resources"]] == [id]
        waits.append(time.monotonic() - began)
    assert min(waits) < 0.2


def test_a_definition_changed_at_one_server_applies_at_the_other_at_once(servers: TwoServers) -> None:
    assert servers.one.create()["inProgressTimeout"] == servers.other.create()["inProgressTimeout"] == 120_000
    servers.other.define(inProgressTimeout=5000)
    assert servers.one.create()["inProgressTimeout"] == 5000
    servers.other.rpc("awf.task/list")
    for task in servers.one.rpc("awf.task/list")["resources"]:
        servers.one.rpc("awf.task/cancel", {"id": task["id"]})
    servers.other.rpc("awf.definition/delete", {"name": "demo/resize"})
    assert servers.one.refused("awf.task/create-and-execute", {"definition": "demo/resize"})[:2] == (
        404,
        "definition-not-found",
    )


def test_foreign_payloads_on_the_notification_channel_are_ignored(
    servers: TwoServers, pool: ThreadPoolExecutor
) -> None:
    waiting = {"taskDefinitions": ["demo/resize"], "timeout": 10_000}
    poll = pool.submit(servers.one.rpc, "awf.task/long-poll", waiting)
    until(lambda: servers.one.app.waiting_polls == 1)
    for payload in FOREIGN_PAYLOADS:
        servers.one.query(f"notify fencepost, '{payload}'")
    began = time.monotonic()
    id = servers.other.create()["id"]
    assert [task["id"] for task in poll.result(10)["resources"]] == [id]
    assert time.monotonic() - began < 0.9, "the listener has ended: only the fallback poller found the task"
