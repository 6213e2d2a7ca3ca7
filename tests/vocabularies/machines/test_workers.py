"""The offers to workers and the effects of their reports, over gRPC, in both packages."""

from __future__ import annotations

import random
import string
from datetime import timedelta

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from fencepost.clock import FrozenClock
from fencepost.telemetry import Event
from tests.fixtures.machines import (
    FAILED,
    PENDING,
    RUNNING,
    SUCCESS,
    TEMPLATE,
    TIMEOUT,
    Gate,
    refused,
    template_of,
)

pytestmark = pytest.mark.shows("guarantees/ended-machine-workflow")

TWO = template_of(("a", ["wipe", "write"]), ("b", ["wipe"]))
ORDER = [("a", "task-0", "wipe"), ("a", "task-0", "write"), ("b", "task-1", "wipe")]
both = pytest.mark.parametrize("is_old", [False, True], ids=["2023", "2021"])


@pytest.fixture
def id(gate: Gate) -> str:
    """A workflow of two actions on worker a and one on worker b."""
    gate.declare(TWO)
    return gate.create()


@pytest.mark.shows("machines/contexts", "machines/no-workflows")
@both
def test_a_workflow_is_offered_to_the_worker_of_its_current_action(gate: Gate, id: str, is_old: bool) -> None:
    machine = gate.machine(is_old=is_old)
    (context,) = machine.contexts("a")
    assert context.workflow_id == id
    assert (context.current_worker, context.current_task, context.current_action) == ("a", "task-0", "wipe")
    assert (context.current_action_index, context.current_action_state) == (0, PENDING)
    assert context.total_number_of_actions == 3
    assert machine.contexts("b") == []
    assert machine.contexts("c") == []


@pytest.mark.shows(
    "machines/services-shared",
    "machines/state-running",
    "machines/state-success",
    "machines/differs-preparing",
    "machines/differs-second-task",
)
@both
def test_reports_lead_a_workflow_through_its_workers_to_its_end(gate: Gate, id: str, is_old: bool) -> None:
    machine = gate.machine(is_old=is_old)
    for index, (worker, task, action) in enumerate(ORDER):
        assert machine.offered(worker) == [(action, index, PENDING)]
        assert machine.offered("b" if worker == "a" else "a") == []
        machine.report(id, task, action, RUNNING)
        assert machine.offered(worker) == [(action, index, RUNNING)]
        assert gate.state(id) == "STATE_RUNNING"
        machine.report(id, task, action, SUCCESS)
    assert gate.state(id) == "STATE_SUCCESS"
    assert machine.offered("a") == machine.offered("b") == []
    workflow = gate.server.rpc("awf.workflow/status", {"id": id})["resource"]
    assert (workflow["status"], workflow["outcome"]) == ("done", "succeeded")


@pytest.mark.shows("machines/actions")
def test_get_workflow_actions_has_the_actions_of_all_tasks(gate: Gate) -> None:
    gate.declare(TEMPLATE)
    id = gate.create(hardware={"device_1": "w"})
    first, second, third = gate.machine().actions(id)
    assert (first.task_name, first.name, first.image) == (
        "os-installation",
        "disk-wipe",
        "quay.io/tinkerbell/disk-wipe:v1.0.0",
    )
    assert (first.timeout, first.worker_id, first.pid, list(first.command)) == (90, "w", "host", ["wipe", "--all"])
    assert list(second.environment) == ["MIRROR_HOST=192.168.1.3", "VERSION=20.10"]
    assert (third.task_name, third.timeout) == ("reboot", 0)


@pytest.mark.shows("machines/action-members")
def test_the_packages_differ_in_volumes_on_timeout_and_on_failure(gate: Gate) -> None:
    gate.declare(TEMPLATE)
    id = gate.create(hardware={"device_1": "w"})
    old, new = gate.machine(is_old=True).actions(id), gate.machine().actions(id)
    assert list(new[1].volumes) == [
        "/dev:/dev",
        "/lib/firmware:/lib/firmware:ro",
        "/dev:/devices",
        "/statedir:/statedir",
    ]
    assert list(old[1].volumes) == ["/dev:/devices", "/lib/firmware:/lib/firmware:ro", "/statedir:/statedir"]
    assert (list(old[0].on_timeout), list(old[0].on_failure)) == (["echo", "late"], ["echo", "bad"])
    assert (list(new[0].on_timeout), list(new[0].on_failure)) == ([], [])


