from __future__ import annotations

import asyncio
import threading
from datetime import timedelta

import pytest

from fencepost_sdk import Client, Context, LostLease, Worker
from tests.fixtures.servers import Server
from tests.fixtures.waiting import until
from tests.sdk.conftest import Run

SHORT = timedelta(milliseconds=600)


def actions(server: Server, id: str) -> list[str]:
    return [entry["action"] for entry in server.log(id)]


def test_heartbeats_let_a_handler_run_longer_than_the_timeout(server: Server, client: Client, run: Run) -> None:
    server.define("demo/slow", inProgressTimeout=300, allowedRetryCount=0)
    worker = Worker(server.url)
    enough = threading.Event()

    @worker.task("demo/slow")
    def slow() -> dict[str, bool]:
        return {"released": enough.wait(20)}

    run(worker)
    task = client.create("demo/slow")
    until(lambda: actions(server, task.id).count("awf.task/notify") >= 5)
    enough.set()
    assert client.result(task, timeout=10) == {"released": True}


def test_heartbeats_of_several_tasks_share_a_request(server: Server, client: Client, run: Run) -> None:
    server.define("demo/slow", inProgressTimeout=900)
    worker = Worker(server.url, concurrency=10)
    enough = threading.Event()
    worker.task("demo/slow")(lambda: enough.wait(20) and None)
    tasks = [client.create("demo/slow") for _ in range(10)]
    run(worker)
    until(lambda: all("awf.task/notify" in actions(server, task.id) for task in tasks))
    enough.set()
    for task in tasks:
        client.result(task, timeout=10)


@pytest.mark.parametrize("kind", ["async", "sync"])
def test_progress_and_messages_are_written_to_the_log(server: Server, client: Client, run: Run, kind: str) -> None:
    server.define("demo/tells")
    worker = Worker(server.url)

    def tell(ctx: Context) -> None:
        ctx.heartbeat("warming up")
        ctx.progress(1, 3, "pages")
        ctx.progress(2, 3, "pages")

    async def tell_async(ctx: Context) -> None:
        tell(ctx)

    worker.task("demo/tells")(tell if kind == "sync" else tell_async)
    run(worker)
    task = client.create("demo/tells")
    client.result(task, timeout=10)
    notifications = [entry["action-params"] for entry in server.log(task.id) if entry["action"] == "awf.task/notify"]
    assert [note.get("message") for note in notifications if note["notification"] == "heartbeat"] == ["warming up"]
    assert [note for note in notifications if note["notification"] == "progress"][-1] == {
        "notification": "progress",
        "progress-current": 2,
        "progress-total": 3,
        "progress-unit": "pages",
    }
    assert actions(server, task.id)[-1] == "awf.task/success"


def test_progress_is_seen_while_the_handler_runs(server: Server, client: Client, run: Run) -> None:
    server.define("demo/tells")
    worker = Worker(server.url)
    enough = threading.Event()

    @worker.task("demo/tells")
    def tell(ctx: Context) -> None:
        ctx.progress(1)
        enough.wait(20)

    run(worker)
    task = client.create("demo/tells")
    until(lambda: "awf.task/notify" in actions(server, task.id))
    enough.set()
    client.result(task, timeout=10)


def test_a_canceled_task_stops_its_async_handler(server: Server, client: Client, run: Run) -> None:
    server.define("demo/endless", inProgressTimeout=600)
    worker = Worker(server.url, concurrency=1)
    stopped = threading.Event()

    @worker.task("demo/endless")
    async def endless() -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            stopped.set()
            raise

    run(worker)
    task = client.create("demo/endless")
    until(lambda: server.task(task.id)["status"] == "in-progress")
    client.cancel(task)
    assert stopped.wait(10)
    # The slot is free again, and the next one begins.
    second = client.create("demo/endless")
    until(lambda: server.task(second.id)["status"] == "in-progress")
    client.cancel(second)


def test_a_canceled_task_signals_its_sync_handler_and_drops_its_outcome(
    server: Server, client: Client, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    server.define("demo/endless", inProgressTimeout=600)
    worker = Worker(server.url)
    seen: list[str] = []

    @worker.task("demo/endless")
    def endless(ctx: Context) -> dict[str, bool]:
        if ctx.cancelled.wait(20):
            seen.append("told")
        try:
            ctx.check()
        except LostLease:
            seen.append("checked")
        return {"late": True}

    with caplog.at_level("INFO", "fencepost_sdk"):
        run(worker)
        task = client.create("demo/endless")
        until(lambda: server.task(task.id)["status"] == "in-progress")
        client.cancel(task)
        until(lambda: "the outcome of the handler is dropped" in caplog.text)
    assert seen == ["told", "checked"]
    assert server.task(task.id)["outcome"] == "canceled"


def test_a_handler_is_stopped_when_its_lease_is_lost(server: Server, client: Client, run: Run) -> None:
    server.define("demo/endless", inProgressTimeout=900)
    worker = Worker(server.url)
    told = threading.Event()

    @worker.task("demo/endless")
    def endless(ctx: Context) -> None:
        if ctx.task.retry_count == 1 and ctx.cancelled.wait(20):
            told.set()

    run(worker)
    task = client.create("demo/endless")
    until(lambda: server.task(task.id)["status"] == "in-progress")
    held = server.task(task.id)
    # Somebody with the same fence hands it back behind the worker's back; the next heartbeat finds another one.
    server.rpc("awf.task/release", {"id": task.id, "execId": held["execId"]})
    assert told.wait(10)
    until(lambda: server.task(task.id)["status"] == "in-progress")
    client.cancel(task)
