"""Device runs over `/rpc`, as ordinary workflows and tasks, and as parts of other workflows."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest

from fencepost.clock import FrozenClock
from tests.fixtures.builtin import RUN_RPC
from tests.fixtures.devices import PATROL, Fleet, streaming
from tests.fixtures.servers import Server
from tests.fixtures.waiting import until
from tests.fixtures.workflows import Decider

R2 = "device/r2"


@pytest.fixture
def fleet(server: Server) -> Fleet:
    return Fleet(server)


def settled(fleet: Fleet, run: str) -> Any:
    """Return a run after its pending decisions."""
    fleet.server.run(fleet.server.app.engine.deciders.run_pending_decisions(run))
    return fleet.run(run)


def polled(server: Server) -> Any:
    """Return the task that a worker polls for the device."""
    return until(lambda: server.poll(R2, start=True))[0]


def decision(server: Server, run: str) -> Any:
    """Return the newest decision about a run."""
    return server.rpc("awf.workflow/status", {"id": run, "include-decisions?": True})["decisions"][-1]


def lease(task: Any) -> dict[str, str]:
    return {"id": task["id"], "execId": task["execId"]}


def test_methods_begin_read_and_stop_a_run(server: Server, fleet: Fleet) -> None:
    run = server.rpc("awf.device/run", {"workflow": PATROL, "device": "c3", "payload": {"n": 1}, "id": "run-1"})[
        "resource"
    ]
    assert (run["id"], run["deviceId"], run["tasks"][0]["payload"]) == ("run-1", "c3", {"to": "gate", "n": 1})
    assert server.rpc("awf.device/run-status", {"id": "run-1"})["resource"] == fleet.run("run-1") == run
    task = {"id": run["currentTaskId"]}
    assert server.rpc("awf.device/report", {**task, "report": "start"})["resource"]["status"] == "IN_PROGRESS"
    said = {"report": "abort", "reason": "fell", "failPoint": 3}
    assert server.rpc("awf.device/report", {**task, **said})["resource"]["failPoint"] == 3
    assert server.rpc("awf.device/runs", {"workflow": PATROL})["resources"][0]["attempt"] == 2
    assert server.rpc("awf.device/stop", {"id": "run-1"})["resource"]["status"] == "ABORTED"


@pytest.mark.parametrize(
    ("method", "params", "refusal"),
    [
        ("run", {"workflow": "demo/none"}, (404, "definition-not-found", "$.params.workflow")),
        ("run", {"workflow": "no ne"}, (400, "invalid-params", "$.params.workflow")),
        ("run", {"workflow": PATROL, "device": "a b"}, (400, "invalid-params", "$.params.device")),
        ("run", {"workflow": PATROL, "payload": [1]}, (400, "invalid-params", "$.params.payload")),
        ("run", {"workflow": PATROL, "id": ""}, (400, "invalid-params", "$.params.id")),
        ("run-status", {"id": "none"}, (404, "workflow-run-not-found", "$.params.id")),
        ("stop", {"id": "none"}, (404, "workflow-run-not-found", "$.params.id")),
        ("runs", {"workflow": PATROL, "after": "?"}, (400, "invalid-params", "$.params.after")),
        ("report", {"id": "none", "report": "start"}, (404, "task-not-found", "$.params.id")),
        ("report", {"id": "none", "report": "dance"}, (400, "invalid-params", "$.params.report")),
        ("report", {"id": "a", "report": "complete", "result": 1}, (400, "invalid-params", "$.params.result")),
        ("put", {"name": "r2", "info": None}, (400, "invalid-params", "$.params.info")),
        ("put", {"name": "a/b", "info": {}}, (400, "invalid-params", "$.params.name")),
        ("list", {"after": "a/b"}, (400, "invalid-params", "$.params.after")),
        ("status", {"name": "nobody"}, (404, "device-not-found", "$.params.name")),
    ],
)
def test_bad_calls_are_refused_with_type_and_path(
    server: Server, fleet: Fleet, method: str, params: dict[str, Any], refusal: tuple[int, str, str]
) -> None:
    assert server.refused(f"awf.device/{method}", params) == refusal


def test_methods_register_and_list_devices(server: Server, fleet: Fleet) -> None:
    for name in ("r1", "r2", 3):
        server.rpc("awf.device/put", {"name": name, "info": {"tracks": []}})
    assert [one["id"] for one in server.rpc("awf.device/list")["resources"]] == ["3", "r1", "r2"]
    page = server.rpc("awf.device/list", {"limit": 2})
    assert [one["id"] for one in server.rpc("awf.device/list", {"after": page["next"]})["resources"]] == ["r2"]
    run = fleet.begin()
    assert server.rpc("awf.device/status", {"name": "r2"})["resource"]["currentRunId"] == run["id"]


@pytest.mark.parametrize(
    ("members", "path"),
    [
        ({"steps": []}, "$.params.steps"),
        ({"steps": [{"action": "GO"}, {}]}, "$.params.steps[1].action"),
        ({"steps": [{"action": "GO", "payload": 1}]}, "$.params.steps[0].payload"),
        ({"steps": [{"act": "GO"}]}, "$.params.steps[0].act"),
        ({"device": "a/b"}, "$.params.device"),
        ({"retries": 3}, "$.params.retries"),
        ({"name": "demo/runs"}, "$.params.name"),
    ],
)
def test_a_bad_document_is_refused_with_the_path(server: Server, members: dict[str, Any], path: str) -> None:
    document = {"kind": "device-workflow", "name": PATROL, "steps": [{"action": "GO"}], **members}
    assert server.refused("awf.definition/put", document) == (400, "invalid-params", path)


@pytest.mark.shows("devices/pinned-worker")
def test_a_worker_that_polls_for_a_device_acts_as_it(server: Server, fleet: Fleet) -> None:
    run = fleet.begin()
    fleet.begin(device="c3")
    task = polled(server)
    assert (task["params"]["action_name"], task["params"]["device_id"]) == ("GO", "r2")
    assert fleet.task(task["id"])["status"] == "IN_PROGRESS"
    server.rpc("awf.task/success", {**lease(task), "result": {"metres": 3}})
    assert fleet.task(task["id"])["result"] == {"metres": 3}
    assert polled(server)["params"]["action_name"] == "WAIT"
    assert fleet.run(run["id"])["status"] == "RUNNING"


@pytest.mark.shows("devices/worker-fails")
@pytest.mark.parametrize(
    ("error", "status", "attempt"),
    [({"status": "REJECTED", "reason": "busy"}, "REJECTED", 1), ({"failPoint": [1]}, "ABORTED", 2), ({}, "ABORTED", 1)],
)
def test_a_failure_by_a_worker_has_a_device_status(
    server: Server, fleet: Fleet, error: dict[str, Any], status: str, attempt: int
) -> None:
    run = fleet.begin()
    task = polled(server)
    server.rpc("awf.task/fail", {**lease(task), "error": error})
    after = settled(fleet, run["id"])
    assert (after["tasks"][0]["status"], after["attempt"], len(after["tasks"])) == (status, attempt, 2)


def test_clients_receive_the_events_of_a_worker(server: Server, fleet: Fleet) -> None:
    with streaming(server, "/events/client") as client:
        fleet.begin()
        server.rpc("awf.task/fail", {**lease(polled(server)), "error": {"status": "REJECTED"}})
        types = client.types("WORKFLOW_RUN_RETRYING")
    # The worker started the task before it rejected it.
    assert types[1:] == ["TASK_REGISTERED", "TASK_STARTED", "TASK_REJECTED", "WORKFLOW_RUN_RETRYING"]


@pytest.mark.shows("devices/run-by-name")
def test_a_run_is_a_workflow_by_the_name_of_its_document(server: Server, fleet: Fleet) -> None:
    params = {"definition": PATROL, "params": {"device": "r9"}}
    workflow = server.rpc("awf.workflow/create-and-execute", params)["resource"]
    assert settled(fleet, workflow["id"])["deviceId"] == "r9"
    status, type, path = server.refused("awf.workflow/create-and-execute", {"definition": PATROL, "params": {"x": 1}})
    assert (status, type, path) == (400, "invalid-params", "$.params.params.x")
    assert server.refused("awf.workflow/create-and-execute", params)[:2] == (409, "workflow-key-taken")
    server.rpc("awf.workflow/cancel", {"id": workflow["id"]})
    assert fleet.run(workflow["id"])["status"] == "ABORTED"


def test_a_repeated_request_does_not_block_the_next_run_in_its_batch(server: Server, fleet: Fleet) -> None:
    fleet.begin(id="night-1")
    fleet.stop("night-1")
    members: list[Any] = [{"definition": PATROL, "id": id, "params": {}} for id in ("night-1", "night-2", "night-3")]
    status, answers = server.post([{"method": "awf.workflow/create-and-execute", "params": one} for one in members])
    assert status == 200
    assert [answer["result"]["resource"]["status"] for answer in answers[:2]] == ["done", "in-progress"]
    assert "night-2" in answers[2]["error"]["message"]


@pytest.mark.shows("devices/schedules")
def test_a_schedule_begins_a_run(server: Server, fleet: Fleet) -> None:
    request = {"definition": PATROL, "params": {"device": "r2"}}
    schedule = {"kind": "schedule", "name": "demo/nightly", "schedule": "@daily", "workflow-request": request}
    server.rpc("awf.definition/put", schedule)
    began = server.rpc("awf.schedule/run-now", {"name": "demo/nightly"})["start"]
    assert settled(fleet, began["reference"]["id"])["tasks"][0]["status"] == "PENDING"


def test_a_built_in_task_begins_a_run(server: Server, fleet: Fleet) -> None:
    call = {"method": "awf.device/run", "params": {"workflow": PATROL, "id": "by-rpc"}}
    task = server.create(RUN_RPC, params=call)["id"]
    until(lambda: server.task(task)["status"] == "done")
    assert fleet.run("by-rpc")["status"] == "RUNNING"


@pytest.mark.shows("devices/begun-by-workflows")
def test_a_workflow_begins_a_run_and_receives_its_end(server: Server, fleet: Fleet) -> None:
    decider = Decider(server, "demo/night")
    workflow = decider.create()
    decider.decide(decider.decision(), decider.child("patrol", PATROL, params={"device": "r2"}))
    (child,) = decider.status(workflow["id"])["activities"]
    for _ in range(2):
        settled(fleet, child["id"])
        fleet.do(child["id"], "start", "complete", result={"n": 1})
    event = until(decider.poll)[0]["params"]
    assert (event["event"], event["outcome"]) == ("awf.workflow.event/workflow-completed", "succeeded")
    (child,) = decider.status(workflow["id"])["activities"]
    assert child["result"] == {"status": "COMPLETED", "device": "r2", "attempt": 1, "result": {"n": 1}}


def test_the_end_of_a_parent_aborts_its_run_and_frees_the_device(server: Server, fleet: Fleet) -> None:
    decider = Decider(server, "demo/night")
    workflow = decider.create()
    decider.decide(decider.decision(), decider.child("patrol", PATROL))
    (child,) = decider.status(workflow["id"])["activities"]
    settled(fleet, child["id"])
    server.rpc("awf.workflow/cancel", {"id": workflow["id"]})
    assert (fleet.run(child["id"])["status"], fleet.statuses(child["id"])) == ("ABORTED", ["ABORTED"])
    fleet.begin()


@pytest.mark.shows("devices/step-is-workflow")
def test_a_step_may_be_a_workflow_of_any_other_kind(server: Server) -> None:
    upload = Decider(server, "demo/upload")
    steps = [{"action": "GO"}, {"workflow": "demo/upload", "payload": {"map": 7}}, {"action": "WAIT"}]
    fleet = Fleet(server, steps=steps)
    run = fleet.do(fleet.begin()["id"], "start", "complete")
    (child,) = run["children"]
    assert (child["workflowId"], child["status"], run["status"]) == ("demo/upload", "in-progress", "RUNNING")
    decision = until(upload.poll)[0]
    assert upload.status(child["id"])["resource"]["params"] == {"map": 7}
    upload.decide(decision, {"action": "awf.workflow.action/complete-workflow", "result": {"stored": True}})
    after = until(lambda: (now := settled(fleet, run["id"])).get("currentTaskId") and now)
    assert after["tasks"][-1]["actionName"] == "WAIT"
    assert fleet.do(run["id"], "start", "complete")["status"] == "COMPLETED"


def test_a_workflow_step_that_fails_is_retried(server: Server) -> None:
    upload = Decider(server, "demo/upload")
    fleet = Fleet(server, steps=[{"workflow": "demo/upload"}])
    run = fleet.begin()
    for _ in range(4):
        decision = until(upload.poll)[0]
        upload.decide(decision, {"action": "awf.workflow.action/fail", "error": {"why": "full"}})
        settled(fleet, run["id"])
    after = fleet.run(run["id"])
    assert (after["status"], len(after["children"]), after["error"]["error"]) == ("FAILED", 4, {"why": "full"})


def test_a_run_with_an_undeclared_step_waits_and_can_be_stopped(server: Server) -> None:
    fleet = Fleet(server, steps=[{"workflow": "demo/none"}])
    run = fleet.begin()
    assert run["status"] == "PENDING"
    assert fleet.stop(run["id"])["status"] == "ABORTED"


def test_a_run_with_an_undeclared_step_fails_in_the_end(frozen_server: Server, clock: FrozenClock) -> None:
    fleet = Fleet(frozen_server, steps=[{"workflow": "demo/none"}])
    run = fleet.begin()["id"]
    for _ in range(5):
        until(lambda: decision(frozen_server, run)["status"] == "waiting")
        clock.advance(timedelta(seconds=1))
        frozen_server.reap()
    assert until(lambda: fleet.run(run)["status"] == "FAILED")
    assert "there is no definition 'demo/none'" in fleet.run(run)["reason"]
    fleet.begin()


def test_a_report_does_not_wait_for_a_decision_that_cannot_be_made(server: Server) -> None:
    """Otherwise the report would wait until the time limit of pending decisions."""
    other = Fleet(server, "demo/other", "c3")
    other.begin()
    fleet = Fleet(server, steps=[{"action": "GO"}, {"workflow": "demo/other"}])
    run = fleet.begin()
    began = time.monotonic()
    assert fleet.do(run["id"], "start", "complete")["status"] == "RUNNING"
    assert time.monotonic() < began + 3


def test_a_new_document_version_does_not_change_live_runs(server: Server, fleet: Fleet) -> None:
    run = fleet.begin()
    Fleet(server, steps=[{"action": "DANCE"}])
    assert fleet.do(run["id"], "start", "complete")["tasks"][-1]["actionName"] == "WAIT"
    assert fleet.begin(device="c3")["tasks"][0]["actionName"] == "DANCE"


def test_payloads_keep_their_numbers(server: Server, fleet: Fleet) -> None:
    body = b'{"payload": {"a": 1.50, "b": 1e2, "c": 9223372036854775807}}'
    status, _, text = server.send("POST", "/workflows/demo/patrol/runs", body, content_type="application/json")
    assert status == 201
    assert b'"a":1.50,"b":1e2,"c":9223372036854775807' in text