@pytest.mark.shows("machines/report")
def test_the_next_action_is_scheduled_when_a_success_is_answered(gate: Gate, id: str) -> None:
    machine = gate.machine()
    machine.report(id, "task-0", "wipe", RUNNING)
    machine.report(id, "task-0", "wipe", SUCCESS)
    machine.report(id, "task-0", "write", RUNNING)
    assert machine.offered("a") == [("write", 1, RUNNING)]


@pytest.mark.shows("machines/end-without-running")
@both
def test_a_success_without_running_is_accepted(gate: Gate, id: str, is_old: bool) -> None:
    machine = gate.machine(is_old=is_old)
    for _, task, action in ORDER:
        machine.report(id, task, action, SUCCESS)
    assert gate.state(id) == "STATE_SUCCESS"


@pytest.mark.shows("machines/state-failed", "machines/state-timeout", "machines/offered-states")
@both
@pytest.mark.parametrize(("state", "word"), [(FAILED, "STATE_FAILED"), (TIMEOUT, "STATE_TIMEOUT")])
@pytest.mark.parametrize("begun", [True, False])
def test_a_failed_or_timed_out_action_ends_its_workflow(
    gate: Gate, id: str, state: int, word: str, begun: bool, is_old: bool
) -> None:
    machine = gate.machine(is_old=is_old)
    if begun:
        machine.report(id, "task-0", "wipe", RUNNING)
    machine.report(id, "task-0", "wipe", state, seconds=3, message="no disk")
    assert gate.state(id) == word
    assert machine.contexts("a") == []
    workflow = gate.server.rpc("awf.workflow/status", {"id": id, "include-activities?": True})
    assert workflow["resource"]["outcome"] == "failed"
    assert workflow["resource"]["error"]["state"] == word
    assert [task["error"] for task in workflow["activities"]] == [{"state": word, "message": "no disk", "seconds": 3}]


@pytest.mark.shows("machines/running-repeated")
@both
def test_a_repeated_report_is_accepted_without_effect(gate: Gate, id: str, is_old: bool) -> None:
    machine = gate.machine(is_old=is_old)
    for _ in range(3):
        machine.report(id, "task-0", "wipe", RUNNING)
    for _ in range(3):
        machine.report(id, "task-0", "wipe", SUCCESS)
    for _ in range(2):
        machine.report(id, "task-0", "wipe", RUNNING)
        machine.report(id, "task-0", "wipe", FAILED)
    assert machine.offered("a") == [("write", 1, PENDING)]
    events = gate.server.rpc("awf.machine/events", {"id": id})["events"]
    assert [event["changed"] for event in events] == [True, False, False, True, *[False] * 6]


@pytest.mark.shows(
    "machines/late-ends", "machines/running-after-end", "machines/differs-after-failure", "machines/differs-after-last"
)
@both
@pytest.mark.parametrize("last", [FAILED, TIMEOUT, SUCCESS])
def test_an_ended_workflow_accepts_terminal_reports_but_not_running(
    gate: Gate, id: str, last: int, is_old: bool
) -> None:
    machine = gate.machine(is_old=is_old)
    for _, task, action in ORDER[:2]:
        machine.report(id, task, action, SUCCESS)
    machine.report(id, "task-1", "wipe", last)
    before = gate.state(id)
    for _, task, action in ORDER:
        for state in (SUCCESS, FAILED, TIMEOUT):
            machine.report(id, task, action, state)
        code, message = refused(machine.report, id, task, action, RUNNING)
        assert code == grpc.StatusCode.FAILED_PRECONDITION
        assert "is done already" in message
    assert gate.state(id) == before


