"""Nested flows: flows that the handler of a task produces."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest

from tests.fixtures.servers import Server
from tests.fixtures.taskflows import Caller, flow, task, tasks
from tests.fixtures.two_servers import TwoServers
from tests.fixtures.waiting import until


@pytest.fixture
def caller(server: Server) -> Caller:
    return Caller(server)


def nest(caller: Caller, taken: Any, content: Any, **members: Any) -> str:
    """Produce a flow as the handler of a task does."""
    return caller.produce({**content, "meta": taken["params"]["meta"]}, **members)


@pytest.mark.shows("taskflow/parent-details")
def test_a_nested_flow_has_the_whole_context_of_its_parent(caller: Caller) -> None:
    outer = caller.produce(flow(["a"]))
    taken = caller.take("a")
    inner = nest(caller, taken, flow(["b"]))
    info = caller.take("b")["params"]["meta"]["taskflowExecutionContext"]["taskflow"]["taskInfo"]
    assert info["meta"] == taken["params"]["meta"]
    record = caller.details(inner)
    place = taken["params"]["meta"]["taskflowExecutionContext"]["taskflow"]
    assert record["parentTaskflowDetails"] == {
        "taskflowId": outer, "stageId": place["stageId"], "taskId": place["taskId"],
    }  # fmt: skip


@pytest.mark.shows("taskflow/details", "taskflow/nested-members")
def test_a_task_ends_when_its_handler_answered_and_its_nested_flows_ended(caller: Caller) -> None:
    outer = caller.produce(flow(["a"], ["z"]))
    taken = caller.take("a")
    one, other = nest(caller, taken, flow(["b"])), nest(caller, taken, flow(["c"]))
    (shown, _) = tasks(caller.details(outer))
    assert shown["nestedTaskflows"] == shown["nestedActiveRunningTaskFlowIds"] == [one, other]
    assert shown["nestedTaskflowId"] == other
    caller.end(taken, "success", {"mine": 1})
    caller.work("b")
    until(lambda: tasks(caller.details(outer))[0]["nestedActiveRunningTaskFlowIds"] == [other])
    (shown, last) = tasks(caller.details(outer))
    assert (shown["status"], last["status"]) == ("RUNNING", "WAITING")
    caller.work("c")
    caller.work("z")
    record = caller.ended(outer)
    assert [shown["status"] for shown in tasks(record)] == ["SUCCESS", "SUCCESS"]
    assert tasks(record)[0]["response"] == {"mine": 1}
    assert record["nestedTaskFlows"].keys() == {one, other}
    assert record["nestedTaskFlows"][one]["status"] == "COMPLETED"


@pytest.mark.shows("taskflow/nested-failed")
def test_a_failed_nested_flow_makes_its_task_failed(caller: Caller) -> None:
    outer = caller.produce(flow(["a"]))
    taken = caller.take("a")
    nest(caller, taken, flow(["b"]))
    caller.fail("b")
    caller.end(taken)
    (shown,) = tasks(caller.ended(outer))
    assert shown["status"] == "FAILED"


@pytest.mark.shows("taskflow/cancel-nested")
def test_a_cancel_reaches_nested_flows_at_any_depth(caller: Caller) -> None:
    outer = caller.produce(flow(["a"]))
    middle = nest(caller, caller.take("a"), flow(["b"]))
    inner = nest(caller, caller.take("b"), flow(["c"]))
    caller.call("/cancel", taskflowId=outer)
    assert [caller.status(id) for id in (outer, middle, inner)] == ["CANCELLED"] * 3
    assert caller.server.poll("svc/c") == []
    tree = caller.details(outer)
    assert tree["nestedTaskFlows"][middle]["nestedTaskFlows"][inner]["status"] == "CANCELLED"


def test_a_cancelled_nested_flow_makes_its_task_failed(caller: Caller) -> None:
    outer = caller.produce(flow(["a"]))
    taken = caller.take("a")
    inner = nest(caller, taken, flow(["b"]))
    caller.end(taken)
    caller.call("/cancel", taskflowId=inner)
    assert caller.ended(outer)["status"] == "FAILED"


def test_a_repeated_request_of_a_handler_is_one_flow(servers: TwoServers, pool: ThreadPoolExecutor) -> None:
    callers = [Caller(servers.one), Caller(servers.other)]
    outer = callers[0].produce(flow(["a"]))
    taken = callers[0].take("a")
    ids = {*pool.map(lambda n: nest(callers[n % 2], taken, flow(["b"]), requestId="beds"), range(8))}
    assert len(ids) == 1
    callers[0].end(taken)
    assert nest(callers[1], taken, flow(["b"]), requestId="beds") in ids
    content = {**flow(["other"]), "meta": taken["params"]["meta"], "requestId": "beds"}
    assert servers.one.refused("awf.taskflow/produce", content) == (409, "request-id-reused", "$.params.requestId")
    callers[0].work("b")
    assert callers[0].ended(outer)["status"] == "COMPLETED"


def test_nested_flows_of_an_earlier_attempt_do_not_count(caller: Caller) -> None:
    outer = caller.produce(flow([task("a", options={"maxRetries": 1})]))
    taken = caller.take("a")
    nest(caller, taken, flow(["b"]))
    caller.fail("b")
    caller.end(taken, "fail")
    taken = caller.take("a")
    nest(caller, taken, flow(["b"]))
    caller.work("b")
    caller.end(taken)
    assert caller.ended(outer)["status"] == "COMPLETED"


def test_a_nested_flow_for_a_task_that_does_not_run_is_refused(caller: Caller) -> None:
    outer = caller.produce(flow(["a"], ["z"]))
    taken = caller.take("a")
    meta = taken["params"]["meta"]
    caller.end(taken)
    caller.take("z")
    content = {**flow(["b"]), "meta": meta}
    place = "$.params.meta.taskflowExecutionContext.taskflow"
    assert caller.server.refused("awf.taskflow/produce", content) == (422, "parent-is-over", f"{place}.taskId")
    caller.call("/cancel", taskflowId=outer)
    assert caller.server.refused("awf.taskflow/produce", content) == (422, "parent-is-over", f"{place}.taskId")


@pytest.mark.parametrize(
    ("member", "type"), [("id", "taskflow-not-found"), ("stageId", "invalid-params"), ("taskId", "invalid-params")]
)
def test_a_nested_flow_for_an_unknown_parent_is_refused(caller: Caller, member: str, type: str) -> None:
    caller.produce(flow(["a"]))
    place = caller.take("a")["params"]["meta"]["taskflowExecutionContext"]["taskflow"]
    meta = {"taskflowExecutionContext": {"taskflow": {**place, member: str(uuid4())}}}
    _, found, path = caller.server.refused("awf.taskflow/produce", {**flow(["b"]), "meta": meta})
    assert (found, path) == (type, f"$.params.meta.taskflowExecutionContext.taskflow.{member}")


def test_an_ended_execution_cannot_produce_a_flow(caller: Caller) -> None:
    caller.produce(flow(["a"]))
    taken = caller.take("a")
    content = {**flow(["b"]), "meta": taken["params"]["meta"], "execId": str(uuid4())}
    assert caller.server.refused("awf.taskflow/produce", content) == (409, "exec-id-mismatch", "$.params.execId")
    assert nest(caller, taken, flow(["b"]), execId=taken["execId"])


def test_a_retried_attempt_gets_its_nested_flow_back_unless_that_failed(caller: Caller) -> None:
    outer = caller.produce(flow([task("a", options={"maxRetries": 2})]))
    taken = caller.take("a")
    first = nest(caller, taken, flow(["b"]), requestId="beds")
    caller.end(taken, "fail")
    taken = caller.take("a")
    assert nest(caller, taken, flow(["b"]), requestId="beds") == first
    caller.fail("b")
    caller.ended(first)
    caller.end(taken, "fail")
    taken = caller.take("a")
    second = nest(caller, taken, flow(["b"]), requestId="beds")
    assert second != first
    caller.work("b")
    caller.ended(second)
    assert nest(caller, taken, flow(["b"]), requestId="beds") == second
    caller.end(taken)
    assert caller.ended(outer)["status"] == "COMPLETED"
