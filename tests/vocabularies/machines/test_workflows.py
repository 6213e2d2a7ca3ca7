"""The other methods of the 2021 package: workflows, templates and workflow data."""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from tests.fixtures.machines import (
    FAILED,
    PENDING,
    RUNNING,
    SUCCESS,
    TEMPLATE,
    TIMEOUT,
    Gate,
    WorkerClient,
    refused,
    template_of,
)

ARGUMENT, MISSING = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
MAC = "52:54:00:12:34:56"


@pytest.fixture
def machine(gate: Gate) -> WorkerClient:
    """A client of the 2021 package."""
    return gate.machine(is_old=True)


@pytest.fixture
def hello(machine: WorkerClient) -> str:
    """The id of a template of two actions."""
    return str(machine.template("CreateTemplate", name="hello", data=template_of(("{{.m}}", ["wipe", "write"]))).id)


def create(machine: WorkerClient, template: str, **hardware: Any) -> str:
    return str(machine.get("CreateWorkflow", template=template, hardware=json.dumps(hardware)).id)


@pytest.mark.shows("machines/create-workflow", "machines/get-workflow", "machines/differs-create-errors")
def test_create_workflow_takes_a_template_and_hardware(machine: WorkerClient, hello: str) -> None:
    id = create(machine, hello, m="w")
    assert uuid.UUID(id)
    workflow = machine.get("GetWorkflow", id=id)
    assert (workflow.id, workflow.template, json.loads(workflow.hardware)) == (id, hello, {"m": "w"})
    assert workflow.state == PENDING
    assert json.loads(workflow.data)["tasks"][0]["worker"] == "w"
    assert workflow.created_at.seconds > 1_700_000_000
    assert workflow.updated_at.ToNanoseconds() >= workflow.created_at.ToNanoseconds()
    assert not workflow.HasField("deleted_at")
    assert machine.offered("w") == [("wipe", 0, PENDING)]


@pytest.mark.shows("machines/list-workflows")
def test_list_workflows_streams_all_without_their_templates(machine: WorkerClient, hello: str) -> None:
    ids = [create(machine, hello, m="w") for _ in range(3)]
    listed = list(machine.get("ListWorkflows"))
    assert [workflow.id for workflow in listed] == ids
    assert {workflow.data for workflow in listed} == {""}


@pytest.mark.shows("machines/get-context", "machines/running-between-actions", "machines/current-action")
@pytest.mark.parametrize("last", [FAILED, TIMEOUT, SUCCESS])
def test_a_workflow_is_running_between_two_actions_and_then_has_its_final_state(
    machine: WorkerClient, hello: str, last: int
) -> None:
    id = create(machine, hello, m="w")
    machine.report(id, "task-0", "wipe", RUNNING)
    assert machine.get("GetWorkflow", id=id).state == RUNNING
    machine.report(id, "task-0", "wipe", SUCCESS)
    assert machine.get("GetWorkflow", id=id).state == RUNNING
    machine.report(id, "task-0", "write", last)
    assert machine.get("GetWorkflow", id=id).state == last
    context = machine.get("GetWorkflowContext", id=id)
    assert (context.current_action_state, context.total_number_of_actions) == (last, 2)
    # Clients compute progress from index and state: index 1 of 2 with SUCCESS is 100 %.
    names = (context.current_worker, context.current_task, context.current_action)
    assert (names, context.current_action_index) == (("w", "task-0", "write"), 1)


@pytest.mark.shows("machines/contexts-of-worker", "machines/differs-empty-list")
def test_the_context_list_has_all_workflows_of_a_worker(machine: WorkerClient, gate: Gate) -> None:
    gate.declare(template_of(("a", ["wipe"]), ("b", ["wipe"])))
    first, second = gate.create(), gate.create()
    machine.report(first, "task-0", "wipe", FAILED)
    for worker in ("a", "b"):
        contexts = machine.get("GetWorkflowContextList", worker_id=worker).workflow_contexts
        assert [(one.workflow_id, one.current_action_state) for one in contexts] == [(first, FAILED), (second, PENDING)]
    assert list(machine.get("GetWorkflowContextList", worker_id="c").workflow_contexts) == []
    assert refused(machine.get, "GetWorkflowContextList", worker_id="") == (ARGUMENT, "invalid worker id")


