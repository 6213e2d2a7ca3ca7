"""Calls that wait for the end of a task or workflow: `wait-for`, `create-and-wait` and `status` with `wait`."""

from __future__ import annotations

import asyncio
import http.client
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest

from fencepost.clock import FrozenClock
from fencepost.settings import Limits, Settings
from tests.fixtures.servers import FEW_CONNECTIONS, Server, pass_time, running_server
from tests.fixtures.two_servers import TwoServers
from tests.fixtures.waiting import until
from tests.fixtures.workflows import Decider

# Longer than any test; an answer before this time did not wait for it.
LONG = 60_000


def waiting(server: Server, pool: ThreadPoolExecutor, method: str, **params: Any) -> Future[Any]:
    """Send a call that waits, and return once it waits in the memory of the server."""
    before = server.app.waiting_for_ends
    answer = pool.submit(server.rpc, method, params)
    until(lambda: server.app.waiting_for_ends > before)
    return answer


def outcome(task: Any) -> tuple[str, str | None]:
    """Return status and outcome of a resource."""
    return task["status"], task.get("outcome")


def test_a_wait_is_answered_with_the_finished_task(server: Server, pool: ThreadPoolExecutor) -> None:
    server.define()
    lease = server.started()
    answers = [waiting(server, pool, "awf.task/wait-for", id=lease["id"], timeout=LONG) for _ in range(2)]
    answers.append(waiting(server, pool, "awf.task/status", id=lease["id"], wait=LONG))
    server.rpc("awf.task/success", {**lease, "result": {"rows": 3}})
    for answer in answers:
        task = answer.result(5)["resource"]
        assert (outcome(task), task["result"]) == (("done", "succeeded"), {"rows": 3})
    again = server.rpc("awf.task/wait-for", {"id": lease["id"], "timeout": LONG})["resource"]
    assert outcome(again) == ("done", "succeeded")
    assert server.app.waiting_for_ends == 0


def test_a_wait_whose_time_is_over_is_answered_with_the_task_as_it_is(server: Server) -> None:
    server.define()
    lease = server.started()
    for method, params in (("wait-for", {"timeout": 20}), ("wait-for", {"timeout": 0}), ("status", {"wait": 20})):
        task = server.rpc(f"awf.task/{method}", {"id": lease["id"], **params})["resource"]
        assert outcome(task) == ("in-progress", None)
    created = {"definition": "demo/resize", "timeout": 20}
    assert outcome(server.rpc("awf.task/create-and-wait", created)["resource"]) == ("ready", None)


@pytest.mark.parametrize("end", ["fail", "cancel", "success-many", "expire", "time-out"])
def test_every_end_of_a_task_ends_its_waits(
    frozen_server: Server, clock: FrozenClock, pool: ThreadPoolExecutor, end: str
) -> None:
    server = frozen_server
    server.define(allowedRetryCount=0, inProgressTimeout=1000)
    if end == "expire":
        id = server.create(settings={"expiresAfter": 1000})["id"]
        lease = {}
    else:
        lease = server.started()
        id = lease["id"]
    answer = waiting(server, pool, "awf.task/wait-for", id=id, timeout=LONG)
    match end:
        case "fail":
            server.rpc("awf.task/fail", {**lease, "error": {}})
        case "cancel":
            server.rpc("awf.task/cancel", {"id": id})
        case "success-many":
            server.rpc("awf.task/success-many", {"ids": [id], "execIds": [lease["execId"]]})
        case _:
            pass_time(server, clock, 2000)
    assert outcome(answer.result(5)["resource"])[0] == "done"


def test_a_failed_attempt_with_a_retry_does_not_end_a_wait(server: Server, pool: ThreadPoolExecutor) -> None:
    server.define(retryDelay=0)
    lease = server.started()
    answer = waiting(server, pool, "awf.task/wait-for", id=lease["id"], timeout=LONG)
    server.rpc("awf.task/fail", {**lease, "error": {}})
    (task,) = until(lambda: server.poll(start=True))
    assert not answer.done()
    server.rpc("awf.task/success", {"id": task["id"], "execId": task["execId"]})
    assert answer.result(5)["resource"]["retryCount"] == 2


@pytest.mark.shows("guarantees/wait-answered")
def test_an_end_on_another_server_ends_a_wait(servers: TwoServers, pool: ThreadPoolExecutor) -> None:
    lease = servers.one.started()
    answer = waiting(servers.other, pool, "awf.task/wait-for", id=lease["id"], timeout=LONG)
    servers.one.rpc("awf.task/success", lease)
    assert outcome(answer.result(5)["resource"]) == ("done", "succeeded")