@pytest.mark.shows("machines/other-action")
def test_a_report_of_a_later_or_unknown_action_is_refused(gate: Gate, id: str) -> None:
    machine = gate.machine()
    argument = grpc.StatusCode.INVALID_ARGUMENT
    task, action = (f"reported {what} name does not match the current action details" for what in ("task", "action"))
    for state in (RUNNING, FAILED, TIMEOUT, SUCCESS):
        assert refused(machine.report, id, "task-1", "wipe", state) == (argument, task)
        assert refused(machine.report, id, "task-0", "write", state) == (argument, action)
        assert refused(machine.report, id, "nothing", "wipe", state) == (argument, task)
        assert refused(machine.report, id, "task-0", "nothing", state) == (argument, action)
    assert machine.offered("a") == [("wipe", 0, PENDING)]
    assert gate.server.rpc("awf.machine/events", {"id": id})["events"] == []


@pytest.mark.shows("machines/incomplete-report", "machines/report-pending")
def test_a_report_without_a_name_is_refused_with_that_name(gate: Gate, id: str) -> None:
    machine = gate.machine()
    argument = grpc.StatusCode.INVALID_ARGUMENT
    assert refused(machine.report, "", "", "", RUNNING) == (argument, "invalid workflow id")
    assert refused(machine.report, id, "", "", RUNNING) == (argument, "invalid task name")
    assert refused(machine.report, id, "task-0", "", RUNNING) == (argument, "invalid action name")
    code, message = refused(machine.report, id, "task-0", "wipe", PENDING)
    assert (code, "STATE_RUNNING" in message) == (argument, True)
    code, message = refused(machine.report, id, "task-0", "wipe", 7)
    assert (code, "STATE_RUNNING" in message) == (argument, True)


@pytest.mark.shows("machines/empty-worker-id", "machines/unknown-workflow-actions", "machines/report-unknown-workflow")
def test_unknown_workflows_have_the_errors_of_each_package(gate: Gate) -> None:
    old, new = gate.machine(is_old=True), gate.machine()
    unknown = "invalid workflow id"
    assert refused(old.report, "w-0", "t", "a", RUNNING) == (grpc.StatusCode.ABORTED, unknown)
    assert refused(new.report, "w-0", "t", "a", RUNNING) == (grpc.StatusCode.INVALID_ARGUMENT, unknown)
    assert old.actions("w-0") == []
    assert refused(new.actions, "w-0")[0] == grpc.StatusCode.NOT_FOUND
    for machine in (old, new):
        assert refused(machine.actions, "") == (grpc.StatusCode.INVALID_ARGUMENT, unknown)
    assert refused(old.contexts, "") == (grpc.StatusCode.INVALID_ARGUMENT, "invalid worker id")
    assert refused(new.contexts, "") == (grpc.StatusCode.INVALID_ARGUMENT, unknown)


def test_a_workflow_of_another_kind_is_not_found(gate: Gate) -> None:
    gate.server.rpc("awf.definition/put", {"kind": "workflow", "name": "demo/other"})
    gate.server.rpc("awf.workflow/create-and-execute", {"definition": "demo/other", "id": "other"})
    assert gate.machine(is_old=True).actions("other") == []
    assert gate.server.refused("awf.machine/status", {"id": "other"}) == (404, "workflow-not-found", "$.params.id")


@pytest.mark.shows("machines/no-actions-not-offered")
@both
def test_a_workflow_without_actions_is_complete_at_once(gate: Gate, is_old: bool) -> None:
    gate.declare(template_of(("a", [])))
    id = gate.create()
    assert gate.state(id) == "STATE_SUCCESS"
    assert gate.machine(is_old=is_old).contexts("a") == []


@pytest.mark.shows("machines/longest-name")
def test_an_action_with_the_longest_name_is_accepted(gate: Gate) -> None:
    gate.declare(template_of(("w", ["a" * 199, "b" * 199])))
    id, machine = gate.create(), gate.machine()
    for index, name in enumerate(("a" * 199, "b" * 199)):
        assert machine.offered("w") == [(name, index, PENDING)]
        machine.report(id, "task-0", name, RUNNING)
        machine.report(id, "task-0", name, SUCCESS)
    assert gate.state(id) == "STATE_SUCCESS"


