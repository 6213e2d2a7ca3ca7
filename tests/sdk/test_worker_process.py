"""A worker as a process: signals, and no chance to say goodbye."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fencepost_sdk import Client
from tests.fixtures.servers import Server
from tests.fixtures.waiting import until

Spawn = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def spawn(server: Server) -> Iterator[Spawn]:
    """Start worker processes that do not outlive the test."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(kind: str = "async", name: str = "first", prefetch: int = 0) -> subprocess.Popen[bytes]:
        script = Path(__file__).with_name("worker_process.py")
        environment = {**os.environ, "FENCEPOST_URL": server.url}
        processes.append(subprocess.Popen([sys.executable, str(script), kind, name, str(prefetch)], env=environment))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait(10)


def begun(server: Server, tasks: list[Any]) -> int:
    """Count the tasks with a handler that has reported its start."""
    said = [[entry.get("action-params", {}).get("message") for entry in server.log(task.id)] for task in tasks]
    return sum("begun" in messages for messages in said)


def states(server: Server, tasks: list[Any]) -> list[str]:
    return [server.task(task.id)["status"] for task in tasks]


def test_sigterm_lets_a_worker_finish_running_tasks_and_leave_the_rest(
    server: Server, client: Client, spawn: Spawn
) -> None:
    server.define("demo/work")
    tasks = [client.create("demo/work", {"seconds": 1.0}) for _ in range(4)]
    process = spawn()
    until(lambda: begun(server, tasks) == 2)
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert sorted(states(server, tasks)) == ["done", "done", "ready", "ready"]
    assert {server.task(task.id).get("retryCount", 0) for task in tasks} == {0, 1}


@pytest.mark.parametrize("kind", ["async", "sync"])
def test_a_second_signal_ends_a_worker_at_once_and_releases_running_tasks(
    server: Server, client: Client, spawn: Spawn, kind: str
) -> None:
    server.define("demo/work")
    tasks = [client.create("demo/work", {"seconds": 600}) for _ in range(2)]
    process = spawn(kind)
    until(lambda: begun(server, tasks) == 2)
    process.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    asked = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0
    assert time.monotonic() - asked < 5
    assert states(server, tasks) == ["ready"] * 2


def test_tasks_of_a_killed_worker_are_done_by_another_after_the_timeout(
    server: Server, client: Client, spawn: Spawn
) -> None:
    server.define("demo/work", inProgressTimeout=1000, retryDelay=0)
    task = client.create("demo/work", {"seconds": 2.0})
    first = spawn(name="first")
    until(lambda: server.task(task.id).get("worker") == "first")
    first.kill()
    spawn(name="second")
    assert client.result(task, timeout=30) == {"by": "second"}
    assert server.task(task.id)["retryCount"] == 2
    assert "awf.engine/timeout" in [entry["action"] for entry in server.log(task.id)]


def test_prefetched_tasks_of_a_killed_worker_cost_an_attempt(server: Server, client: Client, spawn: Spawn) -> None:
    server.define("demo/work", inProgressTimeout=1000, retryDelay=0)
    tasks = [client.create("demo/work", {"seconds": 2.0}) for _ in range(4)]
    first = spawn(name="first", prefetch=2)
    until(lambda: all(server.task(task.id).get("worker") == "first" for task in tasks))
    until(lambda: begun(server, tasks) == 2)
    first.kill()
    spawn(name="second")
    assert [client.result(task, timeout=30) for task in tasks] == [{"by": "second"}] * 4
    assert [server.task(task.id)["retryCount"] for task in tasks] == [2] * 4
