"""Runners: handlers that do not suspend share an asyncio task, and nothing of one handler reaches another."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from contextvars import ContextVar
from typing import Any

import pytest

from fencepost_sdk import Client, TaskFailed, Worker
from tests.fixtures.servers import Server
from tests.fixtures.waiting import until
from tests.sdk.conftest import Run

pytestmark = pytest.mark.shows("guarantees/handler-alone")

MARK: ContextVar[str] = ContextVar("MARK", default="none")


def create(client: Client, params: list[dict[str, Any]]) -> list[str]:
    """Create tasks of `demo/x` before their worker starts, so that one poll claims them together."""
    return [str(id) for id in client.create_many("demo/x", params)]


def results(client: Client, ids: list[str]) -> list[Any]:
    return [client.result(id, timeout=30) for id in ids]


@pytest.fixture(autouse=True)
def definition(server: Server) -> None:
    server.define("demo/x", allowedRetryCount=0)


def test_handlers_that_do_not_suspend_share_an_asyncio_task(client: Client, server: Server, run: Run) -> None:
    worker = Worker(server.url, concurrency=200)
    used: list[asyncio.Task[Any] | None] = []

    @worker.task("demo/x")
    async def handle(params: dict[str, int]) -> dict[str, int]:
        used.append(asyncio.current_task())
        return params

    ids = create(client, [{"n": number} for number in range(200)])
    run(worker)
    assert results(client, ids) == [{"n": number} for number in range(200)]
    assert len(set(used)) < 100


@pytest.mark.parametrize("kind", ["short", "suspending", "mixed", "sync"])
def test_each_handler_has_its_own_context_variables(client: Client, server: Server, run: Run, kind: str) -> None:
    # With one slot the tasks behind the first one are prefetched, and start after others have ended.
    worker = Worker(server.url, concurrency=1, prefetch=50)

    def handle(params: dict[str, int]) -> dict[str, str]:
        before = MARK.get()
        MARK.set(f"set by {params['n']}")
        return {"before": before, "after": MARK.get()}

    async def handle_async(params: dict[str, int]) -> dict[str, str]:
        told = handle(params)
        if kind == "suspending" or (kind == "mixed" and params["n"] % 3 == 0):
            await asyncio.sleep(0)
            await asyncio.sleep(0.001)
        return {**told, "after": MARK.get()}

    worker.task("demo/x")(handle if kind == "sync" else handle_async)
    ids = create(client, [{"n": number} for number in range(30)])
    run(worker)
    assert results(client, ids) == [{"before": "none", "after": f"set by {number}"} for number in range(30)]


def test_handlers_see_the_context_variables_of_the_caller_of_serve(client: Client, server: Server) -> None:
    worker = Worker(server.url)

    @worker.task("demo/x")
    async def handle() -> dict[str, str]:
        worker.stop()
        return {"mark": MARK.get()}

    async def main() -> None:
        MARK.set("of the caller")
        await worker.serve()

    (id,) = create(client, [{}])
    asyncio.run(asyncio.wait_for(main(), 20))
    assert server.task(id)["result"] == {"mark": "of the caller"}


@pytest.mark.parametrize("short", [0, 1, 30])
def test_handlers_that_suspend_all_run_at_once(client: Client, server: Server, run: Run, short: int) -> None:
    worker = Worker(server.url, concurrency=100 + short)
    barrier = asyncio.Barrier(100)

    @worker.task("demo/x")
    async def handle(params: dict[str, bool]) -> None:
        if params["meets"]:
            await barrier.wait()

    both = [{"meets": True}] * 50 + [{"meets": False}] * short + [{"meets": True}] * 50
    ids = create(client, both)
    run(worker)
    assert results(client, ids) == [None] * len(both)


def test_a_canceled_handler_does_not_cancel_the_next_ones(client: Client, server: Server, run: Run) -> None:
    server.define("demo/x", inProgressTimeout=300, allowedRetryCount=0)
    worker = Worker(server.url, concurrency=1, prefetch=10)
    begun, over = threading.Event(), threading.Event()

    @worker.task("demo/x")
    async def handle(params: dict[str, str]) -> dict[str, Any]:
        if params["what"] == "canceled":
            begun.set()
            # It catches the cancellation and does not take it back with `uncancel`.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(3600)
            await asyncio.sleep(0.001)
            over.set()
        current = asyncio.current_task()
        assert current is not None
        cancelling = current.cancelling()
        timed_out = False
        try:
            async with asyncio.timeout(0.01):
                await asyncio.sleep(3600)
        except TimeoutError:
            timed_out = True
        return {"cancelling": cancelling, "timed out": timed_out}

    first, *others = create(client, [{"what": "canceled"}, {"what": "next"}, {"what": "next"}])
    run(worker)
    assert begun.wait(10)
    client.cancel(first)
    assert results(client, others) == [{"cancelling": 0, "timed out": True}] * 2
    assert over.is_set()
    assert server.task(first)["outcome"] == "canceled"


def test_a_handler_that_cancels_its_own_task_does_not_cancel_the_next_one(
    client: Client, server: Server, run: Run
) -> None:
    worker = Worker(server.url, concurrency=10)

    @worker.task("demo/x")
    async def handle(params: dict[str, int]) -> dict[str, int]:
        current = asyncio.current_task()
        assert current is not None
        cancelling = current.cancelling()
        if params["n"] % 2 == 0:
            current.cancel()
        else:
            await asyncio.sleep(0.001)
        return {"cancelling": cancelling}

    ids = create(client, [{"n": number} for number in range(10)])
    run(worker)
    assert results(client, ids) == [{"cancelling": 0}] * 10


def test_timeouts_and_task_groups_work_in_handlers_that_share_a_runner(
    client: Client, server: Server, run: Run
) -> None:
    worker = Worker(server.url, concurrency=50)

    async def fail() -> None:
        await asyncio.sleep(0)
        raise KeyError("child")

    @worker.task("demo/x")
    async def handle(params: dict[str, int]) -> dict[str, Any]:
        match params["n"] % 5:
            case 0:
                return {"short": True}
            case 1:
                async with asyncio.timeout(0.01):
                    await asyncio.sleep(3600)
            case 2:
                async with asyncio.TaskGroup() as group:
                    group.create_task(fail())
                    await asyncio.sleep(3600)
            case 3:
                async with asyncio.timeout(30), asyncio.TaskGroup() as group:
                    one = group.create_task(asyncio.sleep(0.001, "slept"))
                return {"child": one.result()}
            case _:
                return {"waited": await asyncio.wait_for(asyncio.sleep(0.001, "for"), 30)}
        return {}

    ids = create(client, [{"n": number} for number in range(50)])
    run(worker)
    for number, id in enumerate(ids):
        if number % 5 in (1, 2):
            with pytest.raises(TaskFailed) as caught:
                client.result(id, timeout=30)
            assert caught.value.error is not None
            assert caught.value.error["type"] == {1: "TimeoutError", 2: "ExceptionGroup"}[number % 5]
        else:
            expected = {0: {"short": True}, 3: {"child": "slept"}, 4: {"waited": "for"}}[number % 5]
            assert client.result(id, timeout=30) == expected


def busy(seconds: float) -> None:
    """Occupy the event loop."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        pass


