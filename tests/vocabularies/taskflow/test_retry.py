"""Retries of flows on two servers: the same id, once, and not while the flow runs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.fixtures.servers import CallRefused, Server
from tests.fixtures.taskflows import Caller, flow, task, tasks
from tests.fixtures.two_servers import TwoServers
from tests.fixtures.waiting import until

ONCE = {"exactlyOnceTaskExecution": True}


@pytest.fixture
def caller(server: Server) -> Caller:
    return Caller(server)


def half(caller: Caller, options: Any = None) -> Any:
    """Return a flow that failed by one of its two first tasks."""
    id = caller.produce(flow(["a", "b"], ["c"], options=options or {}))
    caller.work("a", {"n": 1})
    caller.fail("b")
    return caller.ended(id)


@pytest.mark.shows("taskflow/retry-all")
def test_all_tasks_are_retried_under_the_same_id(caller: Caller) -> None:
    record = half(caller)
    id = record["taskflowId"]
    again = caller.call("/retry", taskflowId=id)
    assert (again["taskflowId"], again["retryAttempt"], again["createdAt"]) == (id, 1, record["createdAt"])
    assert [*again["stages"]] == [*record["stages"]]
    for name in "abc":
        caller.work(name)
    assert caller.ended(id)["status"] == "COMPLETED"


@pytest.mark.shows("taskflow/exactly-once", "taskflow/retry-failed")
def test_only_failed_tasks_are_retried_when_execution_is_exactly_once(caller: Caller) -> None:
    record = half(caller, ONCE)
    caller.call("/retry", taskflowId=record["taskflowId"])
    taken = caller.work("b", {"n": 2})
    assert taken["params"]["meta"]["taskflowExecutionContext"]["taskflow"]["taskInfo"]["attempt"] == 0
    before = caller.work("c")["params"]["meta"]["taskflowExecutionContext"]["previousStageRes"]
    assert before == [{"taskName": "a", "response": {"n": 1}}, {"taskName": "b", "response": {"n": 2}}]
    assert caller.ended(record["taskflowId"])["status"] == "COMPLETED"
    refused = caller.server.refused("awf.taskflow/retry", {"taskflowId": record["taskflowId"]})
    assert refused == (422, "nothing-to-retry", None)


@pytest.mark.shows("taskflow/response", "taskflow/retry-given")
def test_given_stages_and_given_tasks_are_retried(caller: Caller) -> None:
    record = half(caller)
    id = record["taskflowId"]
    first, second = record["stages"].values()
    b = next(one for one in first["tasks"].values() if one["name"] == "b")
    caller.call("/retry", taskflowId=id, stages=[{"stageId": first["id"], "taskIds": [b["id"]]}])
    caller.work("b")
    caller.work("c", {"v": 1})
    assert caller.ended(id)["status"] == "COMPLETED"
    caller.call("/retry", taskflowId=id, stages=[{"stageId": second["id"]}])
    caller.work("c", {"v": 2})
    record = caller.ended(id)
    assert record["retryAttempt"] == 2
    assert [one["response"] for one in tasks(record)] == [{"n": 1}, None, {"v": 2}]


@pytest.mark.shows("taskflow/retry-given")
def test_stages_and_tasks_of_several_stages_are_retried_together(caller: Caller) -> None:
    id = caller.produce(flow(["a", "b", "x"], ["c", "d"], ["e"], options={"continueOnTaskFailure": True}))
    for name in "abxcde":
        caller.work(name, {"run": 0})
    one, two, three = caller.ended(id)["stages"].values()
    ids = {task["name"]: task["id"] for task in tasks(caller.details(id))}
    some = [{"stageId": one["id"], "taskIds": [ids["a"], ids["b"]]}, {"stageId": two["id"], "taskIds": [ids["d"]]}]
    assert runs_again(caller, id, some) == {"a", "b", "d"}
    assert runs_again(caller, id, [{"stageId": one["id"]}, {"stageId": three["id"]}]) == {"a", "b", "x", "e"}
    assert runs_again(caller, id, [*some, {"stageId": two["id"]}]) == {"a", "b", "c", "d"}


def runs_again(caller: Caller, id: str, stages: Any) -> set[str]:
    """Retry a part of a flow, complete its tasks, and return their names."""
    number = caller.call("/retry", taskflowId=id, stages=stages)["retryAttempt"]

    def is_done() -> bool:
        for name in "abxcde":
            for taken in caller.server.poll(f"svc/{name}", start=True):
                caller.end(taken, "success", {"run": number})
        return caller.status(id) == "COMPLETED"

    until(is_done)
    return {one["name"] for one in tasks(caller.details(id)) if one["response"] == {"run": number}}


@pytest.mark.parametrize(
    ("stages", "path"),
    [
        ([{"stageId": "nope"}], "$.params.stages[0].stageId"),
        ([{"stageId": "S1"}, {"stageId": "S1", "taskIds": ["nope"]}], "$.params.stages[1].taskIds[0]"),
        ([], "$.params.stages"),
        ([{"stageId": "S1", "taskIds": []}], "$.params.stages[0].taskIds"),
        ([{}], "$.params.stages[0].stageId"),
        ([{"stageId": "S1", "tasks": []}], "$.params.stages[0].tasks"),
    ],
)
def test_a_retry_of_an_unknown_stage_or_task_is_refused(caller: Caller, stages: Any, path: str) -> None:
    record = half(caller)
    ids = {"S1": next(iter(record["stages"]))}
    named = [{**one, **({"stageId": ids.get(one["stageId"], "nope")} if "stageId" in one else {})} for one in stages]
    refused = caller.server.refused("awf.taskflow/retry", {"taskflowId": record["taskflowId"], "stages": named})
    assert refused == (400, "invalid-params", path)
    assert caller.details(record["taskflowId"])["retryAttempt"] == 0


@pytest.mark.shows("taskflow/retry-running-refused")
def test_a_live_flow_cannot_be_retried(caller: Caller) -> None:
    id = caller.produce(flow(["a"]))
    refused = caller.server.refused("awf.taskflow/retry", {"taskflowId": id})
    assert refused == (422, "taskflow-not-done", "$.params.taskflowId")


def test_a_cancelled_flow_is_retried(caller: Caller) -> None:
    id = caller.produce(flow(["a", "b"], options=ONCE))
    caller.work("a")
    caller.take("b")
    caller.call("/cancel", taskflowId=id)
    caller.call("/retry", taskflowId=id)
    caller.work("b")
    assert caller.ended(id)["status"] == "COMPLETED"


@pytest.mark.shows("taskflow/retry-raced")
def test_one_of_concurrent_retries_begins(servers: TwoServers, pool: ThreadPoolExecutor) -> None:
    callers = [Caller(servers.one), Caller(servers.other)]
    record = half(callers[0])
    id, first = record["taskflowId"], next(iter(record["stages"]))
    wanted: list[dict[str, Any]] = [{}, {"stages": [{"stageId": first}]}] * 5

    def retry(number: int) -> tuple[str, int]:
        try:
            return "made", callers[number % 2].call("/retry", taskflowId=id, **wanted[number])["retryAttempt"]
        except CallRefused as refused:
            return refused.fault["type"], 1

    outcomes = [*pool.map(retry, range(len(wanted)))]
    assert {attempt for _, attempt in outcomes} == {1}
    assert {"made"} <= {outcome for outcome, _ in outcomes} <= {"made", "taskflow-not-done"}
    assert servers.one.query(f"select count(*) from fencepost.workflow_names where id like '{id}~%%'") == [(1,)]
    for name in "abc":
        callers[0].work(name)
    assert callers[1].ended(id)["status"] == "COMPLETED"


def test_a_flow_of_a_template_is_retried_as_it_was(caller: Caller) -> None:
    template = {"name": "Lamps", "stages": flow([task("a", {"v": "{{context.v}}"})])["stages"], "context": {"v": 1}}
    kept = caller.call(".template/add", template=template)
    id = caller.call(".template/execute", templateId=kept["id"], context={"v": 2})["taskflowId"]
    caller.fail("a")
    caller.ended(id)
    changed = {"id": kept["id"], "stages": flow(["other"])["stages"]}
    caller.call(".template/update", template=changed)
    caller.call("/retry", taskflowId=id)
    assert caller.work("a")["params"]["params"] == {"v": 2}
    assert caller.ended(id)["name"] == "Lamps"


def test_a_repeated_retry_request_is_the_same_retry(caller: Caller) -> None:
    id = half(caller)["taskflowId"]
    caller.call("/retry", taskflowId=id, requestId="again")
    assert caller.call("/retry", taskflowId=id, requestId="again")["retryAttempt"] == 1
    caller.fail("a")
    caller.fail("b")
    caller.ended(id)
    assert caller.call("/retry", taskflowId=id, requestId="again")["retryAttempt"] == 1
    assert caller.call("/retry", taskflowId=id, requestId="once more")["retryAttempt"] == 2
    caller.fail("a")
    caller.fail("b")
    caller.ended(id)
    for late in ("again", "once more"):
        assert caller.call("/retry", taskflowId=id, requestId=late)["retryAttempt"] == 2


def test_a_caller_cannot_create_a_run_of_a_flow(caller: Caller) -> None:
    id = half(caller)["taskflowId"]
    run = {"taskflowId": id, "createdAt": 1, "retryAttempt": 7}
    params = {**flow(["a"]), "run": run}
    create = {"definition": "awf.taskflow/flow", "params": params}
    other = caller.server.rpc("awf.workflow/create-and-execute", create)["resource"]["id"]
    assert caller.details(other)["taskflowId"] == other
    assert caller.details(id)["retryAttempt"] == 0
    create["id"] = f"{id}~1"
    assert caller.server.refused("awf.workflow/create-and-execute", create)[1] == "invalid-params"


def test_a_flow_waits_for_a_core_task_that_is_retried_directly(caller: Caller) -> None:
    id = caller.produce(flow(["a", "b"], ["c"]))
    deciders = caller.server.app.engine.deciders
    failed = caller.fail("b")
    caller.server.run(deciders.run_pending_decisions(id))
    assert caller.statuses(id)["b"] == "FAILED"
    caller.server.rpc("awf.task/retry", {"id": failed["id"]})
    caller.work("a")
    caller.server.run(deciders.run_pending_decisions(id))
    assert (caller.status(id), caller.statuses(id)["b"]) == ("RUNNING", "QUEUED")
    caller.work("b")
    caller.work("c")
    assert caller.ended(id)["status"] == "COMPLETED"