@pytest.mark.shows("machines/events", "machines/differs-report-kept")
def test_events_are_the_reports_in_order(machine: WorkerClient, hello: str) -> None:
    id = create(machine, hello, m="w")
    years_ago = Timestamp(seconds=1)  # the clock of a worker is ignored
    machine.report(id, "task-0", "wipe", RUNNING, message="Started execution", created_at=years_ago)
    machine.report(id, "task-0", "wipe", SUCCESS, worker="x", seconds=7, message="finished execution successfully")
    first, second = machine.get("ShowWorkflowEvents", id=id)
    assert (first.workflow_id, first.task_name, first.action_name) == ("", "task-0", "wipe")
    assert (first.action_status, first.message, first.worker_id) == (RUNNING, "Started execution", "w")
    assert (second.action_status, second.seconds, second.worker_id) == (SUCCESS, 7, "x")
    created = machine.get("GetWorkflow", id=id).created_at.ToNanoseconds()
    assert created < first.created_at.ToNanoseconds() < second.created_at.ToNanoseconds()


@pytest.mark.shows("machines/delete-workflow", "machines/deletion-unannounced")
def test_a_deleted_workflow_is_canceled_and_hidden(machine: WorkerClient, hello: str, gate: Gate) -> None:
    live, over = create(machine, hello, m="w"), create(machine, hello, m="w")
    for action in ("wipe", "write"):
        machine.report(over, "task-0", action, SUCCESS)
    for id in (live, over):
        machine.get("DeleteWorkflow", id=id)
        assert refused(machine.get, "GetWorkflow", id=id)[0] == MISSING
        assert refused(machine.get, "DeleteWorkflow", id=id)[0] == MISSING
        assert refused(machine.report, id, "task-0", "wipe", RUNNING)[0] == grpc.StatusCode.FAILED_PRECONDITION
    assert machine.contexts("w") == []
    assert list(machine.get("ListWorkflows")) == []
    assert list(machine.get("GetWorkflowContextList", worker_id="w").workflow_contexts) == []
    outcomes = [gate.server.rpc("awf.workflow/status", {"id": id})["resource"]["outcome"] for id in (live, over)]
    assert outcomes == ["canceled", "succeeded"]


@pytest.mark.shows("machines/end-of-deleted")
@pytest.mark.parametrize("is_old", [False, True])
def test_a_terminal_report_on_a_deleted_workflow_is_accepted(
    machine: WorkerClient, hello: str, gate: Gate, is_old: bool
) -> None:
    id = create(machine, hello, m="w")
    worker = gate.machine(is_old=is_old)
    worker.report(id, "task-0", "wipe", RUNNING)
    machine.get("DeleteWorkflow", id=id)
    # A worker would repeat a refused report forever.
    for state in (SUCCESS, FAILED, TIMEOUT):
        worker.report(id, "task-0", "wipe", state)
    assert refused(worker.report, id, "task-0", "write", RUNNING)[0] == grpc.StatusCode.FAILED_PRECONDITION
    report = {"id": id, "task": "task-0", "action": "wipe", "state": "STATE_SUCCESS"}
    assert gate.server.rpc("awf.machine/report", report)["resource"]["state"] == "STATE_FAILED"


def test_a_workflow_canceled_over_rpc_is_failed(machine: WorkerClient, hello: str, gate: Gate) -> None:
    id = create(machine, hello, m="w")
    gate.server.rpc("awf.workflow/cancel", {"id": id})
    assert machine.get("GetWorkflow", id=id).state == FAILED
    assert machine.contexts("w") == []


def test_an_action_canceled_over_rpc_fails_its_workflow(machine: WorkerClient, hello: str, gate: Gate) -> None:
    id = create(machine, hello, m="w")
    status = gate.server.rpc("awf.workflow/status", {"id": id, "include-activities?": True})
    gate.server.rpc("awf.task/cancel", {"id": status["activities"][0]["id"]})
    gate.server.run(gate.server.app.engine.deciders.run_pending_decisions(id))
    assert machine.get("GetWorkflow", id=id).state == FAILED
    error = gate.server.rpc("awf.workflow/status", {"id": id})["resource"]["error"]
    assert error["message"] == "Action canceled"


