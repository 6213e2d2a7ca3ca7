"""Workflow races between two servers: a server is stopped inside a transaction while it holds its locks."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from fencepost.clock import FrozenClock
from tests.fixtures.locks import locked_rows, stopped_in, until_stuck
from tests.fixtures.servers import Server
from tests.fixtures.two_servers import TwoServers, essence
from tests.fixtures.waiting import until
from tests.fixtures.workflows import COMPLETE, Decider

pytestmark = pytest.mark.shows("guarantees/canceled-starts-nothing")


@pytest.fixture
def decider(servers: TwoServers) -> Decider:
    """A decider of `demo/order` on the first of two servers."""
    return Decider(servers.one, "demo/order")


def lease(task: Any) -> dict[str, str]:
    return {"id": task["id"], "execId": task["execId"]}


def test_canceling_a_workflow_cancels_activities_that_are_being_claimed(
    servers: TwoServers, decider: Decider, pool: ThreadPoolExecutor
) -> None:
    workflow = decider.create()
    decider.decide(decider.decision(), decider.task("one"), decider.task("two"))
    with stopped_in(servers.conninfo, "live_tasks", "update"):
        claim = pool.submit(servers.other.poll, maxBatchSize=2, start=True)
        until_stuck(servers.conninfo, claim)
        cancel = pool.submit(servers.one.rpc, "awf.workflow/cancel", {"id": workflow["id"]})
        until_stuck(servers.conninfo, claim, cancel)
    tasks = claim.result(10)
    assert cancel.result(10)["resource"]["outcome"] == "canceled"
    assert {activity["outcome"] for activity in decider.status(workflow["id"])["activities"]} == {"canceled"}
    for task in tasks:
        assert essence(servers.other, "awf.task/success", lease(task)) == (409, "task-has-been-done")
    assert servers.other.query("select from fencepost.live_tasks") == []


def test_canceling_a_workflow_cancels_the_actions_of_a_decision_in_progress(
    servers: TwoServers, decider: Decider, pool: ThreadPoolExecutor
) -> None:
    workflow = decider.create()
    decision = decider.decision()
    actions = [decider.task("one"), decider.child("sub", "demo/order")]
    with stopped_in(servers.conninfo, "live_tasks", "insert"):
        decide = pool.submit(servers.other.rpc, "awf.task/success", {**lease(decision), "result": actions})
        until_stuck(servers.conninfo, decide)
        cancel = pool.submit(servers.one.rpc, "awf.workflow/cancel", {"id": workflow["id"]})
        until_stuck(servers.conninfo, decide, cancel)
    decide.result(10)
    cancel.result(10)
    activities = decider.status(workflow["id"])["activities"]
    assert [(activity["label"], activity["outcome"]) for activity in activities] == [
        ("one", "canceled"),
        ("sub", "canceled"),
    ]
    assert servers.one.poll() == decider.poll() == []


def test_a_decision_after_a_cancel_starts_nothing(
    servers: TwoServers, decider: Decider, pool: ThreadPoolExecutor
) -> None:
    workflow = decider.create()
    decision = decider.decision()
    with stopped_in(servers.conninfo, "done_workflows", "insert"):
        cancel = pool.submit(servers.one.rpc, "awf.workflow/cancel", {"id": workflow["id"]})
        until_stuck(servers.conninfo, cancel)
        params = {**lease(decision), "result": [decider.task("one")]}
        decide = pool.submit(essence, servers.other, "awf.task/success", params)
        until_stuck(servers.conninfo, cancel, decide)
    cancel.result(10)
    assert decide.result(10) == (409, "task-has-been-done")
    assert decider.status(workflow["id"])["activities"] == []


def test_canceling_a_workflow_cancels_the_actions_of_a_decision_of_its_child(
    servers: TwoServers, decider: Decider, pool: ThreadPoolExecutor
) -> None:
    workflow = decider.create()
    decider.decide(decider.decision(), decider.child("sub", "demo/order"))
    decision = decider.decision()
    actions = [decider.child("subsub", "demo/order"), decider.task("deep")]
    with stopped_in(servers.conninfo, "live_workflows", "insert"):
        decide = pool.submit(servers.other.rpc, "awf.task/success", {**lease(decision), "result": actions})
        until_stuck(servers.conninfo, decide)
        cancel = pool.submit(servers.one.rpc, "awf.workflow/cancel", {"id": workflow["id"]})
        until_stuck(servers.conninfo, decide, cancel)
    decide.result(10)
    cancel.result(10)
    assert servers.one.query("select from fencepost.live_workflows") == []
    assert servers.one.query("select from fencepost.live_tasks") == []
    outcomes = servers.one.query("select outcome, count(*) from fencepost.done_workflows group by 1")
    assert outcomes == [("canceled", 3)]


def test_two_activities_that_end_at_once_cause_two_events_and_one_decision_at_a_time(
    servers: TwoServers, decider: Decider, pool: ThreadPoolExecutor
) -> None:
    decider.create()
    decider.decide(decider.decision(), decider.task("one"), decider.task("two"))
    one, two = servers.one.poll(maxBatchSize=2, start=True)
    with stopped_in(servers.conninfo, "live_workflows", "update"):
        calls = [pool.submit(servers.one.rpc, "awf.task/success", lease(one))]
        until_stuck(servers.conninfo, *calls)
        calls.append(pool.submit(servers.other.rpc, "awf.task/fail", lease(two)))
        calls.append(pool.submit(servers.other.rpc, "awf.task/cancel", {"id": two["id"]}))
        until_stuck(servers.conninfo, *calls[:2])
    outcomes = Counter(call.exception(10) is None for call in calls)
    assert outcomes[True] >= 2
    for label in ("one", "two"):
        decision = decider.decision()
        assert decision["params"]["label"] == label
        assert decider.poll() == []
        decider.decide(decision)
    assert decider.poll() == []


def test_an_event_during_a_decision_is_delivered_with_the_next_decision(
    servers: TwoServers, decider: Decider, pool: ThreadPoolExecutor
) -> None:
    workflow = decider.create()
    decider.decide(decider.decision(), decider.task("one"))
    servers.one.rpc("awf.workflow/signal", {"id": workflow["id"], "name": "go"})
    decision = decider.decision()
    (task,) = servers.one.poll(start=True)
    with stopped_in(servers.conninfo, "done_tasks", "insert"):
        decide = pool.submit(servers.one.rpc, "awf.task/success", {**lease(decision), "result": []})
        until_stuck(servers.conninfo, decide)
        finish = pool.submit(servers.other.rpc, "awf.task/success", lease(task))
        until_stuck(servers.conninfo, decide, finish)
    decide.result(10)
    finish.result(10)
    assert decider.decision()["params"]["label"] == "one"


def test_a_parent_that_ends_together_with_its_child_leaves_no_event(
    servers: TwoServers, decider: Decider, pool: ThreadPoolExecutor
) -> None:
    parent = decider.create()
    decider.decide(decider.decision(), decider.child("sub", "demo/order"))
    servers.one.rpc("awf.workflow/signal", {"id": parent["id"], "name": "stop"})
    decisions = {decision["params"]["event"]: decision for decision in decider.poll(maxBatchSize=2)}
    ends = [pool.submit(essence_of_end, server, one) for server, one in zip(servers, decisions.values(), strict=True)]
    assert {end.result(20) for end in ends} <= {"done", (409, "task-has-been-done")}
    assert servers.one.query("select from fencepost.live_workflows") == []
    assert servers.one.query("select from fencepost.workflow_events") == []
    assert servers.one.query("select from fencepost.live_tasks") == []


def essence_of_end(server: Server, decision: Any) -> Any:
    said = essence(server, "awf.task/success", {**lease(decision), "result": [COMPLETE]})
    return said["status"] if isinstance(said, dict) else said


def test_a_workflow_that_is_locked_when_due_starts_later(frozen_server: Server, clock: FrozenClock) -> None:
    later = Decider(frozen_server, "demo/order")
    id = later.create(executeAt="2026-01-01T01:00:00Z")["id"]
    with locked_rows(frozen_server.conninfo, "live_workflows"):
        clock.advance(timedelta(hours=1))
        frozen_server.reap()
        assert (later.status(id)["resource"]["status"], later.poll()) == ("created", [])
    frozen_server.reap()
    until(lambda: later.status(id)["resource"]["status"] == "in-progress")
    assert later.decision()["params"]["event"] == "awf.workflow.event/workflow-init"


def test_workflow_trees_that_end_at_once_do_not_deadlock(
    servers: TwoServers, decider: Decider, pool: ThreadPoolExecutor
) -> None:
    """Parents and children end concurrently on two servers, in any order."""
    for _ in range(30):
        decider.create()
    for decision in decider.poll(maxBatchSize=100):
        decider.decide(decision, decider.child("a", "demo/order"), decider.child("b", "demo/order"), decider.task("t"))
    workflows = servers.one.rpc("awf.workflow/list", {"limit": 1000})["resources"]
    children = decider.poll(maxBatchSize=100)
    tasks = servers.one.poll(maxBatchSize=100, start=True)
    calls: list[tuple[str, dict[str, Any]]] = [
        *(("awf.workflow/cancel", {"id": workflow["id"]}) for workflow in workflows[::3]),
        *(("awf.task/success", {**lease(child), "result": [COMPLETE]}) for child in children),
        *(("awf.task/success", lease(task)) for task in tasks),
    ]
    said = [pool.submit(essence, servers[place % 2], *call) for place, call in enumerate(calls)]
    refusals = {one.result(30) for one in said if isinstance(one.result(30), tuple)}
    assert refusals <= {(409, "task-has-been-done"), (422, "workflow-has-been-done")}
    for workflow in servers.one.rpc("awf.workflow/list", {"filter": {"status": "in-progress"}})["resources"]:
        servers.other.rpc("awf.workflow/cancel", {"id": workflow["id"]})
    for table in ("live_workflows", "live_tasks", "workflow_events"):
        assert servers.one.query(f"select from fencepost.{table}") == []
