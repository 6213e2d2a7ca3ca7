"""Runs of device workflows over HTTP: begin, report, retry, stop, read."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.fixtures.devices import Fleet
from tests.fixtures.servers import CallRefused, Server

REPORTS = ("start", "complete", "reject", "abort", "fail")
# The reports that lead to each state from a new task.
WAYS = {
    "PENDING": (),
    "IN_PROGRESS": ("start",),
    "COMPLETED": ("start", "complete"),
    "REJECTED": ("reject",),
    "ABORTED": ("start", "abort"),
}
# The status after each accepted report, by status and report. A repeated report is accepted; others are refused.
FITS = {
    ("PENDING", "start"): "IN_PROGRESS",
    ("PENDING", "reject"): "REJECTED",
    ("PENDING", "abort"): "ABORTED",
    ("PENDING", "fail"): "ABORTED",
    ("IN_PROGRESS", "start"): "IN_PROGRESS",
    ("IN_PROGRESS", "complete"): "COMPLETED",
    ("IN_PROGRESS", "abort"): "ABORTED",
    ("IN_PROGRESS", "fail"): "ABORTED",
    ("COMPLETED", "complete"): "COMPLETED",
    ("REJECTED", "reject"): "REJECTED",
    ("ABORTED", "abort"): "ABORTED",
    ("ABORTED", "fail"): "ABORTED",
}


@pytest.fixture
def fleet(server: Server) -> Fleet:
    return Fleet(server)


def refused(call: Any, *args: Any, **members: Any) -> tuple[int, str, str | None]:
    with pytest.raises(CallRefused) as caught:
        call(*args, **members)
    return caught.value.status, caught.value.fault["type"], caught.value.fault.get("path")


@pytest.mark.shows("devices/run-begins", "devices/first-task-pending")
def test_a_run_stores_its_first_step_as_a_pending_task(fleet: Fleet) -> None:
    status, run = fleet.send("POST", "/workflows/demo/patrol/runs")
    assert status == 201
    assert (run["workflowId"], run["deviceId"], run["status"], run["attempt"]) == ("demo/patrol", "r2", "RUNNING", 1)
    (task,) = run["tasks"]
    assert task["id"] == run["currentTaskId"]
    assert task == fleet.task(task["id"])
    expected = {
        "workflowRunId": run["id"],
        "workflowId": "demo/patrol",
        "deviceId": "r2",
        "deviceName": "r2",
        "actionName": "GO",
        "payload": {"to": "gate"},
        "status": "PENDING",
        "attempt": 1,
        "step": 1,
    }
    assert {name: task[name] for name in expected} == expected


@pytest.mark.shows("devices/step-after-step")
def test_a_run_completes_when_all_its_steps_complete(fleet: Fleet) -> None:
    id = fleet.begin()["id"]
    run = fleet.do(id, "start", "complete")
    assert run["status"] == "RUNNING"
    assert [(task["step"], task["status"]) for task in run["tasks"]] == [(1, "COMPLETED"), (2, "PENDING")]
    run = fleet.do(id, "start", "complete", result={"metres": 4.20})
    assert (run["status"], fleet.statuses(id)) == ("COMPLETED", ["COMPLETED", "COMPLETED"])
    assert run["tasks"][1]["result"] == {"metres": 4.2}
    assert run["result"] == {"status": "COMPLETED", "device": "r2", "attempt": 1, "result": {"metres": 4.2}}
    assert "endedAt" in run
    assert "currentTaskId" not in run


@pytest.mark.shows(
    "devices/start",
    "devices/complete",
    "devices/reject",
    "devices/abort",
    "devices/other-reports-refused",
    "devices/no-status-failed",
    "devices/fail-is-abort",
)
@pytest.mark.parametrize("status", WAYS)
def test_a_report_leads_to_the_documented_status_or_is_refused(fleet: Fleet, status: str) -> None:
    for verb in REPORTS:
        task = fleet.begin(device=verb)["currentTaskId"]
        for way in WAYS[status]:
            fleet.report(task, way)
        before = fleet.task(task)
        assert before["status"] == status
        if (status, verb) in FITS:
            after = fleet.report(task, verb)
            assert after["status"] == FITS[status, verb]
            assert (after == before) == (after["status"] == status)
        else:
            assert refused(fleet.report, task, verb) == (409, "report-refused", "$.id")
            assert fleet.task(task) == before


@pytest.mark.shows("devices/repeated-report")
@pytest.mark.parametrize("verb", ["reject", "abort"])
def test_a_repeated_report_does_not_change_the_run(fleet: Fleet, verb: str) -> None:
    run = fleet.begin()
    task = run["currentTaskId"]
    for _ in range(3):
        fleet.report(task, verb, reason="busy")
    assert fleet.statuses(run["id"]) == [{"reject": "REJECTED", "abort": "ABORTED"}[verb], "PENDING"]


@pytest.mark.shows("devices/retry-step", "devices/retry-new-task")
def test_a_rejected_step_is_a_new_task_and_the_run_is_retrying(fleet: Fleet) -> None:
    run = fleet.begin()
    after = fleet.do(run["id"], "reject", reason="another_task_active")
    assert after["status"] == "RETRYING"
    first, second = after["tasks"]
    assert (first["status"], first["reason"]) == ("REJECTED", "another_task_active")
    assert second["id"] != first["id"]
    assert (second["step"], second["payload"], second["attempt"]) == (1, first["payload"], 1)
    fleet.report(second["id"], "start")
    assert fleet.run(run["id"])["status"] == "RUNNING"


@pytest.mark.shows("devices/run-statuses", "devices/retry-maximum")
def test_a_run_fails_after_the_last_retry(fleet: Fleet) -> None:
    id = fleet.begin()["id"]
    for _ in range(3):
        assert fleet.do(id, "start", "fail", reason="off_track")["status"] == "RETRYING"
    run = fleet.do(id, "start", "abort", reason="battery")
    assert (run["status"], run["reason"], fleet.statuses(id)) == ("FAILED", "battery", ["ABORTED"] * 4)
    assert run["error"]["step"] == 1


@pytest.mark.shows("devices/fail-point-payload")
@pytest.mark.parametrize("spelling", ["failPoint", "fail_point"])
def test_a_fail_point_begins_a_new_attempt_at_the_first_step(fleet: Fleet, spelling: str) -> None:
    id = fleet.begin(payload={"speed": 1})["id"]
    fleet.do(id, "start", "complete")
    run = fleet.do(id, "start", "abort", **{spelling: {"corner": 3, "at": [1.5, None]}})
    assert (run["id"], run["status"], run["attempt"]) == (id, "RETRYING", 2)
    newest = run["tasks"][-1]
    assert (newest["step"], newest["attempt"]) == (1, 2)
    assert newest["payload"] == {"to": "gate", "speed": 1, "failPoint": {"corner": 3, "at": [1.5, None]}}
    assert run["tasks"][1]["failPoint"] == {"corner": 3, "at": [1.5, None]}
    run = fleet.do(id, "start", "complete")
    assert run["tasks"][-1]["payload"] == {}
    assert fleet.do(id, "start", "complete")["status"] == "COMPLETED"


@pytest.mark.shows("devices/device-of-request")
def test_the_device_of_a_request_overrides_that_of_the_document(fleet: Fleet) -> None:
    for named in ({"device": "c3"}, {"deviceId": "c4"}, {"device_id": 5}):
        assert fleet.begin(**named)["deviceId"] == str(*named.values())


@pytest.mark.shows("devices/one-run")
def test_a_second_run_of_a_device_is_refused_and_names_the_first(server: Server, fleet: Fleet) -> None:
    other = Fleet(server, "demo/clean", "r2")
    first = fleet.begin()["id"]
    for wanting in (fleet, other):
        status, answer = wanting.send("POST", f"/workflows/{wanting.name}/runs")
        assert (status, answer["error"]["type"]) == (409, "workflow-key-taken")
        assert first in answer["error"]["message"]
    assert fleet.call("GET", "/workflows/demo/clean/runs") == {"runs": []}


@pytest.mark.shows("devices/retrying-is-active")
def test_a_retrying_run_blocks_other_runs_of_its_device(fleet: Fleet) -> None:
    assert fleet.do(fleet.begin()["id"], "reject")["status"] == "RETRYING"
    assert refused(fleet.begin)[0] == 409


@pytest.mark.shows("devices/end-frees-device", "devices/run-statuses")
@pytest.mark.parametrize("end", ["complete", "fail", "stop"])
def test_the_end_of_a_run_frees_its_device(server: Server, end: str) -> None:
    fleet = Fleet(server, steps=[{"action": "GO"}])
    id = fleet.begin()["id"]
    if end == "stop":
        fleet.stop(id)
    elif end == "complete":
        fleet.do(id, "start", "complete")
    else:
        for _ in range(4):
            fleet.do(id, "reject")
    assert fleet.run(id)["status"] == {"complete": "COMPLETED", "fail": "FAILED", "stop": "ABORTED"}[end]
    assert fleet.begin()["status"] == "RUNNING"


@pytest.mark.shows("devices/devices-independent")
def test_devices_do_not_wait_for_each_other(fleet: Fleet) -> None:
    runs = [fleet.begin(device=f"r{number}") for number in range(3)]
    assert len({run["id"] for run in runs}) == 3


@pytest.mark.shows("devices/stop-aborts", "devices/abort-answered", "devices/aborted-by-stop")
@pytest.mark.parametrize("ways", [(), ("start",)])
def test_stopping_a_run_aborts_the_task_of_its_device(fleet: Fleet, ways: tuple[str, ...]) -> None:
    run = fleet.begin()
    task = run["currentTaskId"]
    for way in ways:
        fleet.report(task, way)
    stopped = fleet.stop(run["id"])
    assert (stopped["status"], fleet.task(task)["status"]) == ("ABORTED", "ABORTED")
    assert fleet.stop(run["id"]) == stopped
    # The device answers the abort message with an abort report.
    assert fleet.report(task, "abort", reason="task_aborted_by_server")["status"] == "ABORTED"
    assert refused(fleet.report, task, "complete") == (409, "report-refused", "$.id")
    assert fleet.statuses(run["id"]) == ["ABORTED"]


def test_an_ended_run_cannot_be_stopped(server: Server) -> None:
    fleet = Fleet(server, steps=[{"action": "GO"}])
    id = fleet.begin()["id"]
    fleet.do(id, "start", "complete")
    assert refused(fleet.stop, id) == (409, "workflow-run-is-over", "$.id")


@pytest.mark.shows("devices/aborted-by-cancel")
def test_a_canceled_task_ends_the_run_as_aborted(server: Server, fleet: Fleet) -> None:
    run = fleet.begin()
    server.rpc("awf.task/cancel", {"id": run["currentTaskId"]})
    server.run(server.app.engine.deciders.run_pending_decisions(run["id"]))
    after = fleet.run(run["id"])
    assert (after["status"], after["reason"], len(after["tasks"])) == ("ABORTED", "canceled", 1)


def test_a_repeated_request_with_an_id_is_the_same_run(fleet: Fleet) -> None:
    first = fleet.begin(id="night-1", payload={"n": 1})
    assert fleet.begin(id="night-1", payload={"n": 1}) == first
    assert refused(fleet.begin, id="night-1", payload={"n": 2})[0] == 409
    assert len(fleet.call("GET", "/workflows/demo/patrol/runs")["runs"]) == 1


def test_a_repeated_request_is_the_same_run_while_its_device_has_another(fleet: Fleet) -> None:
    fleet.begin(id="night-1")
    stopped = fleet.stop("night-1")
    fleet.begin(id="night-2")
    assert fleet.begin(id="night-1") == stopped
    assert refused(fleet.begin, id="night-1", payload={"n": 2})[:2] == (409, "already-exists")
    assert refused(fleet.begin, id="night-3")[:2] == (409, "workflow-key-taken")


@pytest.mark.shows("devices/reads-of-workflows", "devices/api-prefix")
@pytest.mark.parametrize("prefix", ["", "/api"])
def test_every_route_is_also_under_api(fleet: Fleet, prefix: str) -> None:
    run = fleet.call("POST", f"{prefix}/workflows/demo%2Fpatrol/runs")
    task = run["currentTaskId"]
    assert fleet.call("POST", f"{prefix}/tasks/{task}/start")["status"] == "IN_PROGRESS"
    assert fleet.call("GET", f"{prefix}/tasks/{task}")["status"] == "IN_PROGRESS"
    assert fleet.call("GET", f"{prefix}/workflow-runs/{run['id']}")["currentTaskId"] == task
    (workflow,) = fleet.call("GET", f"{prefix}/workflows")["workflows"]
    assert workflow == fleet.call("GET", f"{prefix}/workflows/demo/patrol")
    assert (workflow["id"], workflow["deviceId"], len(workflow["steps"])) == ("demo/patrol", "r2", 2)
    assert [one["id"] for one in fleet.call("GET", f"{prefix}/workflows/demo/patrol/runs")["runs"]] == [run["id"]]
    assert fleet.call("GET", f"{prefix}/devices/r2")["currentRunId"] == run["id"]
    assert "silenceSeconds" in fleet.call("GET", f"{prefix}/server-settings")
    assert fleet.call("PUT", f"{prefix}/devices/r9", {"tracks": []})["name"] == "r9"
    assert "seenAt" in fleet.call("POST", f"{prefix}/devices/r9/heartbeat")
    assert {one["id"] for one in fleet.call("GET", f"{prefix}/devices")["devices"]} == {"r2", "r9"}


@pytest.mark.shows("devices/api-prefix", "devices/report-path")
@pytest.mark.parametrize("prefix", ["", "/api"])
def test_every_report_route_is_also_under_api(fleet: Fleet, prefix: str) -> None:
    id = fleet.call("POST", f"{prefix}/workflows/demo/patrol/runs")["id"]
    for verb in ("start", "complete", "reject", "start", "abort", "fail"):
        task = fleet.call("GET", f"{prefix}/workflow-runs/{id}")["currentTaskId"]
        assert fleet.call("POST", f"{prefix}/tasks/{task}/{verb}", {"type": "TASK_STATE"})["id"] == task
    said = {"type": "TASK_STARTED", "task_id": fleet.run(id)["currentTaskId"]}
    assert fleet.call("POST", f"{prefix}/task-state", said)["status"] == "IN_PROGRESS"
    assert fleet.statuses(id) == ["COMPLETED", "REJECTED", "ABORTED", "ABORTED", "IN_PROGRESS"]
    assert fleet.call("POST", f"{prefix}/workflow-runs/{id}/stop")["status"] == "ABORTED"


@pytest.mark.shows("devices/reads-of-runs")
def test_clients_read_the_task_of_a_device_and_the_history_of_runs(fleet: Fleet) -> None:
    first = fleet.begin()["id"]
    fleet.do(first, "start", "complete")
    fleet.do(first, "start", "complete")
    run = fleet.begin()
    task = run["currentTaskId"]
    fleet.report(task, "start")
    device = fleet.call("GET", "/devices/r2")
    assert (device["currentTaskId"], device["currentRunId"]) == (task, run["id"])
    assert fleet.run(run["id"])["currentTaskId"] == task
    history = fleet.call("GET", "/workflows/demo/patrol/runs")["runs"]
    assert [(one["id"], one["status"]) for one in history] == [(run["id"], "RUNNING"), (first, "COMPLETED")]
    fleet.stop(run["id"])
    assert "currentTaskId" not in fleet.call("GET", "/devices/r2")


@pytest.mark.shows("devices/retry-maximum-private")
def test_the_server_settings_do_not_show_retry_limits(fleet: Fleet) -> None:
    settings = fleet.call("GET", "/server-settings")
    assert settings == {"registerWindowSeconds": 10.0, "healthcheckSeconds": 5.0, "silenceSeconds": 15.0}


def test_runs_are_listed_page_by_page_the_newest_first(fleet: Fleet) -> None:
    ids = [fleet.begin(device=f"r{number}")["id"] for number in range(5)]
    first = fleet.call("GET", "/workflows/demo/patrol/runs?limit=3")
    second = fleet.call("GET", f"/workflows/demo/patrol/runs?limit=3&after={first['next']}")
    assert fleet.call("GET", "/workflows/demo/patrol/runs?limit=0") == {"runs": []}
    assert [run["id"] for run in first["runs"] + second["runs"]] == ids[::-1]
    assert "tasks" not in first["runs"][0]
    assert "next" not in second


@pytest.mark.shows("devices/message-posted")
def test_a_report_may_be_a_task_state_message(fleet: Fleet) -> None:
    run = fleet.begin()
    said = {"task_id": f" {run['currentTaskId']} ", "action_name": "GO", "device_id": 7, "device_name": "r2"}
    assert fleet.call("POST", "/api/task-state", {**said, "type": "TASK_STARTED", "task_type": "start"})["status"] == (
        "IN_PROGRESS"
    )
    failed = {**said, "type": "TASK_FAILED", "task_type": "fail", "reason": "fell", "fail_point": 3}
    assert fleet.call("POST", "/api/task-state", failed)["status"] == "ABORTED"
    assert fleet.run(run["id"])["attempt"] == 2


@pytest.mark.shows("devices/bad-body")
@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"device": "a b"}, "$.device"),
        ({"device": True}, "$.device"),
        ({"payload": [1]}, "$.payload"),
        ({"payload": "x"}, "$.payload"),
        ({"id": "a/b"}, "$.id"),
        ({"devise": "r2"}, "$.devise"),
        ([], "$"),
        (b"{", None),
        (b'{"payload": {"a": 1, "a": 2}}', "$.payload"),
    ],
)
def test_a_bad_run_request_is_refused_with_the_path(fleet: Fleet, body: Any, path: str | None) -> None:
    with pytest.raises(CallRefused) as caught:
        fleet.call("POST", "/workflows/demo/patrol/runs", body)
    assert caught.value.status == 400
    assert path is None or caught.value.fault["path"] == path
    assert fleet.call("GET", "/workflows/demo/patrol/runs") == {"runs": []}


def test_a_run_without_a_device_is_refused(server: Server) -> None:
    assert refused(Fleet(server, device=None).begin) == (400, "invalid-params", "$.device")


@pytest.mark.parametrize(
    ("verb", "body", "path"),
    [
        ("abort", {"reason": 1}, "$.reason"),
        ("complete", {"result": [1]}, "$.result"),
        ("start", [1], "$"),
    ],
)
def test_a_bad_report_is_refused_with_the_path_and_has_no_effect(fleet: Fleet, verb: str, body: Any, path: str) -> None:
    task = fleet.begin()["currentTaskId"]
    if verb == "complete":
        fleet.report(task, "start")
    before = fleet.task(task)
    assert refused(fleet.call, "POST", f"/tasks/{task}/{verb}", body) == (400, "invalid-params", path)
    assert fleet.task(task) == before


@pytest.mark.shows("devices/unknown-ids")
@pytest.mark.parametrize(
    ("path", "type"),
    [
        ("/workflow-runs/nobody", "workflow-run-not-found"),
        ("/workflow-runs/%00", "workflow-run-not-found"),
        ("/tasks/nobody", "task-not-found"),
        ("/tasks/%00", "task-not-found"),
        ("/workflows/demo/nothing", "definition-not-found"),
        ("/workflows/demo/nothing/runs", "definition-not-found"),
        ("/workflows/demo/resize", "definition-not-found"),
        ("/workflows/%00", "definition-not-found"),
        ("/devices/nobody", "device-not-found"),
        ("/devices/%00", "device-not-found"),
    ],
)
def test_an_unknown_resource_is_404(server: Server, fleet: Fleet, path: str, type: str) -> None:
    server.define()
    assert refused(fleet.call, "GET", path)[:2] == (404, type)


@pytest.mark.parametrize(
    ("path", "verbs"),
    [
        ("/workflows/demo/patrol/runs", ["GET", "POST"]),
        ("/workflows/demo/patrol", ["GET"]),
        ("/devices/r2", ["GET", "PUT"]),
        ("/tasks/nobody/start", ["POST"]),
    ],
)
def test_a_405_names_all_methods_of_the_path(server: Server, path: str, verbs: list[str]) -> None:
    for above in ("", "/api"):
        status, headers, answer = server.send("DELETE", above + path)
        said = f"{above}{path} takes {' or '.join(verbs)}"
        assert (status, orjson.loads(answer)["error"]["message"]) == (405, said)
        assert headers["allow"] == ", ".join(verbs)


def test_a_page_of_devices_begins_after_a_name(fleet: Fleet) -> None:
    assert refused(fleet.call, "GET", "/devices?after=a/b") == (400, "invalid-params", "after")


def test_other_tasks_and_workflows_are_not_shown(server: Server, fleet: Fleet) -> None:
    server.define()
    server.rpc("awf.definition/put", {"kind": "workflow", "name": "demo/order"})
    order = server.rpc("awf.workflow/create-and-execute", {"definition": "demo/order"})["resource"]["id"]
    task = server.create()["id"]
    assert refused(fleet.task, task)[:2] == (404, "task-not-found")
    assert refused(fleet.report, task, "start")[:2] == (404, "task-not-found")
    assert refused(fleet.run, order)[:2] == (404, "workflow-run-not-found")
    assert refused(fleet.stop, order)[:2] == (404, "workflow-run-not-found")
    assert refused(fleet.call, "POST", f"/tasks/{fleet.begin()['currentTaskId']}/finish")[:2] == (404, "not-found")


def test_a_page_of_another_site_cannot_begin_a_run(server: Server, fleet: Fleet) -> None:
    for origin, status in (("http://evil.example", 403), (server.url, 201)):
        assert server.send("POST", "/workflows/demo/patrol/runs", origin=origin)[0] == status


@pytest.mark.shows("devices/registration")
def test_a_device_is_registered_with_any_json_object(fleet: Fleet) -> None:
    assert fleet.call("PUT", "/devices/r7", {"tracks": ["front"]})["info"] == {"tracks": ["front"]}
    device = fleet.call("GET", "/devices/r7")
    assert (device["id"], device["name"], device["connected"], "seenAt" in device) == ("r7", "r7", False, False)
    assert fleet.call("PUT", "/devices/r7", {"tracks": []})["createdAt"] == device["createdAt"]
    assert refused(fleet.call, "PUT", "/devices/r7", [1]) == (400, "invalid-params", "$")
    assert refused(fleet.call, "PUT", "/devices/a%20b", {}) == (400, "invalid-params", "$.name")


def test_devices_are_listed_by_name_page_by_page(fleet: Fleet) -> None:
    for name in ("r1", "r2", "r3"):
        fleet.call("PUT", f"/devices/{name}", {})
    first = fleet.call("GET", "/devices?limit=2")
    assert ([device["id"] for device in first["devices"]], first["next"]) == (["r1", "r2"], "r2")
    assert [device["id"] for device in fleet.call("GET", "/devices?after=r2")["devices"]] == ["r3"]


def test_a_page_of_devices_costs_as_much_as_one_device(server: Server, fleet: Fleet) -> None:
    for number in range(20):
        fleet.call("PUT", f"/devices/c{number}", {})
    fleet.call("PUT", "/devices/r2", {})
    task = fleet.begin()["currentTaskId"]
    for path in ("/devices", "/api/devices"):
        before = server.app.database.jobs_taken
        devices = fleet.call("GET", path)["devices"]
        assert server.app.database.jobs_taken - before < 15
        assert {one["id"]: one.get("currentTaskId") for one in devices}["r2"] == task
    assert server.rpc("awf.device/list")["resources"] == devices


def test_a_report_is_a_heartbeat_and_does_not_watch_the_device(fleet: Fleet) -> None:
    fleet.report(fleet.begin()["currentTaskId"], "start")
    device = fleet.call("GET", "/devices/r2")
    assert (device["connected"], "seenAt" in device) == (False, True)
