"""The internal worker runs built-in tasks under leases, a few at once, and releases them when the server stops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta

import pytest

from fencepost.clock import FrozenClock
from fencepost.engine.builtin.execution import BuiltinExecution, LeaseLost
from fencepost.engine.builtin.isolation import Isolation
from fencepost.loops.internal_worker import InternalWorker
from fencepost.loops.loop import Loop
from fencepost.settings import Settings
from tests.fixtures.builtin import CLEAN_UP, RUN_RPC, ended, error_of, ran, result_of
from tests.fixtures.servers import Server, running_server
from tests.fixtures.two_servers import TwoServers, history
from tests.fixtures.waiting import until

SLOW = "demo/slow"
# A long poll that ends when a task of `demo/never` is created.
WAITING = {"method": "awf.task/long-poll", "params": {"taskDefinitions": ["demo/never"], "timeout": 60_000}}


class Work:
    """A handler for tests: each task waits for the event `go`."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.stopped: list[str] = []
        self.go = asyncio.Event()

    async def __call__(self, execution: BuiltinExecution) -> bytes:
        self.begun.append(execution.task.id)
        try:
            await self.go.wait()
            await execution.check()
        except (asyncio.CancelledError, LeaseLost):
            self.stopped.append(execution.task.id)
            raise
        return b'{"done":true}'


@pytest.fixture
def work() -> Work:
    return Work()


@contextmanager
def working(
    server: Server, work: Callable[[BuiltinExecution], object], *, repeatable: bool = True
) -> Iterator[InternalWorker]:
    """Run an internal worker for the definition `demo/slow` until the block ends."""
    worker = InternalWorker(server.app.engine, SLOW, work, repeatable=repeatable, isolation=Isolation())  # type: ignore[arg-type]

    async def start() -> asyncio.Task[None]:
        return asyncio.create_task(Loop("internal-worker", worker.run_once).run())

    async def stop(running: asyncio.Task[None]) -> None:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await worker.abandon()

    running = server.run(start())
    try:
        yield worker
    finally:
        server.run(stop(running))


@pytest.mark.parametrize("path", ["$.params.width", "place 7"])
def test_the_task_of_a_refused_start_fails_with_the_reason_and_path_in_its_params(server: Server, path: str) -> None:
    error = error_of(server, "awf.task/refused", {"reason": "too wide", "path": path})
    assert error == {"type": "invalid-action", "message": "too wide", "path": path}


def test_the_log_names_the_engine_as_the_caller_of_a_built_in_task(server: Server) -> None:
    task = ran(server, RUN_RPC, {"method": "awf.definition/list"})
    log = server.log(task["id"])
    assert [(entry["action"], entry["caller"]) for entry in log] == [
        ("awf.task/create-and-execute", "local"),
        ("awf.task/long-poll", "awf.engine"),
        ("awf.task/start", "awf.engine"),
        ("awf.task/success", "awf.engine"),
    ]


def test_polls_of_the_internal_worker_are_not_counted_as_waiting_polls(server: Server) -> None:
    ran(server, RUN_RPC, {"method": "awf.definition/list"})
    assert server.app.waiting_polls == 0


def test_two_servers_run_each_built_in_task_once(servers: TwoServers, pool: ThreadPoolExecutor) -> None:
    calls = [
        {"method": "awf.task/create-and-execute", "params": {"definition": "demo/resize", "label": f"number {number}"}}
        for number in range(40)
    ]
    list(pool.map(lambda call: result_of(servers.one, RUN_RPC, call), calls))
    labels = servers.one.query("select label from fencepost.live_tasks where definition = 'demo/resize'")
    assert sorted(label for (label,) in labels) == sorted(call["params"]["label"] for call in calls)  # type: ignore[index]


def test_four_built_in_tasks_run_at_once_and_one_kind_does_not_block_another(server: Server) -> None:
    ids = [server.create(RUN_RPC, params=WAITING)["id"] for _ in range(6)]
    until(lambda: [server.task(id)["status"] for id in ids].count("in-progress") == 4)
    assert (
        ran(server, CLEAN_UP, {"rules": [{"retentionPolicy": {"unit": "day", "value": 1}}]})["outcome"] == "succeeded"
    )
    assert [server.task(id)["status"] for id in ids].count("ready") == 2

    server.define("demo/never")
    for _ in range(4):
        server.create("demo/never")
    until(lambda: [server.task(id)["status"] for id in ids].count("in-progress") == 2)


def test_a_long_built_in_task_keeps_its_lease(server: Server, work: Work) -> None:
    server.define(SLOW, inProgressTimeout=400)
    with working(server, work):
        id = server.create(SLOW)["id"]
        until(lambda: sum(entry["action"] == "awf.task/notify" for entry in server.log(id)) > 5)
        server.run(_let_go(work))
        task = ended(server, id)
    assert (task["outcome"], task["retryCount"], task["result"]) == ("succeeded", 1, {"done": True})


