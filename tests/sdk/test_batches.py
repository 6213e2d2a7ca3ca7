"""Batch handlers: one call for many tasks, and what happens to one of them does not reach the others."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from fencepost_sdk import Client, Context, TaskFailed, Worker
from tests.fixtures.servers import Server
from tests.fixtures.waiting import until
from tests.sdk.conftest import Run

DEFINITION = "demo/index"
NOTIFY = "awf.task/notify"


@dataclass
class Page:
    n: int


def define(server: Server, **settings: Any) -> None:
    """Define the tasks, without retries."""
    server.define(DEFINITION, **{"allowedRetryCount": 0, **settings})


def created(client: Client, count: int) -> list[str]:
    """Create tasks with the params {"n": 0}, {"n": 1} and so on; return their ids."""
    ids = client.create_many(DEFINITION, [{"n": n} for n in range(count)])
    return [id for id in ids if isinstance(id, str)]


def done(server: Server, tasks: list[str]) -> list[Any]:
    """Wait until all tasks are done, and return them."""

    def all_done() -> list[Any]:
        found = [server.task(task) for task in tasks]
        return found if all(one["status"] == "done" for one in found) else []

    return until(all_done)


class Held:
    """A batch handler that keeps its call until the test releases it, in one of the two kinds."""

    def __init__(self, outcomes: Callable[[int], Any] = lambda n: {"n": n}) -> None:
        self.outcomes = outcomes
        self.calls: list[list[int]] = []
        self.contexts: list[Context] = []
        self.begun = threading.Event()
        self.enough = threading.Event()
        self.canceled = threading.Event()

    def register(self, worker: Worker, kind: str, size: int = 10) -> None:
        worker.batch(DEFINITION, size=size)(self.in_thread if kind == "sync" else self.in_loop)

    def in_thread(self, pages: list[Page], contexts: list[Context]) -> list[Any]:
        self._begin(pages, contexts)
        assert self.enough.wait(30)
        return [self.outcomes(page.n) for page in pages]

    async def in_loop(self, pages: list[Page], contexts: list[Context]) -> list[Any]:
        self._begin(pages, contexts)
        try:
            assert await asyncio.to_thread(self.enough.wait, 30)
        except asyncio.CancelledError:
            self.canceled.set()
            raise
        return [self.outcomes(page.n) for page in pages]

    def _begin(self, pages: list[Page], contexts: list[Context]) -> None:
        self.calls.append([page.n for page in pages])
        self.contexts.extend(contexts)
        self.begun.set()


def held(server: Server, client: Client, run: Run, kind: str, count: int, **settings: Any) -> tuple[Held, list[str]]:
    """Start a call for some tasks, which lasts until `enough`."""
    define(server, **settings)
    tasks = created(client, count)
    handler, worker = Held(), Worker(server.url)
    handler.register(worker, kind)
    run(worker)
    assert handler.begun.wait(20)
    assert handler.calls == [list(range(count))]
    return handler, tasks


both = pytest.mark.parametrize("kind", ["async", "sync"])


@both
def test_each_task_has_the_outcome_at_its_place(server: Server, client: Client, run: Run, kind: str) -> None:
    def outcomes(pages: list[Page]) -> list[Any]:
        found: list[Any] = [{"n": page.n} for page in pages]
        found[1], found[3] = TaskFailed({"type": "torn"}), ValueError("no such page")
        return found

    async def in_loop(pages: list[Page]) -> list[Any]:
        await asyncio.sleep(0)
        return outcomes(pages)

    define(server)
    tasks = created(client, 5)
    worker = Worker(server.url)
    worker.batch(DEFINITION, size=5)(outcomes if kind == "sync" else in_loop)
    run(worker)
    found = done(server, tasks)
    assert [one["outcome"] for one in found] == ["succeeded", "failed", "succeeded", "failed", "succeeded"]
    assert [one["result"] for one in found if one["outcome"] == "succeeded"] == [{"n": 0}, {"n": 2}, {"n": 4}]
    assert found[1]["error"] == {"type": "torn"}
    assert (found[3]["error"]["type"], found[3]["error"]["message"]) == ("ValueError", "no such page")


def test_a_call_has_up_to_size_tasks_in_order_and_of_its_definition_alone(
    server: Server, client: Client, run: Run
) -> None:
    define(server)
    server.define("demo/other")
    worker = Worker(server.url, concurrency=20)
    calls: list[list[Any]] = []
    others: list[Any] = []
    tasks = []
    for n in range(10):
        tasks.append(client.create(DEFINITION, {"n": n}).id)
        if n % 3 == 0:
            tasks.append(client.create("demo/other", {"n": n}).id)
    worker.batch(DEFINITION, size=4)(lambda pages: calls.append([page["n"] for page in pages]))
    worker.task("demo/other")(lambda params: others.append(params["n"]))
    run(worker)
    found = done(server, tasks)
    assert {one["outcome"] for one in found} == {"succeeded"}
    assert sorted(calls) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert sorted(others) == [0, 3, 6, 9]


def test_more_tasks_than_slots_come_in_several_calls(server: Server, client: Client, run: Run) -> None:
    define(server)
    sizes: list[int] = []
    worker = Worker(server.url, concurrency=3, prefetch=7)
    tasks = created(client, 25)

    @worker.batch(DEFINITION, size=3)
    async def index(pages: list[Page]) -> list[Any]:
        sizes.append(len(pages))
        return [{"n": page.n} for page in pages]

    run(worker)
    assert [one["result"] for one in done(server, tasks)] == [{"n": n} for n in range(25)]
    assert sum(sizes) == 25
    assert max(sizes) == 3


@both
@pytest.mark.parametrize("raised", [ValueError("broken"), KeyboardInterrupt(), SystemExit(3)])
def test_an_exception_of_the_call_fails_all_its_tasks(
    server: Server, client: Client, run: Run, caplog: pytest.LogCaptureFixture, kind: str, raised: BaseException
) -> None:
    def fail(pages: list[Page]) -> None:
        raise raised

    async def fail_in_loop(pages: list[Page]) -> None:
        raise raised

    define(server)
    tasks = created(client, 3)
    worker = Worker(server.url)
    worker.batch(DEFINITION, size=10)(fail if kind == "sync" else fail_in_loop)
    with caplog.at_level(logging.WARNING, "fencepost_sdk"):
        run(worker)
        found = done(server, tasks)
    assert [one["error"]["type"] for one in found] == [type(raised).__name__] * 3
    assert len([one for one in caplog.messages if "3 tasks of demo/index failed in one call" in one]) == 1


def test_params_that_do_not_fit_fail_their_task_before_the_call(server: Server, client: Client, run: Run) -> None:
    define(server)
    tasks = [client.create(DEFINITION, {"n": n}).id for n in (0, "one", 2, None)]
    calls: list[list[Page]] = []
    worker = Worker(server.url)

    @worker.batch(DEFINITION, size=10)
    async def index(pages: list[Page]) -> list[Any]:
        calls.append(pages)
        return [{"n": page.n} for page in pages]

    run(worker)
    found = done(server, tasks)
    assert calls == [[Page(0), Page(2)]]
    assert [one["outcome"] for one in found] == ["succeeded", "failed", "succeeded", "failed"]
    assert [one["error"]["path"] for one in found if one["outcome"] == "failed"] == ["$.params.n"] * 2
    assert [one["result"] for one in found if one["outcome"] == "succeeded"] == [{"n": 0}, {"n": 2}]


def test_no_call_is_made_when_no_params_fit(server: Server, client: Client, run: Run) -> None:
    define(server)
    tasks = [client.create(DEFINITION, {"n": "one"}).id for _ in range(2)]
    calls: list[Any] = []
    worker = Worker(server.url)

    def index(pages: list[Page]) -> None:
        calls.append(pages)

    worker.batch(DEFINITION, size=10)(index)
    run(worker)
    assert [one["error"]["type"] for one in done(server, tasks)] == ["invalid-params"] * 2
    good = client.create(DEFINITION, {"n": 1}).id
    done(server, [good])
    assert calls == [[Page(1)]]


class Hostile:
    """A value whose conversion to JSON raises what no handler should."""

    dtype = None

    def tolist(self) -> Any:
        raise KeyboardInterrupt


def test_a_result_that_is_not_json_fails_its_task_alone(server: Server, client: Client, run: Run) -> None:
    define(server)
    tasks = created(client, 5)
    worker = Worker(server.url)
    values: list[Any] = [{"n": 0}, {"n": float("nan")}, Hostile(), TaskFailed({"why": Hostile()}), {"n": 4}]
    worker.batch(DEFINITION, size=5)(lambda pages: [values[page["n"]] for page in pages])
    run(worker)
    found = done(server, tasks)
    assert [one["outcome"] for one in found] == ["succeeded", "failed", "failed", "failed", "succeeded"]
    assert [one["error"]["type"] for one in found[1:4]] == ["result-not-json", "KeyboardInterrupt", "KeyboardInterrupt"]


def test_a_result_that_the_server_refuses_fails_its_task_alone(server: Server, client: Client, run: Run) -> None:
    define(server, result={"type": "object", "properties": {"n": {"maximum": 1}}})
    tasks = created(client, 4)
    worker = Worker(server.url)
    worker.batch(DEFINITION, size=5)(lambda pages: pages)
    run(worker)
    found = done(server, tasks)
    assert [one["outcome"] for one in found] == ["succeeded", "succeeded", "failed", "failed"]
    assert [one["error"]["type"] for one in found[2:]] == ["result-refused"] * 2


@pytest.mark.parametrize(
    ("returned", "says"), [([{}], "1 outcomes for 2 tasks"), ({"a": 1}, "not dict"), (iter([{}, {}]), "a list")]
)
def test_anything_but_one_outcome_a_task_fails_the_call(
    server: Server, client: Client, run: Run, returned: Any, says: str
) -> None:
    define(server)
    tasks = created(client, 2)
    worker = Worker(server.url)
    worker.batch(DEFINITION, size=5)(lambda pages: returned)
    run(worker)
    assert all(says in one["error"]["message"] for one in done(server, tasks))


@both
def test_a_canceled_task_leaves_the_others_of_its_call_alone(
    server: Server, client: Client, run: Run, kind: str
) -> None:
    handler, tasks = held(server, client, run, kind, 3, inProgressTimeout=300)
    client.cancel(tasks[1])
    until(handler.contexts[1].cancelled.is_set)
    assert not handler.contexts[0].cancelled.is_set()
    assert not handler.canceled.is_set()
    handler.enough.set()
    found = done(server, tasks)
    assert [one["outcome"] for one in found] == ["succeeded", "canceled", "succeeded"]
    assert [found[0]["result"], found[2]["result"]] == [{"n": 0}, {"n": 2}]


def test_a_call_is_canceled_when_all_its_tasks_are(server: Server, client: Client, run: Run) -> None:
    handler, tasks = held(server, client, run, "async", 3, inProgressTimeout=300)
    for task in tasks:
        assert not handler.canceled.is_set()
        client.cancel(task)
    assert handler.canceled.wait(20)
    assert {one["outcome"] for one in done(server, tasks)} == {"canceled"}


@both
def test_a_lost_lease_drops_the_outcome_of_its_task_alone(server: Server, client: Client, run: Run, kind: str) -> None:
    handler, tasks = held(server, client, run, kind, 3, inProgressTimeout=300, allowedRetryCount=1)
    taken = server.task(tasks[1])
    server.rpc("awf.task/fail", {"id": taken["id"], "execId": taken["execId"], "error": {"by": "another"}})
    until(handler.contexts[1].cancelled.is_set)
    # The second attempt is a call of its own beside the first.
    until(lambda: len(handler.calls) == 2)
    handler.enough.set()
    found = done(server, tasks)
    assert [one["outcome"] for one in found] == ["succeeded"] * 3
    assert [one["retryCount"] for one in found] == [1, 2, 1]
    assert handler.calls[1] == [1]


@both
def test_heartbeats_keep_the_lease_of_each_task(server: Server, client: Client, run: Run, kind: str) -> None:
    handler, tasks = held(server, client, run, kind, 3, inProgressTimeout=300)
    handler.contexts[1].progress(1, 2)

    def notified(id: str) -> list[str]:
        return [entry["action-params"]["notification"] for entry in server.log(id) if entry["action"] == NOTIFY]

    until(lambda: all(len(notified(task)) >= 5 for task in tasks))
    assert ["progress" in notified(task) for task in tasks] == [False, True, False]
    handler.enough.set()
    found = done(server, tasks)
    assert [(one["outcome"], one["retryCount"]) for one in found] == [("succeeded", 1)] * 3


@both
def test_the_attempt_timeout_of_one_task_leaves_the_others_alone(
    server: Server, client: Client, run: Run, kind: str
) -> None:
    define(server, allowedRetryCount=0)
    tasks = [
        client.create(
            DEFINITION, {"n": n}, settings={"attempt_timeout": timedelta(milliseconds=700)} if n == 1 else None
        ).id
        for n in range(3)
    ]
    handler, worker = Held(), Worker(server.url)
    handler.register(worker, kind)
    run(worker)
    until(lambda: len(handler.contexts) == 3 and handler.contexts[1].cancelled.is_set())
    assert not handler.contexts[2].cancelled.is_set()
    handler.enough.set()
    found = done(server, tasks)
    assert [one["outcome"] for one in found] == ["succeeded", "failed", "succeeded"]


def test_a_call_is_canceled_at_the_attempt_timeout_of_all_its_tasks(server: Server, client: Client, run: Run) -> None:
    handler, tasks = held(server, client, run, "async", 3, attemptTimeout=500, allowedRetryCount=0)
    assert handler.canceled.wait(20)
    assert {one["outcome"] for one in done(server, tasks)} == {"failed"}


@both
def test_a_drain_waits_for_the_call_and_sends_its_finishes(server: Server, client: Client, run: Run, kind: str) -> None:
    define(server)
    handler, worker = Held(), Worker(server.url)
    handler.register(worker, kind)
    tasks = created(client, 3)
    one = run(worker)
    assert handler.begun.wait(20)
    worker.stop()
    handler.enough.set()
    one.stop()
    assert [server.task(task)["outcome"] for task in tasks] == ["succeeded"] * 3


@both
def test_a_drain_releases_each_task_of_a_call_that_does_not_end(
    server: Server, client: Client, run: Run, kind: str
) -> None:
    define(server)
    handler = Held()
    worker = Worker(server.url, drain_timeout=timedelta(milliseconds=100))
    handler.register(worker, kind)
    tasks = created(client, 3)
    one = run(worker)
    assert handler.begun.wait(20)
    one.stop()
    found = [server.task(task) for task in tasks]
    assert [(one["status"], one.get("retryCount", 0)) for one in found] == [("ready", 0)] * 3
    handler.enough.set()


def test_a_task_that_may_have_killed_its_worker_is_a_call_by_itself(server: Server, client: Client, run: Run) -> None:
    define(server, inProgressTimeout=100, allowedRetryCount=3)
    tasks = created(client, 3)
    for claimed in server.poll(DEFINITION, start=True, maxBatchSize=2):
        assert claimed["id"] in tasks[:2]

    def ready() -> bool:
        server.reap()
        return all(server.task(task)["status"] == "ready" for task in tasks)

    until(ready)
    handler = Held()
    handler.enough.set()
    worker = Worker(server.url)
    handler.register(worker, "async")
    run(worker)
    assert {one["outcome"] for one in done(server, tasks)} == {"succeeded"}
    assert sorted(handler.calls) == [[0], [1], [2]]


def test_the_slots_of_a_call_that_ignores_cancellation_are_freed(
    server: Server, client: Client, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fencepost_sdk.executions.UNRESPONSIVE_AFTER", 0.1)
    define(server, inProgressTimeout=300)
    handler = Held()
    worker = Worker(server.url, concurrency=3)
    handler.register(worker, "sync", size=3)
    tasks = created(client, 3)
    run(worker)
    assert handler.begun.wait(20)
    for task in tasks:
        client.cancel(task)
    handler.begun.clear()
    more = created(client, 3)
    assert handler.begun.wait(20)
    handler.enough.set()
    assert {one["outcome"] for one in done(server, more)} == {"succeeded"}
    assert {one["outcome"] for one in done(server, tasks)} == {"canceled"}


@pytest.mark.parametrize(
    ("size", "error", "says"),
    [
        (0, ValueError, "demo/index: size must be at least 1, not 0"),
        (-1, ValueError, "at least 1"),
        (11, ValueError, "a batch of 11 tasks takes 11 slots, and the worker has concurrency=10"),
        ("9", TypeError, "size is a number of tasks, such as 500, not '9'"),
        (True, TypeError, "not True"),
        (2.0, TypeError, "not 2.0"),
    ],
)
def test_a_size_that_the_worker_cannot_have_is_refused_at_decoration(
    size: Any, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        Worker(concurrency=10).batch(DEFINITION, size=size)


def _alone(page: Page) -> None: ...
def _one_context(pages: list[Page], ctx: Context) -> None: ...
def _undecodable(pages: list[threading.Event]) -> None: ...
def _dict(pages: dict[str, Page]) -> None: ...


@pytest.mark.parametrize("function", [_alone, _one_context, _undecodable, _dict, lambda: None, lambda one, two: None])
def test_a_signature_without_lists_is_refused_at_decoration(function: Callable[..., Any]) -> None:
    with pytest.raises(TypeError):
        Worker().batch(DEFINITION, size=5)(function)


def test_a_second_handler_for_the_definition_is_refused() -> None:
    worker = Worker()
    worker.batch(DEFINITION, size=5)(lambda pages: None)
    with pytest.raises(ValueError, match="demo/index already has a handler"):
        worker.task(DEFINITION)
