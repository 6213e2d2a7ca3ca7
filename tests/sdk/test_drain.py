"""Stopping a worker: no task is lost or kept leased, and no task waits for a timeout."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import timedelta
from typing import Any

import pytest

from fencepost_sdk import Client, Context, LostLease, Worker
from tests.fixtures.faulty_proxy import FaultyProxy
from tests.fixtures.servers import Server
from tests.fixtures.waiting import until
from tests.sdk.conftest import Run


class Endless:
    """A handler that sleeps until it is canceled, and records its start and its end."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.over = threading.Event()

    async def __call__(self) -> None:
        self.begun.set()
        try:
            await asyncio.sleep(3600)
        finally:
            self.over.set()


class Patient:
    """A sync handler that runs until the test releases it."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.enough = threading.Event()

    def __call__(self) -> dict[str, bool]:
        self.begun.release()
        return {"done": self.enough.wait(20)}


def test_a_drain_waits_for_running_handlers_and_takes_no_more(server: Server, client: Client, run: Run) -> None:
    server.define("demo/long")
    worker = Worker(server.url, concurrency=1)
    patient = Patient()
    worker.task("demo/long")(patient)
    one = run(worker)
    first = client.create("demo/long")
    assert patient.begun.acquire(timeout=10)
    second = client.create("demo/long")
    worker.stop()
    patient.enough.set()
    one.stop()
    assert server.task(first.id)["result"] == {"done": True}
    assert server.task(second.id)["status"] == "ready"


def test_an_idle_worker_stops_at_once_during_its_long_poll(server: Server, run: Run) -> None:
    server.define("demo/idle")
    worker = Worker(server.url)
    worker.task("demo/idle")(lambda: None)
    one = run(worker)
    until(lambda: server.app.waiting_polls == 1)
    begun = time.monotonic()
    one.stop()
    assert time.monotonic() - begun < 2
    until(lambda: server.app.waiting_polls == 0)


def test_tasks_of_a_cut_long_poll_are_released_at_once(
    server: Server, proxy: FaultyProxy, client: Client, run: Run
) -> None:
    server.define("demo/given")
    worker = Worker(proxy.url, concurrency=5)
    calls: list[Any] = []
    worker.task("demo/given")(lambda params: calls.append(params))
    answer_with = proxy.hold_reply("awf.task/long-poll")
    one = run(worker)
    until(lambda: proxy.requests)
    tasks = [client.create("demo/given") for _ in range(3)]
    # The server has leased them and answered; the answer is on the way when the worker is stopped.
    assert answer_with.arrived.wait(10)
    assert "in-progress" in [server.task(task.id)["status"] for task in tasks]
    one.stop()
    for task in tasks:
        now = server.task(task.id)
        assert (now["status"], now.get("retryCount", 0)) == ("ready", 0)
    assert calls == []


def test_a_handler_that_outlasts_the_drain_is_canceled_and_its_task_released(
    server: Server, client: Client, run: Run
) -> None:
    server.define("demo/endless")
    worker = Worker(server.url, drain_timeout=timedelta(milliseconds=50))
    endless = Endless()
    worker.task("demo/endless")(endless)
    one = run(worker)
    task = client.create("demo/endless")
    assert endless.begun.wait(10)
    one.stop()
    assert endless.over.is_set()
    now = server.task(task.id)
    assert (now["status"], now.get("retryCount", 0)) == ("ready", 0)
    assert server.log(task.id)[-1]["action"] == "awf.task/release"


def test_a_stuck_sync_handler_is_signaled_and_does_not_delay_the_drain(
    server: Server, client: Client, run: Run
) -> None:
    server.define("demo/stuck")
    worker = Worker(server.url, drain_timeout=timedelta(milliseconds=50))
    begun = threading.Event()
    told = threading.Event()

    @worker.task("demo/stuck")
    def stuck(ctx: Context) -> None:
        begun.set()
        while True:
            try:
                ctx.check()
            except LostLease:
                told.set()
                raise
            ctx.cancelled.wait(0.01)

    one = run(worker)
    task = client.create("demo/stuck")
    assert begun.wait(10)
    one.stop()
    assert told.wait(10)
    assert server.task(task.id)["status"] == "ready"


def test_a_stop_at_once_releases_running_tasks_without_waiting(server: Server, client: Client, run: Run) -> None:
    server.define("demo/endless")
    worker = Worker(server.url)
    endless = Endless()
    worker.task("demo/endless")(endless)
    one = run(worker)
    task = client.create("demo/endless")
    assert endless.begun.wait(10)
    begun = time.monotonic()
    one.stop(at_once=True)
    assert time.monotonic() - begun < 5
    assert server.task(task.id)["status"] == "ready"


def test_the_last_finishes_of_a_drain_are_repeated_after_lost_replies(
    server: Server, proxy: FaultyProxy, client: Client, run: Run
) -> None:
    server.define("demo/long")
    worker = Worker(proxy.url, concurrency=3)
    patient = Patient()
    worker.task("demo/long")(patient)
    one = run(worker)
    tasks = [client.create("demo/long") for _ in range(3)]
    assert all(patient.begun.acquire(timeout=10) for _ in tasks)
    lost = proxy.lose_reply("awf.task/success", times=2)
    worker.stop()
    patient.enough.set()
    one.stop()
    assert lost.hits == 2
    assert [server.task(task.id)["outcome"] for task in tasks] == ["succeeded"] * 3


def test_heartbeats_continue_during_a_drain(server: Server, client: Client, run: Run) -> None:
    server.define("demo/long", inProgressTimeout=300, allowedRetryCount=0)
    worker = Worker(server.url)
    patient = Patient()
    worker.task("demo/long")(patient)
    one = run(worker)
    task = client.create("demo/long")
    assert patient.begun.acquire(timeout=10)
    worker.stop()
    told = len(server.log(task.id))
    until(lambda: len(server.log(task.id)) >= told + 4)
    patient.enough.set()
    one.stop()
    assert server.task(task.id)["outcome"] == "succeeded"


def test_a_worker_stops_while_its_server_is_unreachable(
    server: Server,
    proxy: FaultyProxy,
    client: Client,
    run: Run,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fencepost_sdk.session.LAST_REQUEST_SECONDS", 0.3)
    server.define("demo/endless")
    worker = Worker(proxy.url, drain_timeout=timedelta(milliseconds=50))
    endless = Endless()
    worker.task("demo/endless")(endless)
    one = run(worker)
    client.create("demo/endless")
    assert endless.begun.wait(10)
    proxy.go_down()
    one.stop()
    assert "stops with 1 unacknowledged finishes" in caplog.text


def test_a_stopped_worker_can_run_again(server: Server, client: Client, run: Run) -> None:
    server.define("demo/again")
    worker = Worker(server.url)
    worker.task("demo/again")(lambda: None)
    for _ in range(2):
        one = run(worker)
        client.result(client.create("demo/again"), timeout=10)
        one.stop()
