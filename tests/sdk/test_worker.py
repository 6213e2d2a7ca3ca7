from __future__ import annotations

import asyncio
import contextlib
import threading
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from fencepost.settings import Limits, Settings
from fencepost_sdk import Client, Context, RpcError, TaskFailed, Worker
from tests.fixtures.servers import Server, running_server
from tests.fixtures.waiting import until
from tests.sdk.conftest import Run


@dataclass
class Resize:
    width: int


def test_async_and_sync_handlers_return_results(server: Server, client: Client, run: Run) -> None:
    worker = Worker(server.url)

    @worker.task("demo/async", declare=True)
    async def halve(params: Resize) -> dict[str, Any]:
        await asyncio.sleep(0)
        return {"width": params.width // 2}

    @worker.task("demo/sync", declare=True)
    def thread(params: dict[str, Any], ctx: Context) -> dict[str, Any]:
        return {"thread": threading.current_thread().name, "attempt": ctx.task.retry_count, "got": params}

    run(worker)
    until(lambda: len(server.rpc("awf.definition/list")["resources"]) == 2)
    assert client.result(client.create("demo/async", Resize(640)), timeout=10) == {"width": 320}
    result = client.result(client.create("demo/sync", {"n": 1}), timeout=10)
    assert result["thread"].startswith("fencepost-handler")
    assert (result["attempt"], result["got"]) == (1, {"n": 1})


def test_a_handler_that_returns_nothing_ends_its_task_without_a_result(
    server: Server, client: Client, run: Run
) -> None:
    worker = Worker(server.url)
    worker.task("demo/nothing")(lambda: None)
    server.define("demo/nothing")
    run(worker)
    task = client.create("demo/nothing")
    assert client.result(task, timeout=10) is None
    assert "result" not in server.task(task.id)


def test_the_worker_puts_definitions_with_settings_at_its_start(server: Server, run: Run) -> None:
    worker = Worker(server.url)
    worker.task(
        "demo/settled",
        in_progress_timeout=timedelta(minutes=2),
        retry_delay=timedelta(seconds=1),
        allowed_retry_count=7,
        params=Resize,
    )(lambda: None)
    run(worker)
    (definition,) = until(lambda: server.rpc("awf.definition/list")["resources"])
    assert definition["inProgressTimeout"] == 120_000
    assert definition["retryDelay"] == 1000
    assert definition["allowedRetryCount"] == 7
    assert server.refused("awf.task/create-and-execute", {"definition": "demo/settled", "params": {"width": "x"}})


def test_task_failed_raised_by_a_handler_is_the_error_of_the_task(server: Server, client: Client, run: Run) -> None:
    worker = Worker(server.url)

    @worker.task("demo/fails", allowed_retry_count=0)
    async def fails() -> None:
        raise TaskFailed({"code": "too-large", "limit": 3})

    run(worker)
    until(lambda: server.rpc("awf.definition/list")["resources"])
    with pytest.raises(TaskFailed) as caught:
        client.result(client.create("demo/fails"), timeout=10)
    assert caught.value.error == {"code": "too-large", "limit": 3}
    assert caught.value.reason is not None
    assert caught.value.reason["type"] == "awf.task/failed-by-executor"


@pytest.mark.parametrize("kind", ["async", "sync"])
def test_any_exception_fails_the_task_with_its_type_message_and_traceback(
    server: Server, client: Client, run: Run, kind: str
) -> None:
    worker = Worker(server.url)

    def breaks() -> None:
        raise KeyError("width")

    async def breaks_async() -> None:
        breaks()

    worker.task("demo/breaks", allowed_retry_count=0)(breaks if kind == "sync" else breaks_async)
    run(worker)
    until(lambda: server.rpc("awf.definition/list")["resources"])
    with pytest.raises(TaskFailed) as caught:
        client.result(client.create("demo/breaks"), timeout=10)
    error = caught.value.error
    assert error is not None
    assert (error["type"], error["message"]) == ("KeyError", "'width'")
    assert "in breaks" in error["traceback"]


def test_params_that_do_not_fit_fail_the_task_and_name_the_field(server: Server, client: Client, run: Run) -> None:
    worker = Worker(server.url)

    @worker.task("demo/typed", allowed_retry_count=0)
    async def typed(params: Resize) -> None: ...

    run(worker)
    until(lambda: server.rpc("awf.definition/list")["resources"])
    with pytest.raises(TaskFailed) as caught:
        client.result(client.create("demo/typed", {"width": "wide"}), timeout=10)
    assert caught.value.error is not None
    assert caught.value.error["path"] == "$.params.width"


@pytest.mark.parametrize(("result", "type"), [(object(), "result-not-json"), ([1, 2], "result-refused")])
def test_a_result_that_the_server_refuses_fails_the_task_at_once(
    server: Server, client: Client, run: Run, result: object, type: str
) -> None:
    worker = Worker(server.url)
    worker.task("demo/odd", allowed_retry_count=0)(lambda: result)
    run(worker)
    until(lambda: server.rpc("awf.definition/list")["resources"])
    with pytest.raises(TaskFailed) as caught:
        client.result(client.create("demo/odd"), timeout=10)
    assert caught.value.error is not None
    assert caught.value.error["type"] == type


def test_a_result_too_large_for_a_request_fails_its_task_alone(server: Server, client: Client, run: Run) -> None:
    worker = Worker(server.url, concurrency=20)

    @worker.task("demo/large", allowed_retry_count=0)
    async def large(params: dict[str, int]) -> dict[str, str]:
        return {"x": "x" * params["size"]}

    run(worker)
    until(lambda: server.rpc("awf.definition/list")["resources"])
    too_large = client.create("demo/large", {"size": 2 << 20})
    # Together they are more than one request may carry.
    others = [client.create("demo/large", {"size": 400_000}) for _ in range(10)]
    for task in others:
        assert len(client.result(task, timeout=10)["x"]) == 400_000
    with pytest.raises(TaskFailed) as caught:
        client.result(too_large, timeout=10)
    assert caught.value.error is not None
    assert caught.value.error["type"] == "result-refused"


def test_at_most_concurrency_handlers_run_at_once(server: Server, client: Client, run: Run) -> None:
    server.define("demo/crowd")
    worker = Worker(server.url, concurrency=3)
    running: set[int] = set()
    most: list[int] = []

    @worker.task("demo/crowd")
    async def crowd(params: dict[str, int]) -> None:
        running.add(params["n"])
        most.append(len(running))
        await asyncio.sleep(0.002)
        running.discard(params["n"])

    tasks = [client.create("demo/crowd", {"n": number}) for number in range(60)]
    run(worker)
    for task in tasks:
        client.result(task, timeout=10)
    assert max(most) == 3
    assert len(most) == 60


def test_a_failed_attempt_is_retried(server: Server, client: Client, run: Run) -> None:
    worker = Worker(server.url)

    @worker.task("demo/third", allowed_retry_count=2, retry_delay=timedelta(0))
    def third_time(ctx: Context) -> dict[str, int]:
        if ctx.task.retry_count < 3:
            raise TaskFailed("not yet")
        return {"attempt": ctx.task.retry_count}

    run(worker)
    until(lambda: server.rpc("awf.definition/list")["resources"])
    assert client.result(client.create("demo/third"), timeout=20) == {"attempt": 3}


def test_a_worker_refused_at_its_start_raises_the_error(server: Server, run: Run) -> None:
    worker = Worker(server.url + "/nowhere")
    worker.task("demo/x")(lambda: None)
    with pytest.raises(RpcError) as caught:
        worker.run()
    assert caught.value.status == 404


def test_a_definition_that_the_server_refuses_ends_the_worker(server: Server) -> None:
    worker = Worker(server.url)
    worker.task("two words", declare=True)(lambda: None)
    with pytest.raises(RpcError) as caught:
        worker.run()
    assert caught.value.type == "invalid-params"


def test_a_worker_without_handlers_does_not_start() -> None:
    with pytest.raises(ValueError, match="no handler"):
        Worker().run()


def test_a_worker_runs_inside_a_loop_and_ends_when_it_is_stopped(server: Server) -> None:
    async def main() -> None:
        worker = Worker(server.url)
        worker.task("demo/inside", declare=True)(lambda: None)
        serving = asyncio.create_task(worker.serve())
        asyncio.get_running_loop().call_later(0.1, worker.stop)
        await asyncio.wait_for(serving, 10)

    asyncio.run(main())


def test_running_tasks_show_the_name_of_their_worker(server: Server, client: Client, run: Run) -> None:
    server.define("demo/named")
    worker = Worker(server.url, name="left-hand")
    worker.task("demo/named")(lambda: None)
    run(worker)
    task = client.create("demo/named")
    client.result(task, timeout=10)
    assert server.task(task.id)["worker"] == "left-hand"


def test_a_worker_adapts_to_smaller_limits_of_the_server(database: str, run: Run) -> None:
    limits = Limits(poll=3, batch=4, body_bytes=2000)
    with running_server(database, settings=Settings(limits=limits)) as small, Client(small.url) as client:
        small.define("demo/small")
        worker = Worker(small.url, concurrency=50)

        @worker.task("demo/small")
        async def pad(params: dict[str, int]) -> dict[str, str]:
            return {"pad": "x" * params["n"]}

        tasks = [client.create("demo/small", {"n": 20 * number}) for number in range(40)]
        one = run(worker)
        for number, task in enumerate(tasks):
            assert len(client.result(task, timeout=20)["pad"]) == 20 * number
        one.stop()


def test_a_client_with_a_secret_works_and_a_wrong_secret_ends_the_worker(database: str, run: Run) -> None:
    clients = {"importer": "a-secret-of-the-importer"}
    with running_server(database, settings=Settings(clients=clients)) as guarded:
        wrong = Worker(guarded.url, client="importer:guessed")
        wrong.task("demo/guarded", declare=True)(lambda: None)
        with pytest.raises(RpcError) as caught:
            wrong.run()
        assert (caught.value.type, caught.value.status) == ("unauthenticated", 401)

        right = Worker(guarded.url, client="importer:a-secret-of-the-importer")
        right.task("demo/guarded", declare=True)(lambda: {"done": True})
        one = run(right)
        with Client(guarded.url, client="importer:a-secret-of-the-importer") as client:
            until(lambda: len(client.call("awf.definition/list")["resources"]) == 1)
            assert client.result(client.create("demo/guarded"), timeout=10) == {"done": True}
        one.stop()


def test_a_handler_that_ignores_cancellation_does_not_block_the_stop(server: Server, client: Client, run: Run) -> None:
    server.define("demo/stubborn")
    worker = Worker(server.url)
    begun = threading.Event()

    @worker.task("demo/stubborn")
    async def stubborn() -> None:
        begun.set()
        for _ in range(2):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(3600)

    one = run(worker)
    task = client.create("demo/stubborn")
    assert begun.wait(10)
    one.stop(at_once=True, timeout=10)
    assert server.task(task.id)["status"] == "ready"
