"""`awf.event/publish`: starts of triggers, ends of subscriptions, and idempotency."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fixtures.events import publish, put_trigger, rule, subscribe
from tests.fixtures.servers import Server
from tests.fixtures.workflows import Decider

FINAL = {"resourceType": "Observation", "id": "obs-17", "status": "final"}
IS_FINAL = rule("status", value="final")
CLOUD = {"specversion": "1.0", "id": "7", "source": "/lab", "type": "lab.result", "data": {"status": "final"}}


@pytest.fixture(autouse=True)
def definition(server: Server) -> None:
    server.define()


def test_a_trigger_starts_a_task_for_a_matching_resource(server: Server) -> None:
    put_trigger(server, IS_FINAL, params={"of": {"get-in": ["id"]}, "n": [{"get-in": ["no"]}]})
    answer = publish(server, FINAL, id="one")
    (started,) = answer["started"]
    assert answer == {
        "id": "one",
        "started": [
            {"trigger": "demo/review", "resource": {"resourceType": "AidboxTask", "id": started["resource"]["id"]}}
        ],
        "completed": [],
    }
    (task,) = server.poll()
    assert task["id"] == started["resource"]["id"]
    assert task["params"] == {"of": "obs-17", "n": [None]}
    assert task["requester"] == {"service": "awf/trigger", "rule": "demo/review", "event": "one"}


def test_a_resource_that_does_not_match_starts_nothing(server: Server) -> None:
    put_trigger(server, IS_FINAL, rule("n", value=3, comparator="ge"))
    assert publish(server, FINAL)["started"] == []
    assert publish(server, {**FINAL, "n": "3"})["started"] == []
    assert len(publish(server, {**FINAL, "n": 3.0})["started"]) == 1


def test_rules_can_select_any_member_of_a_cloud_event(server: Server) -> None:
    put_trigger(server, rule("type", value="lab.result"), rule("data", "status", value="final"))
    assert len(server.rpc("awf.event/publish", {"event": CLOUD})["started"]) == 1


def test_a_trigger_starts_a_workflow(server: Server) -> None:
    decider = Decider(server, "demo/order")
    put_trigger(server, IS_FINAL, workflow=True, definition="demo/order", params={"get-in": []})
    (started,) = publish(server, FINAL)["started"]
    assert started["resource"]["resourceType"] == "AidboxWorkflow"
    assert decider.status(started["resource"]["id"])["resource"]["params"] == FINAL
    assert decider.decision()["requester"]["id"] == started["resource"]["id"]


def test_a_published_resource_is_idempotent_by_its_id(server: Server) -> None:
    put_trigger(server, IS_FINAL)
    waiting = subscribe(server, IS_FINAL)
    first = publish(server, FINAL, id="one")
    assert first["completed"] == [waiting]
    subscribe(server, IS_FINAL)
    assert publish(server, dict(reversed(FINAL.items())), id="one") == first
    assert len(server.poll(maxBatchSize=10)) == 1
    assert server.refused("awf.event/publish", {"resource": {"status": "x"}, "id": "one"}) == (
        409,
        "already-exists",
        "$.params.id",
    )


def test_a_cloud_event_is_idempotent_by_its_source_and_id(server: Server) -> None:
    put_trigger(server, rule("type", value="lab.result"))
    first = server.rpc("awf.event/publish", {"event": CLOUD})
    assert server.rpc("awf.event/publish", {"event": CLOUD}) == first
    assert server.rpc("awf.event/publish", {"event": {**CLOUD, "source": "/ward"}}) != first
    assert server.refused("awf.event/publish", {"event": {**CLOUD, "data": 1}}) == (
        409,
        "already-exists",
        "$.params.event.id",
    )
    assert publish(server, FINAL, id="7")["started"] == [], "a resource with the same id is another event"


def test_an_event_without_an_id_gets_one(server: Server) -> None:
    put_trigger(server, IS_FINAL)
    ids = {publish(server, FINAL)["id"] for _ in range(2)}
    assert len(ids) == 2
    assert all(len(id) == 36 for id in ids)


def test_events_of_an_array_are_applied_in_order(server: Server) -> None:
    waiting = subscribe(server, rule("status", value="final"))
    calls = [
        {"method": "awf.event/publish", "params": {"resource": {"status": "final", "n": n}, "id": f"{9 - n}"}}
        for n in range(9)
    ]
    _, answers = server.post([*calls, calls[0]])
    assert [answer["result"]["completed"] for answer in answers] == [[waiting], *([[]] * 8), [waiting]]
    assert server.task(waiting)["result"] == {"resource": {"status": "final", "n": 0}}


def test_numbers_of_an_event_keep_their_text(server: Server) -> None:
    put_trigger(server, IS_FINAL, params={"get-in": ["p"]})
    body = b'{"method": "awf.event/publish", "params": {"resource": {"status": "final", "p": {"n": [1.10, 1e2]}}}}'
    server.post(body)
    assert server.query("select params::text from fencepost.live_tasks") == [('{"n":[1.10,1e2]}',)]


# Subscriptions


def test_a_subscription_ends_with_the_matching_resource_as_result(server: Server) -> None:
    waiting = subscribe(server, IS_FINAL)
    other = subscribe(server, rule("status", value="amended"))
    assert publish(server, {"status": "draft"})["completed"] == []
    assert publish(server, FINAL)["completed"] == [waiting]
    task = server.task(waiting)
    assert (task["status"], task["outcome"], task["result"]) == ("done", "succeeded", {"resource": FINAL})
    assert server.log(waiting)[-1]["action"] == "awf.engine/success"
    assert server.task(other)["status"] == "in-progress"
    assert publish(server, FINAL)["completed"] == []


@pytest.mark.parametrize(
    "rules",
    [
        [rule("n", value=5, comparator="gt")],
        [rule("n", value=6.0)],
        [rule("list", 1, "x", value=None)],
        [rule("status", value="final"), rule("n", value=2, comparator="ge")],
        [rule("n", value=6, comparator="ge"), rule("flag", value=True), rule("text", value="z", comparator="lt")],
    ],
)
def test_a_subscription_matches_with_any_kind_of_rule(server: Server, rules: list[dict[str, Any]]) -> None:
    waiting = subscribe(server, *rules)
    resource = {"status": "final", "n": 6, "list": [0, {"x": None}], "flag": True, "text": "a"}
    assert publish(server, {**resource, "n": 1, "list": [], "flag": 1})["completed"] == []
    assert publish(server, resource)["completed"] == [waiting]


def test_a_canceled_subscription_is_not_completed_by_an_event(server: Server) -> None:
    waiting = subscribe(server, IS_FINAL)
    server.rpc("awf.task/cancel", {"id": waiting})
    assert publish(server, FINAL)["completed"] == []
    assert server.task(waiting)["outcome"] == "canceled"


def test_one_event_ends_many_subscriptions(server: Server) -> None:
    calls = [
        {
            "method": "awf.task/create-and-execute",
            "params": {"definition": "awf.task/subscribe", "params": {"select-by": [rule("n", value=n % 2)]}},
        }
        for n in range(1000)
    ]
    _, answers = server.post(calls)
    ids = [answer["result"]["resource"]["id"] for answer in answers]
    assert sorted(publish(server, {"n": 1})["completed"]) == sorted(ids[1::2])
    assert {server.task(id)["status"] for id in ids[:20:2]} == {"in-progress"}


def test_the_end_of_a_subscription_becomes_an_event_of_its_workflow(server: Server) -> None:
    decider = Decider(server, "demo/order")
    decider.create()
    params = {"select-by": [IS_FINAL]}
    decider.decide(decider.decision(), decider.task("wait", "awf.task/subscribe", params=params))
    assert decider.poll() == []
    (completed,) = publish(server, FINAL)["completed"]
    told = decider.decision()["params"]
    assert (told["event"], told["task-id"], told["outcome"]) == (
        "awf.workflow.event/task-completed",
        completed,
        "succeeded",
    )
    assert server.task(completed)["result"] == {"resource": FINAL}


def test_canceling_a_workflow_cancels_its_subscription(server: Server) -> None:
    decider = Decider(server, "demo/order")
    workflow = decider.create()
    params = {"select-by": [IS_FINAL]}
    decider.decide(decider.decision(), decider.task("wait", "awf.task/subscribe", params=params))
    server.rpc("awf.workflow/cancel", {"id": workflow["id"]})
    assert publish(server, FINAL)["completed"] == []


def test_a_subscription_started_by_a_trigger_ends_with_the_next_event(server: Server) -> None:
    put_trigger(server, IS_FINAL, definition="awf.task/subscribe", params={"select-by": [IS_FINAL]})
    first = publish(server, FINAL)
    assert first["completed"] == []
    assert publish(server, FINAL)["completed"] == [first["started"][0]["resource"]["id"]]


# Documents and statuses of triggers


@pytest.mark.parametrize(
    ("members", "path"),
    [
        ({"select-by": []}, "$.params.select-by"),
        ({"select-by": [{"get-in": ["a"], "comparator": "is", "value": 1}]}, "$.params.select-by[0].comparator"),
        ({"select-by": [{"get-in": [], "comparator": "eq", "value": 1}]}, "$.params.select-by[0].get-in"),
        ({"select-by": [{"get-in": ["a"], "comparator": "eq", "value": {}}]}, "$.params.select-by[0].value"),
        ({"task-request": None}, "$.params.task-request"),
        ({"workflow-request": {"definition": "demo/resize"}}, "$.params.task-request"),
        ({"task-request": {"definition": "demo/resize", "params": []}}, "$.params.task-request.params"),
        (
            {"task-request": {"definition": "demo/resize", "params": {"a": [{"get-in": "x"}]}}},
            "$.params.task-request.params.a[0].get-in",
        ),
        (
            {"task-request": {"definition": "demo/resize", "executeAt": "soon"}},
            "$.params.task-request.executeAt",
        ),
    ],
)
def test_an_invalid_trigger_is_refused_with_the_path_of_its_member(
    server: Server, members: dict[str, Any], path: str
) -> None:
    document = {
        "kind": "trigger",
        "name": "demo/review",
        "select-by": [IS_FINAL],
        "task-request": {"definition": "demo/resize"},
    }
    assert server.refused("awf.definition/put", {**document, **members}) == (400, "invalid-params", path)


def test_a_trigger_of_an_unknown_definition_or_wrong_kind_is_refused(server: Server) -> None:
    Decider(server, "demo/order")
    for request, refusal in {
        ("task-request", "demo/rezise"): (404, "definition-not-found"),
        ("task-request", "demo/order"): (400, "invalid-params"),
        ("workflow-request", "demo/resize"): (400, "invalid-params"),
    }.items():
        member, definition = request
        document = {"kind": "trigger", "name": "demo/review", "select-by": [IS_FINAL]}
        assert server.refused("awf.definition/put", {**document, member: {"definition": definition}}) == (
            *refusal,
            f"$.params.{member}.definition",
        )


@pytest.mark.parametrize(
    ("params", "path"),
    [
        ({}, "$.params"),
        ({"resource": {}, "event": CLOUD}, "$.params"),
        ({"resource": [1]}, "$.params.resource"),
        ({"resource": {}, "id": ""}, "$.params.id"),
        ({"event": CLOUD, "id": "8"}, "$.params.id"),
        ({"event": {**CLOUD, "specversion": "0.3"}}, "$.params.event.specversion"),
        ({"event": {**CLOUD, "id": ""}}, "$.params.event.id"),
        ({"event": {name: value for name, value in CLOUD.items() if name != "type"}}, "$.params.event.type"),
        ({"event": {**CLOUD, "time": "noon"}}, "$.params.event.time"),
        ({"event": {**CLOUD, "data_base64": "AAAA"}}, "$.params.event.data_base64"),
        ({"event": {**CLOUD, "Traceparent": "x"}}, "$.params.event"),
        ({"event": {**CLOUD, "traceparent": []}}, "$.params.event.traceparent"),
    ],
)
def test_an_invalid_event_is_refused_with_the_path_of_its_member(
    server: Server, params: dict[str, Any], path: str
) -> None:
    assert server.refused("awf.event/publish", params) == (400, "invalid-params", path)


def test_a_trigger_with_invalid_params_skips_the_start_with_the_reason(server: Server) -> None:
    server.define("demo/scale", params={"type": "object", "properties": {"width": {"type": "integer"}}})
    put_trigger(server, IS_FINAL)
    params = {"width": {"get-in": ["width"]}}
    put_trigger(server, IS_FINAL, name="demo/strict", definition="demo/scale", params=params)

    answer = publish(server, {"status": "final", "width": "wide"}, id="one")
    assert [started["trigger"] for started in answer["started"]] == ["demo/review"]
    status = server.rpc("awf.trigger/status", {"name": "demo/strict"})
    (start,) = status["starts"]
    assert status["counts"] == {"started": 0, "skipped": 1}
    assert (start["event"], start["status"], start["version"]) == ({"id": "one"}, "skipped", 1)
    assert "(at $.params.width)" in start["reason"]

    server.define("demo/scale")
    assert len(publish(server, {"status": "final", "width": "wide"})["started"]) == 2


def test_a_trigger_of_a_deleted_definition_skips_the_start_with_the_reason(server: Server) -> None:
    server.define("demo/scale")
    put_trigger(server, IS_FINAL, definition="demo/scale")
    server.rpc("awf.definition/delete", {"name": "demo/scale"})
    assert publish(server, FINAL)["started"] == []
    (start,) = server.rpc("awf.trigger/status", {"name": "demo/review"})["starts"]
    assert start["reason"].startswith("there is no definition 'demo/scale'")


def test_the_status_of_a_trigger_lists_its_starts_newest_first(server: Server) -> None:
    put_trigger(server, IS_FINAL)
    answers = [publish(server, FINAL, id=f"e{n}") for n in range(3)]
    answers.append(server.rpc("awf.event/publish", {"event": {**CLOUD, "status": "final"}}))
    status = server.rpc("awf.trigger/status", {"name": "demo/review", "limit": 3})
    assert status["resource"]["kind"] == "trigger"
    assert status["counts"] == {"started": 4, "skipped": 0}
    assert [start["event"] for start in status["starts"]] == [{"id": "7", "source": "/lab"}, {"id": "e2"}, {"id": "e1"}]
    assert status["starts"][0]["resource"] == answers[3]["started"][0]["resource"]


def test_the_status_of_an_unknown_trigger_is_refused(server: Server) -> None:
    assert server.refused("awf.trigger/status", {"name": "demo/no"})[:2] == (404, "definition-not-found")
    assert server.refused("awf.trigger/status", {"name": "demo/resize"}) == (400, "invalid-params", "$.params.name")


def test_triggers_are_listed_page_by_page(server: Server) -> None:
    for name in ("demo/a", "demo/b", "demo/c"):
        put_trigger(server, IS_FINAL, name=name)
    page = server.rpc("awf.trigger/list", {"limit": 2})
    rest = server.rpc("awf.trigger/list", {"limit": 2, "after": page["next"]})
    assert [one["name"] for one in page["resources"] + rest["resources"]] == ["demo/a", "demo/b", "demo/c"]
    assert "next" not in rest


def test_a_deleted_trigger_starts_nothing(server: Server) -> None:
    put_trigger(server, IS_FINAL)
    assert len(publish(server, FINAL)["started"]) == 1
    server.rpc("awf.definition/delete", {"name": "demo/review"})
    assert publish(server, FINAL)["started"] == []


def test_a_new_version_of_a_trigger_applies_at_once(server: Server) -> None:
    put_trigger(server, IS_FINAL)
    publish(server, FINAL)
    put_trigger(server, rule("status", value="amended"))
    assert publish(server, FINAL)["started"] == []
    publish(server, {"status": "amended"})
    assert server.rpc("awf.trigger/status", {"name": "demo/review", "limit": 1})["starts"][0]["version"] == 2