@pytest.mark.shows("machines/differs-create-errors")
@pytest.mark.parametrize("hardware", ["", "[]", "null", "{", '{"m": "\\u0000"}', '{"n": "w"}', '{"m": ""}'])
def test_a_workflow_with_invalid_hardware_is_not_created(machine: WorkerClient, hello: str, hardware: str) -> None:
    assert refused(machine.get, "CreateWorkflow", template=hello, hardware=hardware)[0] == ARGUMENT
    assert list(machine.get("ListWorkflows")) == []


def test_a_workflow_of_an_unknown_template_is_not_found(machine: WorkerClient) -> None:
    assert refused(machine.get, "CreateWorkflow", template=str(uuid.uuid4()), hardware="{}")[0] == MISSING
    assert refused(machine.get, "CreateWorkflow", template="", hardware="{}") == (ARGUMENT, "invalid template id")


@pytest.mark.parametrize("method", ["GetWorkflow", "GetWorkflowContext", "DeleteWorkflow"])
def test_an_unknown_workflow_is_not_found(machine: WorkerClient, method: str) -> None:
    assert refused(machine.get, method, id="nothing")[0] == MISSING
    assert refused(machine.get, method, id="") == (ARGUMENT, "invalid workflow id")


@pytest.mark.shows("machines/templates", "machines/template-members", "machines/template-name-unique")
def test_templates_are_found_by_id_and_by_name(machine: WorkerClient) -> None:
    id = machine.template("CreateTemplate", name="ubuntu_20-04", data=TEMPLATE).id
    for key in ({"id": id}, {"name": "ubuntu_20-04"}):
        found = machine.template("GetTemplate", **key)
        assert (found.id, found.name, found.data) == (id, "ubuntu_20-04", TEMPLATE)
        assert found.created_at.seconds > 1_700_000_000
        assert found.updated_at == found.created_at
    other = TEMPLATE.replace("6000", "60")
    machine.template("UpdateTemplate", id=id, name="ubuntu_20-04", data=other)
    newer = machine.template("GetTemplate", id=id)
    assert (newer.data, newer.created_at) == (other, found.created_at)
    assert newer.updated_at.ToNanoseconds() > newer.created_at.ToNanoseconds()
    machine.template("UpdateTemplate", id=id, name="ubuntu_20-04")
    assert machine.template("GetTemplate", id=id).data == other
    machine.template("DeleteTemplate", id=id)
    assert refused(machine.template, "GetTemplate", id=id)[0] == MISSING
    assert refused(machine.template, "GetTemplate", name="ubuntu_20-04")[0] == MISSING
    assert machine.template("CreateTemplate", name="ubuntu_20-04", data=TEMPLATE).id == id


@pytest.mark.shows("machines/list-templates")
def test_list_templates_filters_by_a_pattern(machine: WorkerClient, gate: Gate) -> None:
    gate.declare(TEMPLATE, "demo/hello")
    for name in ("hello", "Help", "x" * 200):
        machine.template("CreateTemplate", name=name, data=TEMPLATE)

    def listed(**members: str) -> list[str]:
        found = list(machine.template("ListTemplates", **members))
        assert {one.data for one in found} <= {""}
        return [one.name for one in found]

    assert sorted(listed()) == ["Help", "demo/hello", "hello", "x" * 200]
    assert sorted(listed(name="he*")) == ["Help", "hello"]
    assert listed(name="*o") == ["demo/hello", "hello"]
    assert listed(name="hello") == ["hello"]


def test_matching_a_pattern_does_not_backtrack(machine: WorkerClient) -> None:
    machine.template("CreateTemplate", name="a" * 100, data=TEMPLATE)
    for pattern, found in (("*a" * 30 + "*b", 0), ("a*a*" * 20 + "a", 1), ("a" * 100 + "*a", 0), ("**a**", 1)):
        assert len(list(machine.template("ListTemplates", name=pattern))) == found


