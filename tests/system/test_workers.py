"""`--workers N`: several processes on one port keep the guarantees of one server."""

from __future__ import annotations

import base64
import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.fixtures.process_tree import command_line, descendants, holder, is_alive, workers
from tests.fixtures.processes import Client, Process, serving
from tests.fixtures.waiting import until
from tests.system.load import DEFINITION, Load

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

SECONDS_TO_END = 10
SECRET = "a-secret-that-nobody-may-see"
KILLS = 3


@pytest.fixture
def server(database: str, tmp_path: Path) -> Iterator[Process]:
    """A server with two workers."""
    arguments = ("--workers", "2", "--database-url", database, "--lease-grace", "0.5")
    with serving(tmp_path, *arguments) as process:
        with Client(process.port) as client:
            times = {"requestedToStartTimeout": 1000, "inProgressTimeout": 1500, "retryDelay": 100}
            definition = {"kind": "task", "name": DEFINITION, "allowedRetryCount": 1000, **times}
            client.call("awf.definition/put", definition)
        yield process


def one_each(process: Process, opened: ExitStack) -> dict[int, HTTPConnection]:
    """Return a connection to each worker."""
    connections: dict[int, HTTPConnection] = {}
    pids = workers(process.pid)

    def has_one_each() -> bool:
        connection = opened.enter_context(closing(HTTPConnection("127.0.0.1", process.port, timeout=20)))
        connection.connect()
        connections[until_held(connection, pids)] = connection
        return len(connections) == len(pids)

    until(has_one_each)
    return connections


def until_held(connection: HTTPConnection, pids: list[int]) -> int:
    """Wait until one of the processes has accepted a connection, and return its pid."""
    until(lambda: holder(connection, pids) is not None)
    return holder(connection, pids) or 0


def call(connection: HTTPConnection, method: str, params: dict[str, Any]) -> Any:
    """Call on this connection and return the result."""
    send(connection, method, params)
    return result(connection)


def send(connection: HTTPConnection, method: str, params: dict[str, Any]) -> None:
    body = orjson.dumps({"method": method, "params": params})
    connection.request("POST", "/rpc", body, {"content-type": "application/json"})


def result(connection: HTTPConnection) -> Any:
    return orjson.loads(connection.getresponse().read())["result"]


def test_a_create_at_one_worker_process_wakes_a_poll_at_another(server: Process) -> None:
    """The fallback poller needs up to a second; the quickest of five wake-ups must be much faster."""
    waits = []
    with ExitStack() as opened:
        one, other = one_each(server, opened).values()
        for _ in range(5):
            send(one, "awf.task/long-poll", {"taskDefinitions": [DEFINITION], "timeout": 10_000})
            began = time.monotonic()
            id = call(other, "awf.task/create-and-execute", {"definition": DEFINITION})["resource"]["id"]
            (task,) = result(one)["resources"]
            waits.append(time.monotonic() - began)
            assert task["id"] == id
            call(other, "awf.task/cancel", {"id": id})
    assert min(waits) < 0.3


def test_connections_are_spread_over_all_worker_processes_and_a_second_server_is_refused(
    server: Process, database: str
) -> None:
    command = [sys.executable, "-m", "fencepost", "serve", "--port", str(server.port), "--workers", "2"]
    done = subprocess.run([*command, "--database-url", database], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.strip().splitlines()[-1].startswith("fencepost: cannot listen on 127.0.0.1:")

    pids = workers(server.pid)
    with ExitStack() as opened:
        connections = [opened.enter_context(closing(HTTPConnection("127.0.0.1", server.port))) for _ in range(64)]
        holders = []
        for connection in connections:
            # Looked up at once: the server closes a connection that sends no request for 20 seconds.
            connection.connect()
            holders.append(until_held(connection, pids))
    # The kernel distributes connections at random: fewer than 12 of 64 for one of two workers is one in ten million.
    assert min(holders.count(pid) for pid in pids) >= 12


def until_replaced(process: Process, before: list[int]) -> None:
    """Wait until there is a worker process that is not in `before`."""
    until(lambda: {*workers(process.pid)} - {*before})


def test_killed_worker_processes_are_replaced_and_no_task_is_lost_or_done_twice(server: Process) -> None:
    load = Load(server.port)
    with load.running(creators=3, workers=5):
        for number in range(KILLS):
            load.until_finished(100)
            before = workers(server.pid)
            killed = before[number % 2]
            os.kill(killed, signal.SIGKILL)
            until_replaced(server, before)
        load.until_finished(100)
    load.check()
    assert server.said.count("worker-died: ") == KILLS
    assert "ended with status -9; starting another" in server.said
    assert server.status is None


def test_sigterm_answers_waiting_polls_at_every_worker_process_and_ends_with_status_0(server: Process) -> None:
    family = {server.pid, *descendants(server.pid)}
    with ExitStack() as opened:
        connections = one_each(server, opened).values()
        for connection in connections:
            # Polls for one definition are served in order: when later polls were answered, this one is waiting.
            send(connection, "awf.task/long-poll", {"taskDefinitions": ["demo/none"], "timeout": 60_000})
        for connection in one_each(server, opened).values():
            for _ in range(20):
                call(connection, "awf.task/poll", {"taskDefinitions": ["demo/none"]})
        began = time.monotonic()
        server.terminate()
        assert server.wait(SECONDS_TO_END) == 0
        assert time.monotonic() - began < SECONDS_TO_END
        assert [result(connection) for connection in connections] == [{"resources": []}] * 2
    assert not any(is_alive(pid) for pid in family)


def test_a_hanging_worker_process_does_not_keep_the_server_from_stopping(server: Process) -> None:
    (hung, _) = workers(server.pid)
    os.kill(hung, signal.SIGSTOP)
    server.terminate()
    assert server.wait(SECONDS_TO_END) == 0
    assert not is_alive(hung)


def test_a_server_with_workers_applies_definitions_once_hides_secrets_and_leaves_no_process(
    open_folder: Path, tmp_path: Path
) -> None:
    """The server has its own Postgres."""
    definitions = tmp_path / "resize.yaml"
    definitions.write_text("kind: task\nname: demo/resize\n")
    clients = tmp_path / "clients"
    clients.write_text(f"importer:{SECRET}\n")
    data = str(open_folder / "workers" / "data")
    files = ("--client-file", str(clients), "--definitions", str(definitions))
    with serving(tmp_path, "--workers", "2", "--data-dir", data, *files) as process:
        assert process.said.count("definition-applied: ") == 1
        family = descendants(process.pid)
        assert len(workers(process.pid)) == 2
        assert any(b"postgres" in command_line(pid) for pid in family)
        assert [pid for pid in family if SECRET.encode() in command_line(pid)] == []
        assert (status(process.port, None), status(process.port, SECRET)) == (401, 200)
        process.kill()
        until(lambda: not any(is_alive(pid) for pid in family), timeout=SECONDS_TO_END)


def status(port: int, secret: str | None) -> int:
    """Return the status of a call with or without a client's credentials."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        basic = base64.b64encode(f"importer:{secret}".encode()).decode()
        headers = {"content-type": "application/json"} | ({} if secret is None else {"authorization": f"Basic {basic}"})
        connection.request("POST", "/rpc", b'{"method": "awf.task/list"}', headers)
        return connection.getresponse().status