async def _let_go(work: Work) -> None:
    work.go.set()


def test_a_built_in_task_survives_an_outage_of_the_database(server: Server, work: Work) -> None:
    server.define(SLOW)
    with working(server, work):
        id = server.create(SLOW)["id"]
        until(lambda: work.begun)
        break_connections = (
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )
        server.query(break_connections)
        server.run(_let_go(work))
        assert ended(server, id)["outcome"] == "succeeded"
        server.query(break_connections)
        assert ran(server, SLOW, {})["retryCount"] == 1


def test_a_canceled_built_in_task_stops(server: Server, work: Work) -> None:
    server.define(SLOW, inProgressTimeout=400)
    with working(server, work):
        id = server.create(SLOW)["id"]
        until(lambda: work.begun)
        server.rpc("awf.task/cancel", {"id": id})
        until(lambda: work.stopped == [id])
    assert server.task(id)["outcome"] == "canceled"


def test_a_built_in_task_that_lost_its_lease_stops_and_reports_nothing(
    frozen_server: Server, clock: FrozenClock, work: Work
) -> None:
    server = frozen_server
    server.define(SLOW, inProgressTimeout=60_000, allowedRetryCount=0)
    with working(server, work) as worker:
        id = server.create(SLOW)["id"]
        until(lambda: work.begun)
        clock.advance(timedelta(minutes=2))
        server.reap()
        server.run(_let_go(work))
        until(lambda: worker.running == 0)
        assert work.stopped == [id]
    assert server.log(id)[-1]["action"] == "awf.engine/timeout"


def test_a_bug_in_a_built_in_task_fails_it_with_internal_error(server: Server) -> None:
    async def broken(execution: BuiltinExecution) -> bytes:
        raise ZeroDivisionError(execution.task.id)

    server.define(SLOW, allowedRetryCount=0)
    with working(server, broken):
        task = ran(server, SLOW, {})
    assert (task["outcome"], task["error"]["type"]) == ("failed", "internal-error")


def test_a_repeatable_built_in_task_returns_to_the_queue_when_the_server_stops(server: Server, work: Work) -> None:
    server.define(SLOW)
    with working(server, work) as worker:
        id = server.create(SLOW)["id"]
        until(lambda: work.begun)
        worker.stop_polling()
        server.run(_end_polls(server))
        server.run(worker.drain())
    assert work.stopped == [id]
    task = server.task(id)
    assert (task["status"], task.get("retryCount", 0)) == ("ready", 0)
    assert history(server, id)[-1] == ("awf.engine/give-back", "in-progress", "ready")


def test_an_unrepeatable_built_in_task_fails_when_the_server_stops(server: Server, work: Work) -> None:
    server.define(SLOW, allowedRetryCount=0)
    with working(server, work, repeatable=False) as worker:
        id = server.create(SLOW)["id"]
        until(lambda: work.begun)
        worker.stop_polling()
        server.run(_end_polls(server))
        server.run(worker.drain())
    task = server.task(id)
    assert (task["status"], task["outcome"], task["error"]["type"]) == ("done", "failed", "unavailable")


def test_a_stopping_server_claims_no_built_in_tasks(server: Server, work: Work) -> None:
    server.define(SLOW)
    with working(server, work) as worker:
        worker.stop_polling()
        server.run(_end_polls(server))
        server.run(worker.drain())
        id = server.create(SLOW)["id"]
        assert server.run(worker.run_once()) == float("inf")
    assert server.task(id)["status"] == "ready"


async def _end_polls(server: Server) -> None:
    await server.app._dispatcher.drain()


def test_a_stopping_server_answers_the_long_poll_of_a_built_in_task(database: str) -> None:
    with running_server(database) as server:
        id = server.create(RUN_RPC, params=WAITING)["id"]
        until(lambda: server.task(id)["status"] == "in-progress")
    with running_server(database) as server:
        assert server.task(id)["result"] == {"resources": []}


def test_a_built_in_call_of_a_dead_server_fails_and_can_be_retried(database: str, clock: FrozenClock) -> None:
    with running_server(database, clock, Settings(lease_grace_seconds=0)) as server:
        id = server.create(RUN_RPC, params=WAITING)["id"]
        until(lambda: server.task(id)["status"] == "in-progress")
        server.run(server.app.background.workers[0].abandon())
        clock.advance(timedelta(minutes=2))
        server.reap()
        task = server.task(id)
        assert (task["outcome"], task["retryCount"]) == ("failed", 1)
        assert task["outcomeReason"]["type"] == "awf.task/failed-due-to-in-progress-timeout"

        server.define("demo/never")
        server.create("demo/never")
        server.rpc("awf.task/retry", {"id": id})
        assert len(ended(server, id)["result"]["resources"]) == 1