@pytest.mark.shows("machines/template-name-unique")
def test_a_second_template_with_the_same_name_is_refused(machine: WorkerClient, hello: str) -> None:
    assert refused(machine.template, "CreateTemplate", name="hello", data=TEMPLATE)[0] == grpc.StatusCode.ALREADY_EXISTS


@pytest.mark.shows("machines/template-name")
@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("", TEMPLATE, "invalid template name"),
        ("a b", TEMPLATE, "must be 1 to 200 letters, digits, `_` and `-` (at $.name)"),
        ("a.b", TEMPLATE, "must be 1 to 200 letters, digits, `_` and `-` (at $.name)"),
        ("demo/a", TEMPLATE, "must be 1 to 200 letters, digits, `_` and `-` (at $.name)"),
        ("\N{LATIN SMALL LETTER E WITH ACUTE}", TEMPLATE, "must be 1 to 200 letters, digits, `_` and `-` (at $.name)"),
        ("x" * 201, TEMPLATE, "must be 1 to 200 letters, digits, `_` and `-` (at $.name)"),
        ("hello", "", "invalid template data"),
        ("hello", "version: '0.1'\nname: x", "at least one task is needed (at $.template.tasks)"),
        ("hello", "\0", "invalid template data"),
        ("hello", "x" * (1 << 20) + "x", "Expected `str` of length <= 1048576 (at $.template)"),
    ],
)
def test_an_invalid_template_is_refused(machine: WorkerClient, name: str, data: str, message: str) -> None:
    assert refused(machine.template, "CreateTemplate", name=name, data=data) == (ARGUMENT, message)
    assert list(machine.template("ListTemplates")) == []


def test_a_template_of_a_live_workflow_is_not_deleted(machine: WorkerClient, hello: str) -> None:
    id = create(machine, hello, m="w")
    assert refused(machine.template, "DeleteTemplate", id=hello)[0] == grpc.StatusCode.FAILED_PRECONDITION
    machine.get("DeleteWorkflow", id=id)
    machine.template("DeleteTemplate", id=hello)


@pytest.mark.shows("machines/update-template")
def test_a_renamed_template_keeps_its_id(machine: WorkerClient, hello: str, gate: Gate) -> None:
    machine.template("UpdateTemplate", id=hello, name="other")
    found = machine.template("GetTemplate", name="other")
    assert (found.id, found.data) == (hello, template_of(("{{.m}}", ["wipe", "write"])))
    assert refused(machine.template, "GetTemplate", name="hello")[0] == MISSING
    assert [one.name for one in machine.template("ListTemplates", name="o*")] == ["other"]
    create(machine, hello, m="w")
    machine.template("UpdateTemplate", id=hello, data=TEMPLATE)
    assert machine.template("GetTemplate", id=hello).name == "other"
    # The old name is free for another template, the new one is not.
    second = machine.template("CreateTemplate", name="hello", data=TEMPLATE).id
    assert second != hello
    assert machine.template("GetTemplate", name="hello").id == second
    exists = grpc.StatusCode.ALREADY_EXISTS
    assert refused(machine.template, "CreateTemplate", name="other", data=TEMPLATE)[0] == exists
    assert refused(machine.template, "UpdateTemplate", id=second, name="other")[0] == exists
    assert refused(machine.template, "UpdateTemplate", id=second, name="a b")[0] == ARGUMENT
    machine.template("UpdateTemplate", id=hello, name="back")
    machine.template("UpdateTemplate", id=second, name="other", data=TEMPLATE)
    machine.template("UpdateTemplate", id=hello, name="hello")
    names = {one.name: one.id for one in machine.template("ListTemplates")}
    assert names == {"hello": hello, "other": second}


def test_updating_the_text_keeps_the_other_members_of_the_document(machine: WorkerClient, gate: Gate) -> None:
    gate.declare(template_of(("w", ["wipe"])), "demo/hello", pullGrace=5)
    (found,) = machine.template("ListTemplates")
    machine.template("UpdateTemplate", id=found.id, data=TEMPLATE)
    document = gate.server.rpc("awf.definition/get", {"name": "demo/hello"})["resource"]
    assert (document["pullGrace"], document["template"]) == (5, TEMPLATE)