def test_short_handlers_leave_turns_of_the_event_loop_to_others(client: Client, server: Server, run: Run) -> None:
    server.define("demo/counts")
    worker = Worker(server.url, concurrency=301)
    calls = [0]
    between: list[int] = []

    @worker.task("demo/counts")
    async def count_turns() -> None:
        last = calls[0]
        while calls[0] < 300:
            await asyncio.sleep(0)
            between.append(calls[0] - last)
            last = calls[0]

    @worker.task("demo/x")
    async def handle() -> None:
        busy(0.002)
        calls[0] += 1

    counting = client.create("demo/counts")
    run(worker)
    until(lambda: server.task(counting.id)["status"] == "in-progress")
    results(client, create(client, [{}] * 300))
    client.result(counting, timeout=30)
    # A turn ends after five milliseconds.
    assert max(between) <= 3
    assert sum(between) == 300


def test_short_handlers_do_not_delay_heartbeats_and_finishes(client: Client, server: Server, run: Run) -> None:
    server.define("demo/x", inProgressTimeout=2000, allowedRetryCount=0)
    worker = Worker(server.url, concurrency=300)
    done = [0]

    @worker.task("demo/x")
    async def handle() -> None:
        busy(0.015)
        done[0] += 1

    ids = create(client, [{}] * 300)
    run(worker)
    until(lambda: server.task(ids[0])["status"] == "done")
    assert done[0] < 300
    # Together they take longer than two leases.
    assert results(client, ids) == [None] * 300
