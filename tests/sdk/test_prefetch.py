"""Tasks that a worker takes ahead: they wait for a slot, are kept alive, and are handed back by a drain."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import pytest

from fencepost_sdk import Client, Task, Worker
from tests.fixtures.servers import Server
from tests.fixtures.waiting import until
from tests.sdk.conftest import Run


class Gate:
    """A handler that holds each task until the gate lets one more through."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.let = threading.Semaphore(0)

    def __call__(self, params: dict[str, int]) -> dict[str, int]:
        self.begun.append(params["n"])
        self.let.acquire(timeout=20)
        return params


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def tasks(server: Server, client: Client) -> list[Task]:
    """Five tasks, in the order in which they were created."""
    server.define("demo/gated", inProgressTimeout=600, allowedRetryCount=0)
    return [client.create("demo/gated", {"n": n}) for n in range(5)]


def statuses(server: Server, tasks: list[Task]) -> list[str]:
    return [server.task(task.id)["status"] for task in tasks]


def begin(server: Server, run: Run, gate: Gate, tasks: list[Task]) -> Worker:
    """Run a worker of one slot that takes two ahead, until it has."""
    worker = Worker(server.url, concurrency=1, prefetch=2)
    worker.task("demo/gated")(gate)
    run(worker)
    until(lambda: statuses(server, tasks) == ["in-progress"] * 3 + ["ready"] * 2)
    until(lambda: gate.begun == [0])
    return worker


def test_prefetched_tasks_start_in_order_when_a_slot_is_free(
    server: Server, client: Client, run: Run, gate: Gate, tasks: list[Task]
) -> None:
    begin(server, run, gate, tasks)
    gate.let.release()
    until(lambda: gate.begun == [0, 1])
    until(lambda: statuses(server, tasks) == ["done"] + ["in-progress"] * 3 + ["ready"])
    gate.let.release(4)
    assert [client.result(task, timeout=10) for task in tasks] == [{"n": n} for n in range(5)]
    assert gate.begun == [0, 1, 2, 3, 4]


def test_a_prefetched_task_is_kept_alive_and_a_canceled_one_never_starts(
    server: Server, client: Client, run: Run, gate: Gate, tasks: list[Task]
) -> None:
    begin(server, run, gate, tasks)
    client.cancel(tasks[1])
    # Its heartbeat tells, and the next one is taken in its place.
    until(lambda: server.task(tasks[3].id)["status"] == "in-progress")
    until(lambda: "awf.task/notify" in [entry["action"] for entry in server.log(tasks[2].id)])
    gate.let.release(4)
    for task in (tasks[0], *tasks[2:]):
        client.result(task, timeout=10)
    assert gate.begun == [0, 2, 3, 4]


def test_a_drain_releases_prefetched_tasks_without_an_attempt_and_finishes_the_rest(
    server: Server, run: Run, gate: Gate, tasks: list[Task]
) -> None:
    worker = begin(server, run, gate, tasks)
    worker.stop()
    until(lambda: statuses(server, tasks) == ["in-progress"] + ["ready"] * 4)
    gate.let.release()
    until(lambda: statuses(server, tasks) == ["done"] + ["ready"] * 4)
    assert gate.begun == [0]
    assert [server.task(task.id).get("retryCount", 0) for task in tasks] == [1, 0, 0, 0, 0]


def test_a_canceled_worker_ends_although_tasks_are_prefetched(
    server: Server, client: Client, gate: Gate, tasks: list[Task]
) -> None:
    worker = Worker(server.url, concurrency=1, prefetch=2)
    worker.task("demo/gated")(gate)

    async def main() -> None:
        serving = asyncio.create_task(worker.serve())
        await asyncio.to_thread(until, lambda: statuses(server, tasks)[:3] == ["in-progress"] * 3 and gate.begun)
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving

    asyncio.run(asyncio.wait_for(main(), 30))
    gate.let.release(5)
    assert gate.begun == [0]
