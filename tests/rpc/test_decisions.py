"""Decisions over the wire: the actions of a decision are applied completely and once, or refused."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fixtures.servers import Server
from tests.fixtures.workflows import ACTION, COMPLETE, FAIL, NOTHING, Decider, finish

pytestmark = pytest.mark.shows("guarantees/decision-once")


@pytest.mark.parametrize("result", [{**NOTHING}, [], [NOTHING, NOTHING]])
def test_the_result_of_a_decision_is_one_action_or_an_array(server: Server, decider: Decider, result: Any) -> None:
    workflow = decider.create()
    decision = decider.decision()
    ended = server.rpc("awf.task/success", {"id": decision["id"], "execId": decision["execId"], "result": result})
    assert ended["resource"]["result"] == result
    assert decider.status(workflow["id"])["resource"]["status"] == "in-progress"


@pytest.mark.parametrize(
    ("result", "path"),
    [
        (None, "$.params.result"),
        ({}, "$.params.result.action"),
        ({"action": "schedule-task"}, "$.params.result.action"),
        ([NOTHING, {"action": ACTION + "schedule-task"}], "$.params.result[1].task-request"),
        ({"action": ACTION + "schedule-task", "task-request": {}}, "$.params.result.task-request.definition"),
        (
            {"action": ACTION + "schedule-task", "task-request": {"definition": "demo/resise"}},
            "$.params.result.task-request.definition",
        ),
        (
            {"action": ACTION + "schedule-task", "task-request": {"definition": "demo/order"}},
            "$.params.result.task-request.definition",
        ),
        (
            {"action": ACTION + "schedule-task", "task-request": {"definition": "demo/checked", "params": {"n": "x"}}},
            "$.params.result.task-request.params.n",
        ),
        (
            {"action": ACTION + "schedule-task", "task-request": {"definition": "demo/resize", "params": [1]}},
            "$.params.result.task-request.params",
        ),
        (
            {"action": ACTION + "schedule-task", "task-request": {"definition": "demo/resize", "executeAt": "noon"}},
            "$.params.result.task-request.executeAt",
        ),
        ({"action": ACTION + "schedule-workflow"}, "$.params.result"),
        (
            {"action": ACTION + "schedule-workflow", "workflow-request": {"definition": "demo/resize"}},
            "$.params.result.workflow-request.definition",
        ),
        ([COMPLETE, NOTHING], "$.params.result[1]"),
        ([{**FAIL, "error": "disk"}], "$.params.result[0].error"),
        ([{**COMPLETE, "reslt": {}}], "$.params.result[0].reslt"),
    ],
)
def test_an_invalid_action_refuses_the_whole_decision(server: Server, decider: Decider, result: Any, path: str) -> None:
    server.define("demo/checked", params={"properties": {"n": {"type": "integer"}}})
    workflow = decider.create()
    decision = decider.decision()
    lease = {"id": decision["id"], "execId": decision["execId"]}
    good = decider.task("good")
    several = [good, *result] if isinstance(result, list) else result

    assert server.refused("awf.task/success", {**lease, "result": result}) == (422, "invalid-action", path)
    if several is not result:
        assert server.refused("awf.task/success", {**lease, "result": several})[:2] == (422, "invalid-action")

    assert decider.status(workflow["id"])["activities"] == [], "a part of the refused decision was applied"
    assert server.task(decision["id"])["status"] == "in-progress"
    server.rpc("awf.task/success", {**lease, "result": [good]})
    assert len(decider.status(workflow["id"])["activities"]) == 1


def test_a_label_identifies_one_activity_of_a_workflow(server: Server, decider: Decider) -> None:
    workflow = decider.create()
    Decider(server, "demo/child")
    one = decider.task("one", params={"n": 1})
    decider.decide(decider.decision(), one, one, decider.child("sub", "demo/child"))
    finish(server)

    decision = decider.decision()
    lease = {"id": decision["id"], "execId": decision["execId"]}
    for other in (
        decider.task("one", params={"n": 2}),
        decider.task("sub"),
        decider.child("one", "demo/child"),
        decider.task("one", params={"n": 1}, executeAt="2199-01-01T00:00:00Z"),
    ):
        refused = server.refused("awf.task/success", {**lease, "result": [decider.task("two"), other]})
        assert refused == (422, "invalid-action", "$.params.result[1]")
    decider.decide(decision, one, decider.child("sub", "demo/child"), decider.task("two"))

    labels = [activity["label"] for activity in decider.status(workflow["id"])["activities"]]
    assert sorted(labels) == ["one", "sub", "two"]


def test_a_repeated_action_is_accepted_after_its_definition_changed(server: Server, decider: Decider) -> None:
    workflow = decider.create()
    decider.decide(decider.decision(), decider.task("one", params={"a": 1}), decider.task("two"))
    server.define(retryDelay=0, params={"required": ["b"]})
    finish(server)
    decision = decider.decision()
    lease = {"id": decision["id"], "execId": decision["execId"]}
    refused = server.refused("awf.task/success", {**lease, "result": decider.task("three", params={"a": 1})})
    assert refused == (422, "invalid-action", "$.params.result.task-request.params")
    refused = server.refused("awf.task/success", {**lease, "result": decider.task("one", params={"a": 2})})
    assert refused == (422, "invalid-action", "$.params.result")
    decider.decide(decision, decider.task("one", params={"a": 1}), decider.task("three", params={"b": 1}))
    labels = [activity["label"] for activity in decider.status(workflow["id"])["activities"]]
    assert labels == ["one", "two", "three"]


def test_an_activity_without_a_label_gets_one(server: Server, decider: Decider) -> None:
    workflow = decider.create()
    decision = decider.decision()
    decider.decide(decision, NOTHING, decider.task(), decider.task())
    labels = [activity["label"] for activity in decider.status(workflow["id"])["activities"]]
    assert labels == [f"{decision['id']}/1", f"{decision['id']}/2"]


def test_a_repeated_decision_gets_the_first_answer(server: Server, decider: Decider) -> None:
    workflow = decider.create()
    decision = decider.decision()
    actions = [decider.task("one"), decider.task()]
    first = decider.decide(decision, *actions)

    assert decider.decide(decision, *actions) == first
    assert len(decider.status(workflow["id"])["activities"]) == 2
    lease = {"id": decision["id"], "execId": decision["execId"]}
    assert server.refused("awf.task/success", {**lease, "result": [NOTHING]})[:2] == (409, "task-has-been-done")


def test_schedule_workflow_accepts_a_task_request(server: Server, decider: Decider) -> None:
    child = Decider(server, "demo/child")
    decider.create()
    request = {"action": ACTION + "schedule-workflow", "task-request": {"definition": "demo/child", "label": "sub"}}
    decider.decide(decider.decision(), request)
    assert child.decision()["params"]["event"] == "awf.workflow.event/workflow-init"


def test_one_array_can_finish_decisions_and_tasks(server: Server, decider: Decider) -> None:
    decider.create()
    decision = decider.decision()
    plain = server.started("demo/resize")
    calls = [
        {"method": "awf.task/success", "params": plain},
        {
            "method": "awf.task/success",
            "params": {"id": decision["id"], "execId": decision["execId"], "result": [decider.task("one")]},
        },
        {"method": "awf.task/success", "params": {**plain, "result": [NOTHING]}},
        {"method": "awf.task/poll", "params": {"taskDefinitions": ["demo/resize"], "start": True}},
    ]
    status, answers = server.post(calls)
    assert status == 200
    assert [answer.get("error", {}).get("path") for answer in answers] == [None, None, "$[2].params.result", None]
    assert answers[0]["result"]["resource"]["id"] == plain["id"]
    assert answers[1]["result"]["resource"]["id"] == decision["id"]
    assert answers[3]["result"]["resources"][0]["label"] == "one"
