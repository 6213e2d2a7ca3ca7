"""Workflows over the wire: their start, the events of their decider, and their end."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from fencepost.clock import FrozenClock
from tests.fixtures.servers import Server
from tests.fixtures.workflows import ACTION, COMPLETE, FAIL, NOTHING, Decider, finish


def test_a_workflow_runs_two_tasks_and_completes_with_a_log_of_its_states(server: Server, decider: Decider) -> None:
    workflow = decider.create(params={"customer": "c-17"})
    assert (workflow["status"], workflow["resourceType"]) == ("in-progress", "AidboxWorkflow")

    first = decider.decision()
    assert first["params"] == {"event": "awf.workflow.event/workflow-init"}
    assert first["definition"] == "awf.workflow/decision-task"
    assert first["workflow-definition"] == "demo/order"
    assert first["requester"] == {"resourceType": "AidboxWorkflow", "id": workflow["id"]}
    decider.decide(first, decider.task("one"), decider.task("two"))
    for label in ("one", "two"):
        task = finish(server)
        assert (task["label"], task["requester"]["id"]) == (label, workflow["id"])

    one = decider.decision()
    task_id = decider.status(workflow["id"])["activities"][0]["id"]
    assert one["params"] == {
        "event": "awf.workflow.event/task-completed",
        "task-id": task_id,
        "label": "one",
        "outcome": "succeeded",
    }
    assert decider.poll() == [], "one decision at a time"
    decider.decide(one, NOTHING)
    decider.decide(decider.decision(), {**COMPLETE, "result": {"n": 2}})

    done = decider.status(workflow["id"])
    assert (done["resource"]["status"], done["resource"]["outcome"]) == ("done", "succeeded")
    assert done["resource"]["result"] == {"n": 2}
    assert [activity["label"] for activity in done["activities"]] == ["one", "two"]
    assert [decision["params"].get("label") for decision in done["decisions"]] == [None, "one", "two"]
    bundle = server.get(f"/AidboxTaskLog?subject=AidboxWorkflow/{workflow['id']}")
    begun, ended = (entry["resource"] for entry in bundle["entry"])
    assert (begun["action"], begun["status-after"]) == ("awf.workflow/create-and-execute", "in-progress")
    assert (ended["action"], ended["status-before"], ended["outcome"]) == (
        ACTION + "complete-workflow",
        "in-progress",
        "succeeded",
    )
    assert (bundle["total"], ended["versionId"]) == (2, done["resource"]["meta"]["versionId"])


def test_a_failed_activity_becomes_one_event_after_its_last_attempt(server: Server, decider: Decider) -> None:
    server.define(allowedRetryCount=1, retryDelay=0)
    decider.create()
    decider.decide(decider.decision(), decider.task("one"))
    finish(server, "fail", error={"why": "disk"})
    assert decider.poll() == [], "there was an event although the task has another attempt"
    server.reap()
    finish(server, "fail", error={"why": "disk"})

    event = decider.decision()["params"]
    assert (event["label"], event["outcome"]) == ("one", "failed")
    assert server.task(event["task-id"])["error"] == {"why": "disk"}


def test_the_end_of_a_child_workflow_becomes_an_event_of_its_parent(server: Server, decider: Decider) -> None:
    child = Decider(server, "demo/child")
    workflow = decider.create()
    decider.decide(decider.decision(), decider.child("sub", "demo/child", params={"a": 1}))
    (activity,) = decider.status(workflow["id"])["activities"]
    assert (activity["resourceType"], activity["params"]) == ("AidboxWorkflow", {"a": 1})
    assert activity["requester"] == {"resourceType": "AidboxWorkflow", "id": workflow["id"]}

    child.decide(child.decision(), {**FAIL, "error": {"why": "no"}})

    assert decider.decision()["params"] == {
        "event": "awf.workflow.event/workflow-completed",
        "workflow-id": activity["id"],
        "label": "sub",
        "outcome": "failed",
    }
    ended = decider.status(activity["id"])["resource"]
    assert ended["outcomeReason"] == {"type": "awf.workflow/failed-by-executor", "message": "Failed by executor"}
    assert ended["error"] == {"why": "no"}


def test_the_end_of_a_workflow_cancels_its_live_tasks_and_descendants(server: Server, decider: Decider) -> None:
    child = Decider(server, "demo/child")
    grandchild = Decider(server, "demo/grandchild")
    workflow = decider.create()
    decider.decide(decider.decision(), decider.child("sub", "demo/child"), decider.task("held"), decider.task("last"))
    child.decide(child.decision(), child.child("subsub", "demo/grandchild"), child.task("deep"))
    (held,) = server.poll(start=True)
    finish(server)
    decider.decide(decider.decision(), {"action": ACTION + "unknown-error", "error": {"why": "?"}})

    ended = decider.status(workflow["id"])
    assert ended["resource"]["outcomeReason"]["type"] == "awf.executor/unknown-error"
    assert {activity["label"]: activity["outcome"] for activity in ended["activities"]} == {
        "sub": "canceled",
        "held": "canceled",
        "last": "succeeded",
    }
    (sub,) = [activity for activity in ended["activities"] if activity["label"] == "sub"]
    below = decider.status(sub["id"])["activities"]
    assert [(activity["label"], activity["outcome"]) for activity in below] == [
        ("deep", "canceled"),
        ("subsub", "canceled"),
    ]
    assert grandchild.poll() == child.poll() == decider.poll() == server.poll() == []
    lease = {"id": held["id"], "execId": held["execId"], "notification": "heartbeat"}
    assert server.rpc("awf.task/notify", lease) == {"inProgressTimeoutAt": None, "cancelRequested": True}


def test_a_cancel_reaches_all_descendants_and_becomes_an_event_of_the_parent(server: Server, decider: Decider) -> None:
    depth = 5
    top = decider.create()
    ids = [top["id"]]
    for level in range(depth):
        decider.decide(decider.decision(), decider.child("sub", "demo/order"), decider.task(f"task-{level}"))
        ids.append(decider.status(ids[-1])["activities"][1]["id"])
    second, (running, *_) = ids[1], server.poll(start=True, maxBatchSize=2)

    canceled = server.rpc("awf.workflow/cancel", {"id": second})["resource"]

    assert (canceled["status"], canceled["outcome"]) == ("done", "canceled")
    assert server.refused("awf.workflow/cancel", {"id": second})[:2] == (422, "workflow-has-been-done")
    for id in ids[1:]:
        found = decider.status(id)
        assert found["resource"]["outcome"] == "canceled"
        assert {activity["outcome"] for activity in found["activities"]} <= {"canceled"}
    assert server.task(running["id"])["status"] == "in-progress", "the task of the parent was canceled"
    event = decider.decision()
    assert event["requester"]["id"] == top["id"]
    assert (event["params"]["workflow-id"], event["params"]["outcome"]) == (second, "canceled")


def test_decisions_without_an_attempt_left_fail_the_workflow(frozen_server: Server, clock: FrozenClock) -> None:
    server = frozen_server
    decider = Decider(server, "demo/order", allowedRetryCount=1, retryDelay=0, inProgressTimeout=1000)
    said = decider.create()
    silent = decider.create()
    for _ in range(2):
        # A decision with a lost attempt is alone in its poll.
        some = [*decider.poll(maxBatchSize=2), *decider.poll(maxBatchSize=2)]
        decisions = {decision["requester"]["id"]: decision for decision in some}
        assert decisions.keys() == {said["id"], silent["id"]}
        lease = decisions[said["id"]]
        server.rpc("awf.task/fail", {"id": lease["id"], "execId": lease["execId"], "error": {"why": "bug"}})
        clock.advance(timedelta(seconds=2))
        server.reap()
        server.reap()

    for workflow in (said, silent):
        ended = decider.status(workflow["id"])
        assert (ended["resource"]["outcome"], ended["resource"]["outcomeReason"]) == (
            "failed",
            {"type": "awf.executor/unknown-error", "message": "No attempt was left to decide"},
        )
        assert [decision["outcome"] for decision in ended["decisions"]] == ["failed"]
    assert decider.status(said["id"])["decisions"][0]["error"] == {"why": "bug"}


def test_a_decision_task_cannot_be_canceled(server: Server, decider: Decider) -> None:
    decider.create()
    decision = decider.decision()
    assert server.refused("awf.task/cancel", {"id": decision["id"]}) == (422, "task-is-a-decision", "$.params.id")


def test_a_canceled_activity_becomes_an_event(server: Server, decider: Decider) -> None:
    workflow = decider.create()
    decider.decide(decider.decision(), decider.task("one"))
    server.rpc("awf.task/cancel", {"id": decider.status(workflow["id"])["activities"][0]["id"]})
    assert decider.decision()["params"]["outcome"] == "canceled"


def test_an_activity_can_be_retried_while_its_workflow_is_live(server: Server, decider: Decider) -> None:
    server.define(allowedRetryCount=0)
    workflow = decider.create()
    decider.decide(decider.decision(), decider.task("one"))
    id = finish(server, "fail")["id"]
    server.rpc("awf.task/retry", {"id": id})
    finish(server)
    decider.decide(decider.decision(), NOTHING)
    decision = decider.decision()
    assert (decision["params"]["task-id"], decision["params"]["outcome"]) == (id, "succeeded")
    decider.decide(decision, decider.task("two"))
    failed = finish(server, "fail")["id"]
    decider.decide(decider.decision(), COMPLETE)

    assert server.refused("awf.task/retry", {"id": failed}) == (422, "workflow-has-been-done", "$.params.id")
    assert decider.status(workflow["id"])["resource"]["outcome"] == "succeeded"


def test_events_are_delivered_in_order_one_decision_at_a_time(server: Server, decider: Decider) -> None:
    workflow = decider.create()
    decision = decider.decision()
    for number in range(3):
        signal = {"id": workflow["id"], "name": f"n-{number}", "payload": {"number": number}}
        server.rpc("awf.workflow/signal", signal)
    assert decider.poll() == []
    decider.decide(decision, NOTHING)

    for number in range(3):
        decision = decider.decision()
        assert decision["params"] == {
            "event": "awf.workflow.event/signal",
            "name": f"n-{number}",
            "payload": {"number": number},
        }
        assert decider.poll() == []
        decider.decide(decision, NOTHING)
    assert decider.poll() == []


def test_a_signal_with_an_id_is_idempotent(server: Server, decider: Decider) -> None:
    workflow = decider.create()
    decider.decide(decider.decision(), NOTHING)
    signal = {"id": workflow["id"], "name": "approved", "payload": {"by": "ann"}, "signal-id": "mail-1"}
    for _ in range(3):
        server.rpc("awf.workflow/signal", signal)
    other = {**signal, "payload": {"by": "bob"}}
    assert server.refused("awf.workflow/signal", other) == (409, "already-exists", "$.params.signal-id")

    decision = decider.decision()
    assert decision["params"]["signal-id"] == "mail-1"
    decider.decide(decision, COMPLETE)
    assert server.rpc("awf.workflow/signal", signal)["resource"]["status"] == "done", (
        "a repeat of an accepted signal was refused"
    )
    assert server.refused("awf.workflow/signal", other)[:2] == (409, "already-exists")
    assert server.refused("awf.workflow/signal", {**signal, "signal-id": "mail-2"})[:2] == (
        422,
        "workflow-has-been-done",
    )
    assert server.refused("awf.workflow/signal", {**signal, "id": "nobody"})[:2] == (404, "workflow-not-found")


def test_a_workflow_with_an_execute_at_starts_at_that_time(frozen_server: Server, clock: FrozenClock) -> None:
    decider = Decider(frozen_server, "demo/order")
    workflow = decider.create(executeAt="2026-01-01T01:00:00Z")
    assert (workflow["status"], decider.poll()) == ("created", [])
    frozen_server.rpc("awf.workflow/signal", {"id": workflow["id"], "name": "early"})

    clock.advance(timedelta(hours=1))
    frozen_server.reap()

    begun = decider.status(workflow["id"])["resource"]
    assert (begun["status"], begun["meta"]["versionId"]) == ("in-progress", "2")
    log = frozen_server.rpc("awf.workflow/status", {"id": workflow["id"], "include-log?": True})["log"]
    assert [(entry["action"], entry.get("status-before"), entry["status-after"]) for entry in log] == [
        ("awf.workflow/create-and-execute", None, "created"),
        ("awf.engine/begin", "created", "in-progress"),
    ]
    decision = decider.decision()
    assert decision["params"]["event"] == "awf.workflow.event/workflow-init"
    decider.decide(decision, NOTHING)
    assert decider.decision()["params"]["name"] == "early"


def test_a_running_workflow_keeps_the_definition_version_of_its_start(server: Server, decider: Decider) -> None:
    before = decider.create()
    Decider(server, "demo/order", inProgressTimeout=5000, result={"required": ["n"]})
    after = decider.create()

    decisions = {decision["requester"]["id"]: decision for decision in decider.poll(maxBatchSize=2)}
    assert (before["definition-version"], after["definition-version"]) == (1, 2)
    assert decisions[before["id"]]["inProgressTimeout"] == 120_000
    assert decisions[after["id"]]["inProgressTimeout"] == 5000
    decider.decide(decisions[before["id"]], COMPLETE)
    lease = {"id": decisions[after["id"]]["id"], "execId": decisions[after["id"]]["execId"]}
    refused = server.refused("awf.task/success", {**lease, "result": [NOTHING, {**COMPLETE, "result": {}}]})
    assert refused == (422, "invalid-action", "$.params.result[1].result")
    decider.decide(decisions[after["id"]], {**COMPLETE, "result": {"n": 1}})
    assert decider.status(after["id"])["resource"]["result"] == {"n": 1}


def test_a_create_with_the_same_id_and_content_returns_the_existing_workflow(server: Server, decider: Decider) -> None:
    members: dict[str, Any] = {"id": "order-1", "params": {"n": 1}, "executeAt": "2199-01-01T00:00:00Z"}
    first = decider.create(**members)
    assert decider.create(**{**members, "executeAt": "2199-01-01T01:00:00+01:00"}) == first
    for other in ({"params": {"n": 2}}, {"label": "x"}, {"executeAt": None}):
        refused = server.refused("awf.workflow/create-and-execute", {"definition": "demo/order", **members, **other})
        assert refused == (409, "already-exists", "$.params.id")
    server.create(id="order-1")
    assert len(server.rpc("awf.workflow/list")["resources"]) == 1


def test_a_definition_name_belongs_to_one_kind(server: Server, decider: Decider) -> None:
    assert server.refused("awf.task/create-and-execute", {"definition": "demo/order"})[:2] == (400, "invalid-params")
    assert server.refused("awf.workflow/create-and-execute", {"definition": "demo/resize"})[0] == 400
    kind = {"kind": "task", "name": "demo/order"}
    assert server.refused("awf.definition/put", kind) == (422, "definition-of-other-kind", "$.params.kind")
    reserved = {"kind": "task", "name": "awf.workflow/decision-task"}
    assert server.refused("awf.definition/put", reserved) == (400, "invalid-params", "$.params.name")
    decider.create()
    assert server.refused("awf.definition/delete", {"name": "demo/order"})[:2] == (422, "definition-in-use")


def test_activities_count_against_the_limit_of_their_definition(server: Server, decider: Decider) -> None:
    server.define(concurrencyLimit=1)
    decider.create()
    decider.decide(decider.decision(), decider.task("one"), decider.task("two"))
    (held,) = server.poll(maxBatchSize=5, start=True)
    assert server.poll() == []
    server.rpc("awf.task/success", {"id": held["id"], "execId": held["execId"]})
    assert len(server.poll()) == 1


def test_workflows_can_be_filtered_and_paged(server: Server, decider: Decider) -> None:
    ids = [decider.create(label=f"number {number}")["id"] for number in range(4)]
    server.rpc("awf.workflow/cancel", {"id": ids[0]})

    def listed(**params: Any) -> list[str]:
        return [resource["id"] for resource in server.rpc("awf.workflow/list", params)["resources"]]

    assert listed() == ids[::-1]
    assert listed(filter={"status": "done"}) == listed(filter={"outcome": "canceled"}) == ids[:1]
    assert listed(filter={"ilike": "NUMBER 2"}) == [ids[2]]
    assert listed(filter={"excludeDefinitions": ["demo/order"]}) == []
    first = server.rpc("awf.workflow/list", {"limit": 3, "sort": {"createdAt": "asc"}})
    assert [resource["id"] for resource in first["resources"]] == ids[:3]
    assert listed(limit=3, sort={"createdAt": "asc"}, after=first["next"]) == ids[3:]
    names = {"filter": {"includeDefinitions": ["awf.workflow/decision-task"], "status": "ready"}}
    assert len(server.rpc("awf.task/list", names)["resources"]) == 3