def test_a_worker_name_of_1000_bytes_is_accepted(gate: Gate) -> None:
    gate.declare(template_of(("{{.machine}}", ["wipe"])))
    name = "".join(random.choices(string.ascii_letters, k=1000))
    gate.create(hardware={"machine": name})
    assert gate.machine().offered(name) == [("wipe", 0, PENDING)]
    create = {"definition": "demo/provision", "hardware": {"machine": name * 9}}
    assert gate.server.refused("awf.machine/create", create)[0] == 400


@pytest.mark.shows("machines/worker-id-compared")
def test_worker_names_are_case_sensitive_but_mac_addresses_are_not(gate: Gate) -> None:
    gate.declare(template_of(("{{.machine}}", ["wipe"])))
    for name in ("Alice", "52:54:00:AB:34:56"):
        gate.create(hardware={"machine": name})
    machine = gate.machine()
    assert (len(machine.contexts("Alice")), len(machine.contexts("alice"))) == (1, 0)
    (context,) = machine.contexts("52:54:00:ab:34:56")
    # A worker compares this with its own name.
    assert context.current_worker == "52:54:00:ab:34:56"
    assert [action.worker_id for action in machine.actions(context.workflow_id)] == ["52:54:00:ab:34:56"]


@pytest.mark.shows("machines/slash-in-id")
@both
def test_an_id_with_a_slash_is_accepted(gate: Gate, is_old: bool) -> None:
    gate.declare(template_of(("w", ["wipe"])))
    machine, id = gate.machine(is_old=is_old), gate.create(id="tink-system/rack-7")
    (context,) = machine.contexts("w")
    assert context.workflow_id == id == "tink-system/rack-7"
    assert [action.name for action in machine.actions(id)] == ["wipe"]
    machine.report(id, "task-0", "wipe", SUCCESS)
    assert gate.state(id) == "STATE_SUCCESS"


def test_all_workflows_of_a_worker_are_offered_oldest_first(gate: Gate) -> None:
    gate.declare(TWO)
    ids = [gate.create() for _ in range(3)]
    assert [context.workflow_id for context in gate.machine().contexts("a")] == ids


def test_nul_characters_are_refused_or_replaced(gate: Gate, id: str) -> None:
    machine = gate.machine()
    argument = grpc.StatusCode.INVALID_ARGUMENT
    assert refused(machine.contexts, "a\0") == (argument, "invalid workflow id")
    assert refused(machine.report, "\0", "task-0", "wipe", RUNNING) == (argument, "invalid workflow id")
    machine.report(id, "task-0", "wipe", FAILED, message="a\0b", worker="w\0", seconds=-(2**63))
    (event,) = gate.server.rpc("awf.machine/events", {"id": id})["events"]
    assert (event["message"], event["worker"], event["seconds"]) == (
        "a\N{REPLACEMENT CHARACTER}b",
        "w\N{REPLACEMENT CHARACTER}",
        -(2**63),
    )


@pytest.mark.shows("machines/reflection")
def test_both_services_are_found_by_reflection(gate: Gate) -> None:
    from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

    stub = reflection_pb2_grpc.ServerReflectionStub(grpc.insecure_channel(f"127.0.0.1:{gate.port}"))
    (answer,) = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]), timeout=10)
    names = (
        "proto.WorkflowService",
        "github.com.tinkerbell.tink.protos.workflow.WorkflowService",
        "github.com.tinkerbell.tink.protos.template.TemplateService",
        "github.com.tinkerbell.tink.protos.hardware.HardwareService",
    )
    assert {service.name for service in answer.list_services_response.service} >= {*names}
    for name in names:
        request = reflection_pb2.ServerReflectionRequest(file_containing_symbol=name)
        (answer,) = stub.ServerReflectionInfo(iter([request]), timeout=10)
        described = FileDescriptorProto.FromString(answer.file_descriptor_response.file_descriptor_proto[0])
        assert f"{described.package}.{described.service[0].name}" == name


