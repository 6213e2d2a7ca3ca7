"""Handlers do not harm their neighbours: neither by any exception, nor by threads that they leave running."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from fencepost_sdk import Client, Context, Event, Facts, TaskFailed, Worker, WorkflowFailed
from fencepost_sdk.failures import task_error
from tests.fixtures.servers import Server
from tests.fixtures.waiting import until
from tests.sdk.conftest import Run

pytestmark = pytest.mark.shows("guarantees/handler-alone")


class Mute(Exception):
    """An exception that cannot be printed."""

    def __str__(self) -> str:
        raise KeyboardInterrupt


RAISED: dict[str, Callable[[], BaseException]] = {
    "KeyboardInterrupt": KeyboardInterrupt,
    "SystemExit": lambda: SystemExit(3),
    "CancelledError": asyncio.CancelledError,
    "GeneratorExit": GeneratorExit,
    "StopIteration": lambda: StopIteration(1),
    "StopAsyncIteration": StopAsyncIteration,
    "BaseExceptionGroup": lambda: BaseExceptionGroup("both", [KeyboardInterrupt(), SystemExit()]),
    "RecursionError": RecursionError,
    "MemoryError": MemoryError,
    "Mute": Mute,
    "ValueError": lambda: ValueError("x" * 10_000_000),
    "UnicodeError": lambda: UnicodeError("\ud800 and \0"),
    "TaskFailed": lambda: TaskFailed({"mean": float("nan")}),
}
# The types that asyncio and the SDK turn some of them into.
TYPES = {"StopIteration": "RuntimeError", "TaskFailed": "error-not-json"}


def raising(params: dict[str, str]) -> None:
    if params["what"] in RAISED:
        raise RAISED[params["what"]]()


@pytest.mark.parametrize("kind", ["async", "sync"])
def test_any_exception_of_a_handler_fails_its_task_alone(server: Server, client: Client, run: Run, kind: str) -> None:
    worker = Worker(server.url, concurrency=3)

    async def raising_async(params: dict[str, str]) -> None:
        raising(params)

    worker.task("demo/raises", allowed_retry_count=0)(raising if kind == "sync" else raising_async)
    one = run(worker)
    until(lambda: server.rpc("awf.definition/list")["resources"])
    tasks = {what: client.create("demo/raises", {"what": what}) for what in RAISED}
    for what, task in tasks.items():
        with pytest.raises(TaskFailed) as caught:
            client.result(task, timeout=30)
        assert caught.value.error is not None
        assert caught.value.error["type"] == TYPES.get(what, what)
        assert len(str(caught.value.error)) < 20_000
    assert client.result(client.create("demo/raises", {"what": "nothing"}), timeout=10) is None
    assert one.error is None


@pytest.mark.parametrize("what", ["KeyboardInterrupt", "SystemExit", "CancelledError", "Mute", "GeneratorExit"])
def test_any_exception_of_a_decider_fails_its_decision_alone(
    server: Server, client: Client, run: Run, what: str
) -> None:
    worker = Worker(server.url)

    @worker.workflow("demo/flow", allowed_retry_count=0)
    def decide(workflow: Facts[dict[str, str]], event: Event) -> None:
        raising(workflow.params)

    worker.task("demo/fine", declare=True)(lambda: {"fine": True})
    run(worker)
    until(lambda: len(server.rpc("awf.definition/list")["resources"]) == 2)
    with pytest.raises(WorkflowFailed):
        client.workflow_result(client.create_workflow("demo/flow", {"what": what}), timeout=20)
    assert client.result(client.create("demo/fine"), timeout=10) == {"fine": True}


@pytest.mark.parametrize("what", ["KeyboardInterrupt", "SystemExit"])
def test_an_exception_in_an_asyncio_task_of_a_handler_does_not_end_the_worker(
    server: Server, client: Client, run: Run, what: str
) -> None:
    worker = Worker(server.url)

    async def child() -> None:
        raise RAISED[what]()

    @worker.task("demo/parent", allowed_retry_count=0)
    async def parent(params: dict[str, bool]) -> dict[str, bool]:
        one = asyncio.create_task(child())
        if params["awaits"]:
            await one
        await asyncio.wait((one,))
        return {"raised": type(one.exception()).__name__ == what}

    run(worker)
    until(lambda: server.rpc("awf.definition/list")["resources"])
    with pytest.raises(TaskFailed):
        client.result(client.create("demo/parent", {"awaits": True}), timeout=10)
    assert client.result(client.create("demo/parent", {"awaits": False}), timeout=10) == {"raised": True}


def test_a_handler_that_stops_the_loop_does_not_end_the_worker(server: Server, client: Client, run: Run) -> None:
    worker = Worker(server.url)

    @worker.task("demo/stops", declare=True)
    async def stops() -> None:
        asyncio.get_running_loop().stop()

    run(worker)
    until(lambda: server.rpc("awf.definition/list")["resources"])
    for _ in range(2):
        assert client.result(client.create("demo/stops"), timeout=10) is None


def test_the_error_of_a_task_has_the_traceback_beside_a_long_message() -> None:
    try:
        raising({"what": "ValueError"})
    except ValueError as raised:
        error = task_error(raised)
    assert error is not None
    assert len(error["message"]) == 8000
    assert len(error["traceback"]) <= 8000


def test_a_failed_attempt_is_logged_in_one_line_with_the_next_attempt(
    server: Server, client: Client, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "fencepost_sdk")
    worker = Worker(server.url, name="one")

    @worker.task("demo/fails", allowed_retry_count=1, retry_delay=timedelta(milliseconds=100))
    def fails() -> None:
        raise KeyError("a\nb")

    run(worker)
    until(lambda: server.rpc("awf.definition/list")["resources"])
    task = client.create("demo/fails")
    until(lambda: server.task(task.id)["status"] == "done")
    lines = [record.getMessage() for record in caplog.records if "failed" in record.message]
    assert lines == [
        f"task {task.id} of demo/fails failed: KeyError: 'a\\nb'; attempt 1 of 2, the next one in 0.1 s",
        f"task {task.id} of demo/fails failed: KeyError: 'a\\nb'; attempt 2 of 2, the last one",
    ]
    assert not any(record.exc_info for record in caplog.records)
    connected = [record for record in caplog.records if "is connected to" in record.message]
    assert [(one.levelname, one.message) for one in connected] == [
        ("INFO", f"one is connected to {server.url} and works on demo/fails")
    ]


def test_the_traceback_of_a_failed_attempt_is_logged_at_debug(
    server: Server, client: Client, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "fencepost_sdk")
    worker = Worker(server.url)
    worker.task("demo/raises", allowed_retry_count=0)(raising)
    run(worker)
    until(lambda: server.rpc("awf.definition/list")["resources"])
    client.create("demo/raises", {"what": "RecursionError"})
    until(lambda: "in raising" in caplog.text)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_process_forked_by_a_handler_ends_with_it_and_sends_nothing(server: Server, client: Client, run: Run) -> None:
    worker = Worker(server.url)
    children: list[int] = []

    @worker.task("demo/forks", declare=True)
    def forks() -> dict[str, bool]:
        if (child := os.fork()) == 0:
            return {"parent": False}
        children.append(child)
        return {"parent": True}

    run(worker)
    until(lambda: server.rpc("awf.definition/list")["resources"])
    for number in range(3):
        task = client.create("demo/forks")
        assert client.result(task, timeout=10) == {"parent": True}
        assert os.waitpid(children[number], 0)[1] == 0
        assert [entry["action"] for entry in server.log(task.id)].count("awf.task/success") == 1


def hung(event: threading.Event) -> Any:
    """Return a handler that ends when the event is set, and ignores its cancellation."""
    return lambda params: event.wait(30) and None if params["hang"] else {"fine": True}


def test_an_async_handler_is_canceled_at_its_attempt_timeout(server: Server, client: Client, run: Run) -> None:
    server.define("demo/hangs", allowedRetryCount=0)
    worker = Worker(server.url, concurrency=1)
    over = threading.Event()

    @worker.task("demo/hangs")
    async def hangs(params: dict[str, bool]) -> dict[str, bool]:
        if params["hang"]:
            try:
                await asyncio.sleep(3600)
            finally:
                over.set()
        return {"fine": True}

    run(worker)
    task = client.create("demo/hangs", {"hang": True}, settings={"attempt_timeout": timedelta(milliseconds=300)})
    fine = client.create("demo/hangs", {"hang": False})
    assert client.result(fine, timeout=20) == {"fine": True}
    assert over.is_set()
    assert until(lambda: server.task(task.id).get("outcome")) == "failed"


def test_slots_of_unresponsive_handlers_are_freed_up_to_a_limit(
    server: Server, client: Client, run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("fencepost_sdk.executions.UNRESPONSIVE_AFTER", 0.1)
    server.define("demo/hangs", allowedRetryCount=0)
    worker = Worker(server.url, concurrency=2)
    enough = threading.Event()
    worker.task("demo/hangs")(hung(enough))
    run(worker)
    for _ in range(2):
        client.create("demo/hangs", {"hang": True}, settings={"attempt_timeout": timedelta(milliseconds=200)})
    assert client.result(client.create("demo/hangs", {"hang": False}), timeout=20) == {"fine": True}
    for _ in range(2):
        client.create("demo/hangs", {"hang": True}, settings={"attempt_timeout": timedelta(milliseconds=200)})
    until(lambda: "keeps its slot" in caplog.text, timeout=20)
    names = [thread.name for thread in threading.enumerate() if thread.name.startswith("fencepost-handler")]
    assert len(names) <= 4
    # Those that end after all give their slots back.
    enough.set()
    assert client.result(client.create("demo/hangs", {"hang": False}), timeout=20) == {"fine": True}


def test_the_slot_of_an_async_handler_that_ignores_cancellation_is_freed(
    server: Server, client: Client, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fencepost_sdk.executions.UNRESPONSIVE_AFTER", 0.1)
    server.define("demo/stubborn", inProgressTimeout=300, allowedRetryCount=0)
    worker = Worker(server.url, concurrency=1)
    enough = threading.Event()

    @worker.task("demo/stubborn")
    async def stubborn(params: dict[str, bool], ctx: Context) -> dict[str, bool]:
        while params["hang"] and not enough.is_set():
            try:
                await asyncio.sleep(0.05)
            except asyncio.CancelledError:
                continue
        return {"fine": True}

    run(worker)
    task = client.create("demo/stubborn", {"hang": True})
    until(lambda: server.task(task.id)["status"] == "in-progress")
    client.cancel(task)
    assert client.result(client.create("demo/stubborn", {"hang": False}), timeout=20) == {"fine": True}
    enough.set()


def test_the_attempt_timeout_of_a_declared_definition_stops_a_hung_handler(
    server: Server, client: Client, run: Run
) -> None:
    worker = Worker(server.url, concurrency=1)
    over = threading.Event()

    @worker.task("demo/hangs", attempt_timeout=timedelta(milliseconds=300), allowed_retry_count=0)
    async def hangs() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            over.set()

    run(worker)
    until(lambda: server.rpc("awf.definition/list")["resources"])
    task = client.create("demo/hangs")
    assert over.wait(20)
    assert until(lambda: server.task(task.id).get("outcome")) == "failed"
