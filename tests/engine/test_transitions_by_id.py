"""Transitions by id: they move a named task to a status, with the log entries that polls and workers would leave."""

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


def test_success_by_id_starts_and_finishes_a_ready_task(server: Server, task: dict[str, Any]) -> None:
    done = move(server, task["id"], "success", content=b'{"by":"hand"}')
    assert (done.status, done.outcome, done.result, done.worker) == ("done", "succeeded", b'{"by":"hand"}', "by-hand")
    assert actions(server, task["id"]) == [("awf.task/start", "in-progress"), ("awf.task/success", "done")]


def test_each_transition_by_id_reaches_its_status(server: Server, task: dict[str, Any]) -> None:
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


def test_a_transition_by_id_ends_the_lease_of_a_poll_and_its_worker_is_refused(
    server: Server, task: dict[str, Any]
) -> None:
    (polled,) = server.poll(start=True)
    move(server, task["id"], "fail", content=b'{"stopped":true}')
    params = {"id": task["id"], "execId": polled["execId"]}
    assert server.refused("awf.task/success", params)[0] == 409


def test_a_transition_from_another_status_raises_the_current_task(server: Server, task: dict[str, Any]) -> None:
    with pytest.raises(UnexpectedState) as caught:
        move(server, task["id"], "success", allowed={"in-progress"})
    assert caught.value.task.status == "ready"
    with pytest.raises(Refusal, match="there is no task"):
        move(server, "nobody", "start")


def test_a_result_that_violates_the_schema_makes_no_transition(server: Server) -> None:
    server.define(result={"type": "object", "required": ["url"]})
    id = server.create()["id"]
    with pytest.raises(Refusal) as caught:
        move(server, id, "success", content=b"{}")
    assert caught.value.field == "result"
    assert actions(server, id) == []
    assert move(server, id, "success", content=b'{"url":"x"}').outcome == "succeeded"


def test_one_of_many_concurrent_starts_by_id_succeeds(server: Server, task: dict[str, Any]) -> None:
    async def all_at_once() -> list[Any]:
        moves = (
            server.app.engine.transitions.apply(task["id"], "start", allowed={"ready"}, caller="somebody")
            for _ in range(10)
        )
        return await asyncio.gather(*moves, return_exceptions=True)

    outcomes = server.run(all_at_once())
    assert sum(isinstance(one, Task) for one in outcomes) == 1
    assert sum(isinstance(one, UnexpectedState) for one in outcomes) == 9


def test_a_task_with_a_limit_cannot_be_started_by_id(server: Server) -> None:
    server.define(concurrencyLimit=1)
    id = server.create()["id"]
    with pytest.raises(Refusal, match="has a limit: only a poll can start"):
        move(server, id, "start")
    assert server.task(id)["status"] == "ready"


def test_the_end_of_an_activity_by_id_becomes_an_event_of_its_workflow(server: Server, task: dict[str, Any]) -> None:
    decider = Decider(server, "demo/steps")
    workflow = decider.create()
    decider.decide(decider.decision(), decider.task("one"))
    (activity,) = decider.status(workflow["id"])["activities"]
    move(server, activity["id"], "fail", content=b"{}")
    # It has retries left, as after any failure.
    assert server.task(activity["id"])["status"] == "waiting"
    move(server, activity["id"], "cancel", allowed=LIVE)
    assert decider.decision()["params"]["outcome"] == "canceled"


@pytest.mark.parametrize("verb", ["claim", "start", "success", "fail"])
def test_a_transition_of_an_expired_task_fails_even_before_it_is_reaped(
    frozen_server: Server, clock: FrozenClock, verb: Verb
) -> None:
    frozen_server.define()
    id = frozen_server.create(settings={"expiresAfter": 500})["id"]
    clock.advance(timedelta(milliseconds=500))
    with pytest.raises(UnexpectedState) as caught:
        move(frozen_server, id, verb)
    assert (caught.value.task.status, caught.value.task.reason_type) == ("done", "awf.task/expired")
    assert actions(frozen_server, id) == [("awf.engine/expire", "done")]


def test_an_activity_that_expires_in_a_transition_becomes_an_event_of_its_workflow(
    frozen_server: Server, clock: FrozenClock
) -> None:
    frozen_server.define()
    decider = Decider(frozen_server, "demo/steps")
    workflow = decider.create()
    decider.decide(decider.decision(), decider.task("one", settings={"expiresAfter": 500}))
    (activity,) = decider.status(workflow["id"])["activities"]
    clock.advance(timedelta(milliseconds=500))
    with pytest.raises(UnexpectedState):
        move(frozen_server, activity["id"], "start")
    assert decider.decision()["params"]["outcome"] == "failed"