def test_another_server_announces_ends_only_of_what_is_awaited(servers: TwoServers, pool: ThreadPoolExecutor) -> None:
    lease = servers.one.started()
    answer = waiting(servers.other, pool, "awf.task/wait-for", id=lease["id"], timeout=LONG)
    until(lambda: servers.one.app.engine.tasks._wakeups.is_awaited("demo/resize"))
    assert not servers.one.app.engine.tasks._wakeups.is_awaited("demo/other")
    # No look of its own: only the announcement can end the wait.
    (finding,) = (loop for loop in servers.other.app.background.loops if loop.name == "end-finder")
    finding._step = lambda: pytest.fail("a look")
    servers.one.rpc("awf.task/success", lease)
    assert outcome(answer.result(5)["resource"]) == ("done", "succeeded")


@pytest.mark.shows("guarantees/wait-answered")
def test_an_end_that_no_server_announces_ends_a_wait(server: Server, pool: ThreadPoolExecutor) -> None:
    server.define()
    lease = server.started()
    answer = waiting(server, pool, "awf.task/wait-for", id=lease["id"], timeout=LONG)
    server.app.engine.tasks._wakeups.on_ended = lambda *_: None
    server.rpc("awf.task/success", lease)
    assert outcome(answer.result(5)["resource"]) == ("done", "succeeded")


