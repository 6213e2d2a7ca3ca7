"""Moves by hand: a named task is brought where it is wanted, and leaves the log that polls and workers would."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from fencepost.clock import FrozenClock
from fencepost.domain.task import Task
from fencepost.domain.transitions import LIVE
from fencepost.engine.transitions_by_id import UnexpectedState
from fencepost.errors import Refusal
from fencepost.store.transitions_by_id import Verb
from tests.fixtures.servers import Server
from tests.fixtures.workflows import Decider


@pytest.fixture
def task(server: Server) -> dict[str, Any]:
    server.define()
    created: dict[str, Any] = server.create()
    return created


def move(server: Server, id: str, verb: Verb, **members: Any) -> Task:
    return server.run(server.app.engine.transitions.apply(id, verb, caller="somebody", worker="by-hand", **members))


def actions(server: Server, id: str) -> list[tuple[str, str]]:
    return [(entry["action"], entry["status-after"]) for entry in server.log(id)[1:]]


def test_a_task_is_finished_from_where_it_stands_in_one_move(server: Server, task: dict[str, Any]) -> None:
    done = move(server, task["id"], "success", content=b'{"by":"hand"}')
    assert (done.status, done.outcome, done.result, done.worker) == ("done", "succeeded", b'{"by":"hand"}', "by-hand")
    assert actions(server, task["id"]) == [("awf.task/start", "in-progress"), ("awf.task/success", "done")]


def test_each_move_by_itself(server: Server, task: dict[str, Any]) -> None:
    id = task["id"]
    assert move(server, id, "claim").status == "requested"
    assert move(server, id, "start").status == "in-progress"
    assert move(server, id, "release").status == "ready"
    assert move(server, id, "start").status == "in-progress"
    assert move(server, id, "cancel", allowed=LIVE).outcome == "canceled"
    assert move(server, id, "retry", allowed={"done"}).status == "ready"
    assert [status for _, status in actions(server, id)] == [
        "requested",
        "in-progress",
        "ready",
        "in-progress",
        "done",
        "ready",
    ]


def test_who_holds_it_by_a_poll_is_moved_too_and_a_late_one_meets_the_fence(
    server: Server, task: dict[str, Any]
) -> None:
    (polled,) = server.poll(start=True)
    move(server, task["id"], "fail", content=b'{"stopped":true}')
    params = {"id": task["id"], "execId": polled["execId"]}
    assert server.refused("awf.task/success", params)[0] == 409


def test_what_stands_elsewhere_is_told_as_it_stands(server: Server, task: dict[str, Any]) -> None:
    with pytest.raises(UnexpectedState) as caught:
        move(server, task["id"], "success", allowed={"in-progress"})
    assert caught.value.task.status == "ready"
    with pytest.raises(Refusal, match="there is no task"):
        move(server, "nobody", "start")


def test_a_result_that_does_not_fit_leaves_nothing_half_done(server: Server) -> None:
    server.define(result={"type": "object", "required": ["url"]})
    id = server.create()["id"]
    with pytest.raises(Refusal) as caught:
        move(server, id, "success", content=b"{}")
    assert caught.value.at == "$.result"
    assert actions(server, id) == []
    assert move(server, id, "success", content=b'{"url":"x"}').outcome == "succeeded"


def test_of_many_who_start_one_task_at_once_one_does(server: Server, task: dict[str, Any]) -> None:
    async def all_at_once() -> list[Any]:
        moves = (
            server.app.engine.transitions.apply(task["id"], "start", allowed={"ready"}, caller="somebody")
            for _ in range(10)
        )
        return await asyncio.gather(*moves, return_exceptions=True)

    outcomes = server.run(all_at_once())
    assert sum(isinstance(one, Task) for one in outcomes) == 1
    assert sum(isinstance(one, UnexpectedState) for one in outcomes) == 9


def test_what_has_a_limit_is_given_out_by_polls_alone(server: Server) -> None:
    server.define(concurrencyLimit=1)
    id = server.create()["id"]
    with pytest.raises(Refusal, match="has a limit: only a poll can start"):
        move(server, id, "start")
    assert server.task(id)["status"] == "ready"


def test_the_workflow_of_a_moved_task_hears_of_its_end(server: Server, task: dict[str, Any]) -> None:
    decider = Decider(server, "demo/steps")
    workflow = decider.create()
    decider.decide(decider.decision(), decider.task("one"))
    (activity,) = decider.status(workflow["id"])["activities"]
    move(server, activity["id"], "fail", content=b"{}")
    # Its retries are left, as after any failure.
    assert server.task(activity["id"])["status"] == "waiting"
    move(server, activity["id"], "cancel", allowed=LIVE)
    assert decider.decision()["params"]["outcome"] == "canceled"


@pytest.mark.parametrize("verb", ["claim", "start", "success", "fail"])
def test_what_nobody_began_in_time_is_over_though_no_reaper_came(
    frozen_server: Server, clock: FrozenClock, verb: Verb
) -> None:
    frozen_server.define()
    id = frozen_server.create(settings={"expiresAfter": 500})["id"]
    clock.advance(timedelta(milliseconds=500))
    with pytest.raises(UnexpectedState) as caught:
        move(frozen_server, id, verb)
    assert (caught.value.task.status, caught.value.task.reason_type) == ("done", "awf.task/expired")
    assert actions(frozen_server, id) == [("awf.engine/expire", "done")]


def test_the_workflow_of_what_nobody_began_in_time_hears_of_it(frozen_server: Server, clock: FrozenClock) -> None:
    frozen_server.define()
    decider = Decider(frozen_server, "demo/steps")
    workflow = decider.create()
    decider.decide(decider.decision(), decider.task("one", settings={"expiresAfter": 500}))
    (activity,) = decider.status(workflow["id"])["activities"]
    clock.advance(timedelta(milliseconds=500))
    with pytest.raises(UnexpectedState):
        move(frozen_server, activity["id"], "start")
    assert decider.decision()["params"]["outcome"] == "failed"