def test_workflows_created_by_any_method_are_offered(gate: Gate) -> None:
    gate.declare(template_of(("{{.machine}}", ["wipe"])))
    server = gate.server
    params = {"hardware": {"machine": "a"}}
    server.rpc("awf.workflow/create-and-execute", {"definition": "demo/provision", "id": "by-hand", "params": params})
    server.rpc("awf.definition/put", {"kind": "workflow", "name": "demo/parent"})
    parent = server.rpc("awf.workflow/create-and-execute", {"definition": "demo/parent"})["resource"]["id"]
    (decision,) = server.rpc("awf.task/poll", {"workflowDefinitions": ["demo/parent"], "start": True})["resources"]
    request = {"definition": "demo/provision", "label": "machine", "params": params}
    action = {"action": "awf.workflow.action/schedule-workflow", "workflow-request": request}
    server.rpc("awf.task/success", {"id": decision["id"], "execId": decision["execId"], "result": [action]})
    schedule = {
        "kind": "schedule",
        "name": "demo/nightly",
        "schedule": "0 3 * * *",
        "workflow-request": {"definition": "demo/provision", "params": params},
    }
    server.rpc("awf.definition/put", schedule)
    server.rpc("awf.schedule/run-now", {"name": "demo/nightly"})
    machine = gate.machine()
    contexts = machine.contexts("a")
    assert len(contexts) == 3
    for context in contexts:
        machine.report(context.workflow_id, "task-0", "wipe", SUCCESS)
    assert machine.contexts("a") == []
    (told,) = server.rpc("awf.task/poll", {"workflowDefinitions": ["demo/parent"], "start": True})["resources"]
    assert (told["params"]["label"], told["params"]["outcome"]) == ("machine", "succeeded")
    assert parent == server.rpc("awf.workflow/status", {"id": parent})["resource"]["id"]


@pytest.mark.parametrize("method", ["awf.workflow/create-and-execute", "awf.machine/create"])
def test_hardware_that_does_not_fit_creates_no_workflow(gate: Gate, method: str) -> None:
    gate.declare(template_of(("{{.machine}}", ["wipe"])))
    params = {"hardware": {"device": "a"}}
    members = params if method == "awf.machine/create" else {"params": params}
    status, type, path = gate.server.refused(method, {"definition": "demo/provision", **members})
    assert (status, type) == (400, "invalid-params")
    assert path is not None
    assert path.endswith("params.hardware")
    assert gate.server.rpc("awf.machine/list", {})["resources"] == []


@pytest.mark.shows("machines/worker-id-compared")
@both
def test_a_workflow_is_offered_under_the_one_id_that_its_worker_compares(gate: Gate, is_old: bool) -> None:
    mac, second = "52:54:00:ab:34:56", "52:54:00:00:00:01"
    record = {"id": "hw-1", "network": {"interfaces": [{"dhcp": {"mac": mac}}, {"dhcp": {"mac": second}}]}}
    gate.server.rpc("awf.hardware/push", {"hardware": record})
    gate.declare(template_of((mac, ["wipe"])))
    id, machine = gate.create(), gate.machine(is_old=is_old)
    (action,) = machine.actions(id)
    assert action.worker_id == ("hw-1" if is_old else mac)
    offered = {worker: len(machine.contexts(worker)) for worker in ("hw-1", mac, mac.upper(), second)}
    assert offered == {"hw-1": int(is_old), mac: int(not is_old), mac.upper(): 0, second: 0}


@pytest.mark.shows("machines/refused-actions-skipped")
@pytest.mark.parametrize("end", ["awf.workflow/cancel", "awf.machine/delete"])
def test_the_actions_of_a_workflow_that_ended_in_the_queue_are_refused(gate: Gate, end: str) -> None:
    gate.declare(TWO)
    machine, ids = gate.machine(), [gate.create() for _ in range(3)]
    queued = [context.workflow_id for context in machine.contexts("a")]
    gate.server.rpc(end, {"id": queued[1]})
    # A worker repeats a refused report of RUNNING forever, but skips a workflow if its actions are refused.
    code, message = refused(machine.actions, queued[1])
    assert code in (grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.NOT_FOUND), message
    assert len(machine.actions(queued[2])) == 3
    assert queued == ids


