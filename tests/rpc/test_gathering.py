"""Lone calls that arrive in one turn of the event loop run as one list."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, cast

import msgspec
import orjson
import pytest

from fencepost.engine.context import Context
from fencepost.engine.outcomes import Outcomes
from fencepost.errors import TASK_NOT_FOUND, Refusal
from fencepost.rpc.endpoint import PlainCaller, Response
from fencepost.rpc.gathering import Gathering
from fencepost.rpc.registry import Registry
from fencepost.settings import Limits
from tests.fixtures.servers import Server

CALLER = PlainCaller("anonymous", "http://localhost")
methods = Registry()


class Params(msgspec.Struct, frozen=True):
    id: str | None = None
    key: int = 0


class Result(msgspec.Struct, frozen=True):
    calls: list[str | None]


@methods.batched("test/list", gathered=lambda params: params.key)
async def listed(context: Context, calls: Sequence[Params]) -> Outcomes[Result]:
    """Return the ids of the calls that run together."""
    await asyncio.sleep(0)
    together = [call.id for call in calls]
    if "bug" in together:
        raise ZeroDivisionError
    return [Refusal(TASK_NOT_FOUND, id=id) if id == "gone" else Result(together) for id in together]


def gathered(*calls: Params | tuple[str, Params], cancel: bool = False) -> list[Any]:
    """Gather calls in one turn, some of them of a named caller; return their outcomes in the order of their ends."""
    ends: list[Any] = []

    async def run() -> None:
        gathering, tasks = Gathering(), set()
        for call in calls:
            caller, params = call if isinstance(call, tuple) else ("anonymous", call)
            context = Context(cast("Any", None), {}, caller, Limits())
            tasks.add(gathering.add(methods.methods["test/list"], context, params, ends.append))
        if cancel:
            for task in tasks:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(run())
    return [end.calls if isinstance(end, Result) else type(end) for end in ends]


def test_the_calls_of_a_turn_run_together_and_each_has_its_own_outcome() -> None:
    assert gathered(Params("a"), Params(), Params("gone"), Params()) == [
        ["a", None, "gone", None],
        ["a", None, "gone", None],
        Refusal,
        ["a", None, "gone", None],
    ]


def test_a_second_call_on_a_task_runs_in_a_later_list() -> None:
    assert gathered(Params("a"), Params("b"), Params("a"), Params("c")) == [["a", "b"], ["a", "b"], *[["a", "c"]] * 2]


def test_calls_of_another_caller_or_key_run_by_themselves() -> None:
    assert gathered(Params("a"), Params("b", key=1), ("alice", Params("c"))) == [["a"], ["b"], ["c"]]


def test_an_error_of_the_list_is_the_outcome_of_each_call() -> None:
    assert gathered(Params("a"), Params("bug")) == [ZeroDivisionError] * 2


def test_calls_that_are_cancelled_before_they_begin_are_told() -> None:
    assert gathered(Params("a"), Params("b"), cancel=True) == [asyncio.CancelledError] * 2


async def entered(server: Server, calls: Sequence[dict[str, Any]]) -> list[Any]:
    """Enter calls in one turn; return the answers in the order of their ends, with the place of each call."""
    ends: list[tuple[int, Response]] = []

    def end(place: int) -> Callable[[Response], None]:
        return lambda response: ends.append((place, response))

    tasks = set()
    for place, call in enumerate(calls):
        task = server.app.rpc.enter(CALLER, orjson.dumps(call), end(place))
        assert task is not None
        tasks.add(task)
    await asyncio.gather(*tasks)
    return [(place, response.status, orjson.loads(response.content)) for place, response in ends]


def test_polls_of_one_turn_share_the_tasks(server: Server) -> None:
    server.define()
    ids = {server.create()["id"] for _ in range(4)}
    poll = {"method": "awf.task/poll", "params": {"taskDefinitions": ["demo/resize"], "maxBatchSize": 2}}
    bad = {"method": "awf.task/poll", "params": {"taskDefinitions": ["demo/resize"], "maxBatchSize": 1_000_000}}
    answers = sorted(server.run(entered(server, [{**poll, "id": 1}, bad, poll, poll])))
    assert [(status, answer.get("id")) for _, status, answer in answers] == [(200, 1), (400, None), *[(200, None)] * 2]
    sizes = [len(answer["result"]["resources"]) for _, status, answer in answers if status == 200]
    assert sizes == [2, 2, 0]
    assert {
        task["id"] for _, status, answer in answers if status == 200 for task in answer["result"]["resources"]
    } == ids


def test_calls_on_one_task_keep_their_order(server: Server) -> None:
    server.define()
    server.create()
    (task,) = server.poll()
    lease = {"id": task["id"], "execId": task["execId"]}
    calls = [{"method": f"awf.task/{verb}", "params": lease} for verb in ("start", "start")]
    answers = server.run(entered(server, [*calls, {"method": "awf.task/start", "params": {**lease, "id": "none"}}]))
    assert [(place, status) for place, status, _ in answers] == [(0, 200), (1, 200), (2, 404)]


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b' {"method": "awf.task/poll", "params": {"taskDefinitions": ["x"]}}',
        b"{",
        b'{"method": "awf.task/poll", "method": "awf.task/poll"}',
        b'{"method": "awf.task/none"}',
        b'{"method": "awf.task/start", "params": {}}',
        b'{"method": "awf.task/status", "params": {"id": "x"}}',
        b'{"method": "awf.task/long-poll", "params": {"taskDefinitions": ["x"]}}',
    ],
)
def test_other_bodies_are_not_entered_and_hold_no_memory(server: Server, body: bytes) -> None:
    async def enter() -> bool:
        return server.app.rpc.enter(CALLER, body, lambda _: None) is None

    assert server.run(enter())
    assert server.app.rpc._admission.bodies.used == 0