def test_an_ended_workflow_is_shown_after_its_template_is_deleted(machine: WorkerClient, hello: str) -> None:
    id = create(machine, hello, m="w")
    machine.report(id, "task-0", "wipe", FAILED)
    machine.template("DeleteTemplate", id=hello)
    assert machine.get("GetWorkflow", id=id).state == FAILED
    assert [workflow.id for workflow in machine.get("ListWorkflows")] == [id]
    assert [one.workflow_id for one in machine.get("GetWorkflowContextList", worker_id="w").workflow_contexts] == [id]
    assert len(machine.actions(id)) == 2


def test_a_workflow_keeps_its_version_of_the_template(machine: WorkerClient, hello: str) -> None:
    id = create(machine, hello, m="w")
    machine.template("UpdateTemplate", id=hello, data=template_of(("{{.m}}", ["other"])))
    assert [action.name for action in machine.actions(id)] == ["wipe", "write"]


@pytest.mark.shows("machines/data-versions", "machines/data-newest", "machines/differs-kubernetes")
def test_workflow_data_has_versions(machine: WorkerClient, hello: str) -> None:
    id = create(machine, hello, m="w")
    assert machine.get("GetWorkflowData", workflow_id=id).data == b""
    assert machine.get("GetWorkflowDataVersion", workflow_id=id).version == 0
    for number in range(1, 6):
        metadata, data = b'{"by": %d}' % number, b'{"disk": %d}' % number
        machine.get("UpdateWorkflowData", workflow_id=id, metadata=metadata, data=data)
        assert machine.get("GetWorkflowDataVersion", workflow_id=id).version == number
    newest = machine.get("GetWorkflowData", workflow_id=id)
    assert (newest.data, newest.version) == (b'{"disk": 5}', 0)
    assert machine.get("GetWorkflowMetadata", workflow_id=id).version == 0
    assert machine.get("GetWorkflowDataVersion", workflow_id=id).data == b""
    kept = [machine.get("GetWorkflowData", workflow_id=id, version=number).data for number in range(1, 7)]
    assert kept == [b"", b"", b'{"disk": 3}', b'{"disk": 4}', b'{"disk": 5}', b""]
    about = [machine.get("GetWorkflowMetadata", workflow_id=id, version=number).data for number in (1, 5, 6, 0)]
    assert about == [b'{"by": 1}', b'{"by": 5}', b"", b'{"by": 5}']


@pytest.mark.shows("machines/data-size")
def test_data_of_10_mebibytes_is_stored(machine: WorkerClient, hello: str, gate: Gate) -> None:
    id = create(machine, hello, m="w")
    text = "x" * ((10 << 20) - len('{"file":""}'))
    machine.get("UpdateWorkflowData", workflow_id=id, metadata=b"{}", data=f'{{"file":"{text}"}}'.encode())
    assert gate.server.rpc("awf.machine/data", {"id": id})["data"] == {"file": text}


@pytest.mark.shows("machines/data-size")
def test_long_texts_in_metadata_become_checksums(machine: WorkerClient, hello: str, gate: Gate) -> None:
    # In place of the checksum, workers send the data and more in base64: a third longer than the data.
    id = create(machine, hello, m="w")
    data = json.dumps({"file": "x" * ((10 << 20) - 12)}).encode()
    metadata = {"workerID": "w", "actionName": "wipe", "sha256": base64.b64encode(data + bytes(32)).decode()}
    machine.get("UpdateWorkflowData", workflow_id=id, metadata=json.dumps(metadata).encode(), data=data)
    assert machine.get("GetWorkflowDataVersion", workflow_id=id).version == 1
    kept = json.loads(machine.get("GetWorkflowMetadata", workflow_id=id).data)
    checksum = hashlib.sha256(metadata["sha256"].encode()).hexdigest()
    assert kept == {**metadata, "sha256": f"sha256:{checksum} of {len(metadata['sha256'])} characters"}