@pytest.mark.shows("machines/refused-actions-skipped")
@pytest.mark.parametrize("last", [FAILED, TIMEOUT, SUCCESS])
def test_the_actions_of_an_ended_workflow_are_given_to_old_workers_only(gate: Gate, id: str, last: int) -> None:
    machine = gate.machine()
    for _, task, action in ORDER[:2]:
        machine.report(id, task, action, SUCCESS)
    machine.report(id, "task-1", "wipe", last)
    code, message = refused(machine.actions, id)
    assert (code, "is done already" in message) == (grpc.StatusCode.FAILED_PRECONDITION, True)
    # Old workers exit on a refusal, and ended workflows are not offered to them.
    assert len(gate.machine(is_old=True).actions(id)) == 3


@pytest.mark.shows("machines/cancel-unannounced")
def test_a_stuck_worker_is_shown_and_logged_once(
    frozen_gate: Gate, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    emitted: list[tuple[Event, dict[str, object]]] = []
    monkeypatch.setattr("fencepost.telemetry.listeners", [lambda *event: emitted.append(event)])
    gate = frozen_gate
    gate.declare(TWO)
    id, machine = gate.create(), gate.machine()
    machine.report(id, "task-0", "wipe", RUNNING)
    gate.server.rpc("awf.workflow/cancel", {"id": id})
    machine.report(id, "task-0", "wipe", SUCCESS)
    assert "stuck" not in gate.server.rpc("awf.machine/status", {"id": id})["resource"]
    for _ in range(12):
        refused(machine.report, id, "task-0", "write", RUNNING, worker="a\nb")
        clock.advance(timedelta(seconds=3))
    stuck = [fields for event, fields in emitted if event is Event.MACHINE_STUCK]
    assert stuck == [{"worker": "a\nb", "action": "write", "workflow": id}]
    shown = gate.server.rpc("awf.machine/status", {"id": id})["resource"]["stuck"]
    assert (shown["task"], shown["action"], shown["worker"]) == ("task-0", "write", "a\nb")
    assert shown["since"] < shown["lastAt"]
    (listed,) = gate.server.rpc("awf.machine/list", {})["resources"]
    assert listed["stuck"] == shown


def test_an_old_worker_is_not_recorded_as_stuck(gate: Gate, id: str) -> None:
    machine = gate.machine(is_old=True)
    gate.server.rpc("awf.workflow/cancel", {"id": id})
    refused(machine.report, id, "task-0", "wipe", RUNNING)
    assert "stuck" not in gate.server.rpc("awf.machine/status", {"id": id})["resource"]


def test_long_texts_in_a_report_are_cut(gate: Gate, id: str) -> None:
    machine = gate.machine()
    machine.report(id, "task-0", "wipe", SUCCESS, message="x" * 5_000_000, worker="w" * 5000)
    (event,) = gate.server.rpc("awf.machine/events", {"id": id})["events"]
    assert (len(event["message"]), len(event["worker"])) == (100_000, 1000)


@pytest.mark.shows("machines/id-is-folder")
def test_an_id_that_is_not_a_safe_folder_name_is_refused(gate: Gate) -> None:
    gate.declare(template_of(("w", ["wipe"])))
    elsewhere = ("../x", "..", ".", "a/../b", "/a", "a/", "a//b", "a/.", ".hidden", "-a", "a/-b")
    for id in ("a:b", *elsewhere, "a b", "a\\b", "a\nb", "\N{LATIN SMALL LETTER U WITH DIAERESIS}", "~", "a,b"):
        create = {"definition": "demo/provision", "id": id}
        assert gate.server.refused("awf.machine/create", create) == (400, "invalid-params", "$.params.id"), id
    for id in ("..", ".hidden", "-a"):
        create = {"definition": "demo/provision", "id": id}
        assert gate.server.refused("awf.workflow/create-and-execute", create)[1:] == ("invalid-params", "$.params.id")
    assert gate.server.rpc("awf.machine/list", {})["resources"] == []
    gate.server.rpc("awf.definition/put", {"kind": "workflow", "name": "demo/other"})
    gate.server.rpc("awf.workflow/create-and-execute", {"definition": "demo/other", "id": ".hidden"})


def test_an_id_that_is_a_safe_path_is_accepted(gate: Gate) -> None:
    gate.declare(template_of(("w", ["wipe"])))
    for id in ("a", "rack-7", "tink-system/rack-7", "A_1.b-c/d", "a..b", "0", "x" * 64):
        assert gate.create(id=id) == id
