"""Two concurrent calls about one task from two servers: a lock is held until both wait for it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import product
from typing import Any

import pytest

from tests.fixtures.locks import locked_rows, until_stuck
from tests.fixtures.servers import Server
from tests.fixtures.two_servers import TwoServers, essence, history

pytestmark = pytest.mark.shows("guarantees/no-late-write")

Saying = tuple[str, dict[str, Any]]

SAYINGS: list[Saying] = [
    ("awf.task/start", {}),
    ("awf.task/notify", {"notification": "heartbeat"}),
    ("awf.task/success", {"result": {"rows": 1}}),
    ("awf.task/success", {"result": {"rows": 2}}),
    ("awf.task/fail", {"error": {"reason": "no disk"}}),
    ("awf.task/release", {}),
    ("awf.task/cancel", {}),
]


def requested(server: Server) -> dict[str, str]:
    id = server.create()["id"]
    (task,) = server.poll()
    return {"id": id, "execId": task["execId"]}


def in_progress(server: Server) -> dict[str, str]:
    return server.started()


def canceled(server: Server) -> dict[str, str]:
    lease = server.started()
    server.rpc("awf.task/cancel", {"id": lease["id"]})
    return lease


def say(server: Server, saying: Saying, lease: dict[str, str]) -> Any:
    method, members = saying
    about = {"id": lease["id"]} if method in ("awf.task/cancel", "awf.task/retry") else lease
    return essence(server, method, {**about, **members})


def either_way(servers: TwoServers, begin: Callable[[Server], dict[str, str]], first: Saying, second: Saying) -> Any:
    """Return the results of the two calls in both orders, one after the other."""
    one_way = in_turn(servers, begin, first, second)
    (b, a), log = in_turn(servers, begin, second, first)
    return one_way, ((a, b), log)


def in_turn(servers: TwoServers, begin: Callable[[Server], dict[str, str]], first: Saying, second: Saying) -> Any:
    lease = begin(servers.one)
    answers = say(servers.one, first, lease), say(servers.other, second, lease)
    end(servers.one, lease)
    return answers, history(servers.one, lease["id"])[:-1]


def at_once(servers: TwoServers, pool: ThreadPoolExecutor, table: str, lease: dict[str, str], *sayings: Saying) -> Any:
    calls: list[Future[Any]] = []
    with locked_rows(servers.conninfo, table):
        for server, saying in zip(servers, sayings, strict=True):
            calls.append(pool.submit(say, server, saying, lease))
            until_stuck(servers.conninfo, *calls)
    answers = tuple(call.result(10) for call in calls)
    end(servers.one, lease)
    return answers, history(servers.one, lease["id"])[:-1]


def end(server: Server, lease: dict[str, str]) -> None:
    """Cancel a task, so that the next poll does not return it."""
    essence(server, "awf.task/retry", {"id": lease["id"]})
    essence(server, "awf.task/cancel", {"id": lease["id"]})


@pytest.mark.parametrize("begin", [requested, in_progress])
def test_two_concurrent_calls_about_a_task_are_serializable(
    servers: TwoServers, pool: ThreadPoolExecutor, begin: Callable[[Server], dict[str, str]]
) -> None:
    for first, second in product(SAYINGS, SAYINGS):
        raced = at_once(servers, pool, "live_tasks", begin(servers.one), first, second)
        assert raced in either_way(servers, begin, first, second), (first, second)


def test_two_concurrent_calls_about_a_canceled_task_are_serializable(
    servers: TwoServers, pool: ThreadPoolExecutor
) -> None:
    sayings = [*SAYINGS, ("awf.task/retry", {})]
    for first, second in product(sayings, sayings):
        raced = at_once(servers, pool, "done_tasks", canceled(servers.one), first, second)
        assert raced in either_way(servers, canceled, first, second), (first, second)


def test_the_log_in_a_status_answer_ends_with_the_version_of_its_resource(
    servers: TwoServers, pool: ThreadPoolExecutor
) -> None:
    lease = servers.one.started()
    beat = {"method": "awf.task/notify", "params": {**lease, "notification": "heartbeat"}}
    beating = [pool.submit(servers.one.post, beat) for _ in range(300)]
    while not all(one.done() for one in beating):
        answer = servers.other.rpc("awf.task/status", {"id": lease["id"], "include-log?": True})
        assert answer["log"][-1]["versionId"] == answer["resource"]["meta"]["versionId"]
        assert answer["log"][-1]["meta"]["createdAt"] == answer["resource"]["meta"]["lastUpdated"]
        bundle = servers.other.get(f"/AidboxTaskLog?subject={lease['id']}")
        assert int(bundle["entry"][-1]["resource"]["versionId"]) == len(bundle["entry"]) == bundle["total"]