def test_metadata_above_64_kibibytes_is_refused(machine: WorkerClient, hello: str, gate: Gate) -> None:
    id = create(machine, hello, m="w")
    members = json.dumps({str(number): "x" * 900 for number in range(100)})
    for metadata in (members, json.dumps(["x" * 70_000])):
        update = {"workflow_id": id, "metadata": metadata.encode(), "data": b"{}"}
        code, message = refused(machine.get, "UpdateWorkflowData", **update)
        assert (code, message) == (ARGUMENT, "must not be longer than 65536 bytes (at $.metadata)")
    put = {"id": id, "data": {}, "metadata": json.loads(members)}
    assert gate.server.refused("awf.machine/put-data", put) == (400, "invalid-params", "$.params.metadata")


def test_data_with_too_many_values_is_refused_without_parsing(machine: WorkerClient, hello: str) -> None:
    id = create(machine, hello, m="w")
    many = b"[" + b"[]," * 8_000_000 + b"[]]"
    code, message = refused(machine.get, "UpdateWorkflowData", workflow_id=id, metadata=b"{}", data=many)
    assert (code, message) == (ARGUMENT, "invalid data: more than 500000 values")
    code, message = refused(machine.get, "UpdateWorkflowData", workflow_id=id, metadata=many, data=b"{}")
    assert (code, message) == (ARGUMENT, "invalid metadata: more than 500000 values")


def test_hardware_above_1_mebibyte_is_refused(machine: WorkerClient, hello: str) -> None:
    hardware = json.dumps({"m": "w", "more": "x" * (1 << 20)})
    code, message = refused(machine.get, "CreateWorkflow", template=hello, hardware=hardware)
    assert (code, message) == (ARGUMENT, "invalid hardware: longer than 1048576 bytes")


@pytest.mark.shows("machines/data-json", "machines/data-empty-id")
def test_data_must_be_json_of_a_known_workflow(machine: WorkerClient, hello: str) -> None:
    id = create(machine, hello, m="w")
    code, message = refused(machine.get, "UpdateWorkflowData", workflow_id=id, metadata=b"{", data=b"{}")
    assert (code, message[:27]) == (ARGUMENT, "invalid metadata: not JSON:")
    code, message = refused(machine.get, "UpdateWorkflowData", workflow_id=id, metadata=b"{}", data=b"\xff")
    assert (code, message[:23]) == (ARGUMENT, "invalid data: not UTF-8")
    assert refused(machine.get, "UpdateWorkflowData", workflow_id="x", metadata=b"{}", data=b"{}")[0] == MISSING
    assert machine.get("GetWorkflowDataVersion", workflow_id=id).version == 0
    for method in ("UpdateWorkflowData", "GetWorkflowData"):
        assert refused(machine.get, method, workflow_id="") == (ARGUMENT, "invalid workflow id")
    for method in ("GetWorkflowMetadata", "GetWorkflowDataVersion"):
        for nothing in ("", "x"):
            found = machine.get(method, workflow_id=nothing)
            assert (found.data, found.version) == (b"", 0)
    assert machine.get("GetWorkflowData", workflow_id="x").data == b""


@pytest.mark.shows("machines/worker-address", "machines/differs-unknown-address")
@pytest.mark.parametrize("address", [MAC, "192.168.1.5"])
def test_a_worker_named_by_an_address_is_known_by_its_hardware_id(
    machine: WorkerClient, gate: Gate, hello: str, address: str
) -> None:
    id = create(machine, hello, m=address)
    assert [action.worker_id for action in machine.actions(id)] == [address, address]
    dhcp = {"mac": MAC, "ip": {"address": "192.168.1.5"}}
    gate.server.rpc("awf.hardware/push", {"hardware": {"id": "hw-1", "network": {"interfaces": [{"dhcp": dhcp}]}}})
    assert [action.worker_id for action in machine.actions(id)] == ["hw-1", "hw-1"]
    (context,) = machine.contexts("hw-1")
    assert (context.workflow_id, context.current_worker) == (id, "hw-1")
    for worker in ("hw-1", address):
        assert len(machine.get("GetWorkflowContextList", worker_id=worker).workflow_contexts) == 1
    # The new package has no records: the id of a worker there is its name in the template.
    new = gate.machine()
    assert [action.worker_id for action in new.actions(id)] == [address, address]
    assert new.contexts(address)[0].current_worker == address