@pytest.mark.shows("guarantees/waits-cost-nothing")
def test_many_waiting_calls_share_their_queries(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.define()
    many = {"definition": "demo/resize", "params": [{}] * 1000}
    ids = [id for _ in range(10) for id in server.rpc("awf.task/create-many", many)["ids"]]
    waits = server.app.engine.task_waits
    reads, looks = counted(waits, "read", monkeypatch), counted(waits, "find_ended", monkeypatch)

    async def begin() -> list[asyncio.Task[Any]]:
        return [asyncio.create_task(waits.wait(id, 60)) for id in ids]

    calls = server.run(begin())
    until(lambda: sum(reads) == len(ids) and len(looks) > 2)
    # One read of all before they wait, in statements of 200; then only looks, each for all of them.
    assert len(reads) < 100
    assert looks[-1] == len(ids)
    server.rpc("awf.task/success-many", {"ids": ids[:1], "execIds": [server.poll(start=True)[0]["execId"]]})
    until(lambda: calls[0].done())
    assert sum(reads) == len(ids) + 1

    async def end() -> None:
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    server.run(end())


def counted(waits: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows with each query of a reader: the number of ids that it asks for."""
    sizes: list[int] = []
    query = getattr(waits._reader, name)

    async def count(ids: list[str]) -> Any:
        sizes.append(len(ids))
        return await query(ids)

    monkeypatch.setattr(
        waits._reads if name == "read" else waits._reader, f"_{name}" if name == "read" else name, count
    )
    return sizes


def test_without_waiting_calls_no_look_is_made(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    (finding,) = (loop for loop in server.app.background.loops if loop.name == "end-finder")
    until(lambda: finding._wake_at == float("inf"))
    waits = server.app.engine.task_waits
    monkeypatch.setattr(waits._reader, "find_ended", lambda _: pytest.fail("a query"))
    server.run(waits.look())


@pytest.mark.shows("guarantees/wait-answered")
def test_a_server_that_stops_answers_the_waits(database: str, pool: ThreadPoolExecutor) -> None:
    with running_server(database) as server:
        server.define()
        id = server.create()["id"]
        answer = waiting(server, pool, "awf.task/wait-for", id=id, timeout=LONG)
        begun = time.monotonic()
    assert outcome(answer.result(5)["resource"]) == ("ready", None)
    assert time.monotonic() - begun < 20


@pytest.mark.shows("guarantees/wait-answered")
def test_a_hang_up_ends_the_wait_and_not_the_task(server: Server) -> None:
    server.define()
    body = {
        "method": "awf.task/create-and-wait",
        "params": {"definition": "demo/resize", "id": "mine", "timeout": LONG},
    }
    with closing(http.client.HTTPConnection("127.0.0.1", server.port)) as connection:
        connection.request("POST", "/rpc", orjson.dumps(body), {"content-type": "application/json"})
        until(lambda: server.app.waiting_for_ends)
    until(lambda: not server.app.waiting_for_ends)
    assert server.task("mine")["status"] == "ready"


def test_create_and_wait_is_idempotent_for_an_id(server: Server, pool: ThreadPoolExecutor) -> None:
    server.define()
    call = {"definition": "demo/resize", "id": "mine", "params": {"n": 1}, "timeout": LONG}
    answers = [waiting(server, pool, "awf.task/create-and-wait", **call) for _ in range(2)]
    (task,) = server.poll(maxBatchSize=10, start=True)
    server.rpc("awf.task/success", {"id": "mine", "execId": task["execId"], "result": {"n": 2}})
    found = [answer.result(5)["resource"] for answer in answers]
    found.append(server.rpc("awf.task/create-and-wait", call)["resource"])
    assert [task["result"] for task in found] == [{"n": 2}] * 3
    other = {**call, "params": {"n": 2}}
    assert server.refused("awf.task/create-and-wait", other)[:2] == (409, "already-exists")


def test_a_task_that_is_not_kept_is_answered_from_its_receipt(
    frozen_server: Server, clock: FrozenClock, pool: ThreadPoolExecutor
) -> None:
    server = frozen_server
    server.define(keep="none")
    for id in (None, "mine"):
        lease = server.started(**({"id": id} if id else {}))
        answer = waiting(server, pool, "awf.task/wait-for", id=lease["id"], timeout=LONG)
        server.rpc("awf.task/success", {**lease, "result": {"rows": 3}})
        task = answer.result(5)["resource"]
        assert (outcome(task), task["definition"]) == (("done", "succeeded"), "demo/resize")
        assert "result" not in task
        again = server.rpc("awf.task/wait-for", {"id": lease["id"], "timeout": LONG})["resource"]
        assert outcome(again) == ("done", "succeeded")
    clock.advance(timedelta(minutes=11))
    refused = server.refused("awf.task/wait-for", {"id": lease["id"]})
    assert refused == (404, "task-not-found", "$.params.id")


def test_a_wait_for_an_unknown_task_is_refused(server: Server) -> None:
    for method in ("awf.task/wait-for", "awf.workflow/wait-for"):
        status, type, path = server.refused(method, {"id": "nothing"})
        assert (status, type.endswith("-not-found"), path) == (404, True, "$.params.id")
    assert server.refused("awf.task/status", {"id": "nothing", "wait": 100})[0] == 404


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("awf.task/wait-for", {"id": "one", "timeout": 600_001}),
        ("awf.task/create-and-wait", {"definition": "demo/resize", "timeout": 600_001}),
        ("awf.task/wait-for", {"id": "one", "timeout": -1}),
        ("awf.task/status", {"id": "one", "wait": 600_001}),
        ("awf.workflow/wait-for", {"id": "one", "timeout": 600_001}),
    ],
)
def test_a_wait_over_the_limit_is_refused(server: Server, method: str, params: dict[str, Any]) -> None:
    server.define()
    path = "$.params.wait" if "wait" in params else "$.params.timeout"
    assert server.refused(method, params) == (400, "invalid-params", path)
    assert server.rpc("awf.task/list")["resources"] == []


def test_more_waits_than_the_limit_are_refused(database: str, pool: ThreadPoolExecutor) -> None:
    few: Settings = replace(FEW_CONNECTIONS, limits=Limits(waiting=2))
    with running_server(database, settings=few) as server:
        server.define()
        id = server.create()["id"]
        for _ in range(2):
            waiting(server, pool, "awf.task/wait-for", id=id, timeout=LONG)
        assert server.refused("awf.task/wait-for", {"id": id, "timeout": LONG})[:2] == (503, "unavailable")
        assert server.task(id)["status"] == "ready"


def test_the_waits_of_an_array_wait_together(server: Server, pool: ThreadPoolExecutor) -> None:
    server.define()
    ids = [server.create()["id"] for _ in range(3)]
    calls = [{"method": "awf.task/wait-for", "params": {"id": id, "timeout": LONG}} for id in ids]
    answer = pool.submit(server.post, calls)
    until(lambda: server.app.waiting_for_ends == 3)
    for id in ids:
        server.rpc("awf.task/cancel", {"id": id})
    assert [one["result"]["resource"]["outcome"] for one in answer.result(5)[1]] == ["canceled"] * 3


@pytest.mark.parametrize("end", ["complete", "cancel"])
def test_a_wait_for_a_workflow_is_answered_with_its_end(server: Server, pool: ThreadPoolExecutor, end: str) -> None:
    decider = Decider(server, "demo/flow")
    id = decider.create()["id"]
    answer = waiting(server, pool, "awf.workflow/wait-for", id=id, timeout=LONG)
    decision = decider.decision()
    if end == "complete":
        decider.decide(decision, {"action": "awf.workflow.action/complete-workflow", "result": {"n": 1}})
    else:
        server.rpc("awf.workflow/cancel", {"id": id})
    assert answer.result(5)["resource"]["status"] == "done"
