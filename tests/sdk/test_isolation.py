"""Isolation: a task with lost last attempts runs alone in its worker."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from datetime import timedelta
from typing import Any

import pytest

from fencepost_sdk import Client, Worker
from tests.fixtures.servers import Server
from tests.fixtures.waiting import until
from tests.sdk.conftest import Run

pytestmark = pytest.mark.shows("guarantees/deadly-task-alone")


def marks(server: Server) -> list[tuple[Any, ...]]:
    """Return the marks of the tasks of `demo/alone` that live."""
    return server.query("select lost_attempts from fencepost.live_tasks where definition = 'demo/alone'")


def lost(server: Server, number: int = 1) -> list[str]:
    """Return ready tasks of `demo/alone`, as they are after an attempt that was lost to silence."""
    server.define("demo/alone")
    ids = [server.create("demo/alone", params={"n": each})["id"] for each in range(number)]
    server.query("update fencepost.live_tasks set lost_attempts = 1 where definition = 'demo/alone'")
    assert marks(server) == [(1,)] * number
    return ids


class Running:
    """Handlers of both kinds that count who runs beside them."""

    def __init__(self, worker: Worker) -> None:
        self.now: set[str] = set()
        self.beside: list[set[str]] = []
        self.enough = threading.Event()
        self.done: list[str] = []
        worker.task("demo/alone")(self.alone)
        worker.task("demo/usual")(self.usual)

    def alone(self, params: dict[str, int]) -> None:
        self.beside.append(set(self.now))
        self.now.add("alone")
        threading.Event().wait(0.1)
        self.now.discard("alone")
        self.done.append("alone")

    def usual(self, params: dict[str, Any]) -> None:
        name = str(params["name"])
        self.beside.append({one for one in self.now if one == "alone"})
        self.now.add(name)
        if params.get("waits"):
            self.enough.wait(30)
        self.now.discard(name)
        self.done.append(name)


@pytest.mark.parametrize("concurrency", [1, 100])
@pytest.mark.parametrize("prefetch", [0, 10])
def test_isolated_tasks_run_one_at_a_time_and_other_tasks_are_done(
    server: Server, client: Client, run: Run, concurrency: int, prefetch: int
) -> None:
    server.define("demo/usual")
    ids = lost(server, 3)
    others = [client.create("demo/usual", {"name": str(number)}) for number in range(20)]
    worker = Worker(server.url, concurrency=concurrency, prefetch=prefetch)
    running = Running(worker)
    run(worker)
    for id in [*ids, *(task.id for task in others)]:
        client.result(id, timeout=30)
    assert set.union(*running.beside) == set()
    assert {server.task(id)["retryCount"] for id in ids} == {1}


def test_an_isolated_task_waits_for_running_handlers_and_blocks_others(
    server: Server, client: Client, run: Run
) -> None:
    server.define("demo/usual")
    worker = Worker(server.url, concurrency=10)
    running = Running(worker)
    first = client.create("demo/usual", {"name": "first", "waits": True})
    (id,) = lost(server)
    run(worker)
    until(lambda: server.task(id)["status"] == "in-progress")
    second = client.create("demo/usual", {"name": "second"})
    until(lambda: server.app.waiting_polls == 0)
    assert running.done == []
    running.enough.set()
    client.result(second, timeout=20)
    assert running.done == ["first", "alone", "second"]
    assert set.union(*running.beside) == set()
    assert server.task(first.id)["outcome"] == "succeeded"


def test_a_long_handler_beside_a_waiting_isolated_task_leaves_slots_to_others(
    server: Server, client: Client, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fencepost_sdk.isolation.IDLE_WAIT_SECONDS", 0.2)
    monkeypatch.setattr("fencepost_sdk.isolation.WORK_SECONDS", 0.2)
    server.define("demo/usual")
    worker = Worker(server.url, concurrency=10)
    running = Running(worker)
    client.create("demo/usual", {"name": "long", "waits": True})
    (id,) = lost(server)
    run(worker)
    until(lambda: server.task(id)["status"] == "in-progress")
    for number in range(5):
        client.result(client.create("demo/usual", {"name": str(number)}), timeout=20)
    assert "alone" not in running.done
    running.enough.set()
    client.result(id, timeout=20)
    assert set.union(*running.beside) == set()


@pytest.mark.parametrize("how", ["stop", "wait"])
def test_an_isolated_task_that_waits_too_long_is_released_with_its_mark(
    server: Server, client: Client, run: Run, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr("fencepost_sdk.isolation.MAX_WAIT_SECONDS", 3600.0 if how == "stop" else 0.2)
    server.define("demo/usual")
    worker = Worker(server.url, concurrency=2, drain_timeout=timedelta(seconds=10))
    running = Running(worker)
    client.create("demo/usual", {"name": "long", "waits": True})
    (id,) = lost(server)
    one = run(worker)
    until(lambda: server.task(id)["status"] == "in-progress")
    if how == "stop":
        worker.stop()
    until(lambda: "awf.task/release" in [entry["action"] for entry in server.log(id)])
    running.enough.set()
    if how == "wait":
        client.result(id, timeout=20)
    one.stop()
    # A worker that goes on may have been given it again, and then it has run.
    assert marks(server) == [] if how == "wait" else marks(server) == [(1,)]
    assert server.task(id).get("retryCount", 0) == (1 if how == "wait" else 0)


def work(url: str) -> None:
    """Run a worker in a process of its own that one of its tasks kills."""
    worker = Worker(url, concurrency=10)
    together = threading.Barrier(10)

    @worker.task("demo/poison")
    def handle(params: dict[str, bool]) -> dict[str, bool]:
        try:
            together.wait(1)
        except threading.BrokenBarrierError:
            together.reset()
        if params["poison"]:
            os.kill(os.getpid(), signal.SIGKILL)
        return {"fine": True}

    worker.run()


def test_a_task_that_kills_its_worker_fails_and_its_neighbours_succeed(server: Server, client: Client) -> None:
    server.define("demo/poison", inProgressTimeout=1000, retryDelay=100, allowedRetryCount=2)
    ids = client.create_many("demo/poison", [{"poison": number == 4} for number in range(10)])
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=work, args=(server.url,))
    process.start()

    def done() -> bool:
        nonlocal process
        if not process.is_alive():
            process = context.Process(target=work, args=(server.url,))
            process.start()
        return all(client.status(id).task.status == "done" for id in ids)

    try:
        until(done, timeout=90)
    finally:
        process.kill()
        process.join(10)
    outcomes = [client.status(id).task.outcome for id in ids]
    assert outcomes == ["failed" if number == 4 else "succeeded" for number in range(10)]
