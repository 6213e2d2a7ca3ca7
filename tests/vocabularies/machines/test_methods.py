"""`awf.machine/*` and `awf.hardware/*`."""

from __future__ import annotations

from typing import Any

import pytest

from fencepost.settings import Settings
from tests.fixtures.machines import TEMPLATE, template_of
from tests.fixtures.servers import CallRefused, Server, running_server

MAC, IP = "52:54:00:12:34:56", "192.168.1.5"


@pytest.fixture
def id(server: Server) -> str:
    """A workflow of two actions of worker w."""
    declare(server, template_of(("w", ["wipe", "write"])))
    return str(server.rpc("awf.machine/create", {"definition": "demo/provision"})["resource"]["id"])


def declare(server: Server, text: str, **members: Any) -> Any:
    document = {"kind": "machine-template", "name": "demo/provision", "template": text, **members}
    return server.rpc("awf.definition/put", document)["resource"]


def report(server: Server, id: str, action: str, state: str, **members: Any) -> Any:
    params = {"id": id, "task": "task-0", "action": action, "state": f"STATE_{state}", **members}
    return server.rpc("awf.machine/report", params)["resource"]


def record(id: str = "hw-1", mac: str = MAC, ip: str | None = None, **members: Any) -> dict[str, Any]:
    dhcp = {"mac": mac} if ip is None else {"mac": mac, "ip": {"address": ip}}
    return {"hardware": {"id": id, "network": {"interfaces": [{"dhcp": dhcp}]}, **members}}


@pytest.mark.shows("machines/methods", "machines/differs-http")
def test_reports_lead_a_workflow_from_action_to_action(server: Server, id: str) -> None:
    found = server.rpc("awf.machine/status", {"id": id, "include-actions?": True, "include-template?": True})
    assert found["resource"]["state"] == "STATE_PENDING"
    assert found["resource"]["context"] == {
        "index": 0,
        "state": "STATE_PENDING",
        "total": 2,
        "worker": "w",
        "task": "task-0",
        "action": "wipe",
    }
    assert [action["name"] for action in found["actions"]] == ["wipe", "write"]
    assert '"hello-world"' in found["template"]
    assert report(server, id, "wipe", "RUNNING")["context"]["state"] == "STATE_RUNNING"
    assert report(server, id, "wipe", "SUCCESS")["context"]["action"] == "write"
    done = report(server, id, "write", "SUCCESS", seconds=3, message="well", worker="w")
    assert (done["state"], done["context"]) == ("STATE_SUCCESS", {"index": 2, "state": "STATE_SUCCESS", "total": 2})


@pytest.mark.shows("machines/core-workflow")
def test_a_machine_workflow_is_a_workflow_of_the_queue(server: Server, id: str) -> None:
    report(server, id, "wipe", "RUNNING", worker="w")
    report(server, id, "wipe", "SUCCESS", worker="w", seconds=5)
    found = server.rpc("awf.workflow/status", {"id": id, "include-activities?": True})
    assert found["resource"]["definition"] == "demo/provision"
    first, second = found["activities"]
    assert (first["definition"], first["label"], first["status"], first["outcome"]) == (
        "awf.machine/action",
        "0 wipe",
        "done",
        "succeeded",
    )
    assert (second["status"], second["params"]["action"], second["params"]["worker"]) == ("ready", "write", "w")
    log = [(entry["action"], entry["status-after"]) for entry in server.log(first["id"])]
    assert log == [("awf.engine/schedule", "ready"), ("awf.task/start", "in-progress"), ("awf.task/success", "done")]


def test_the_time_limit_task_cannot_be_polled(server: Server) -> None:
    """A worker that started it would start the timeout too early, and one that failed it would fail the workflow."""
    refused = server.refused("awf.task/poll", {"taskDefinitions": ["awf.machine/time-limit"]})
    assert refused == (400, "invalid-params", "$.params.taskDefinitions[0]")


@pytest.mark.shows("machines/worker-reads")
def test_contexts_has_the_current_workflows_of_a_worker_or_all(server: Server, id: str) -> None:
    (found,) = server.rpc("awf.machine/contexts", {"worker": "w"})["resources"]
    assert found["id"] == id
    report(server, id, "wipe", "FAILED")
    assert server.rpc("awf.machine/contexts", {"worker": "w"})["resources"] == []
    (found,) = server.rpc("awf.machine/contexts", {"worker": "w", "all": True})["resources"]
    assert (found["id"], found["state"]) == (id, "STATE_FAILED")


@pytest.mark.shows("machines/lists")
def test_lists_come_in_pages(server: Server, id: str) -> None:
    others = [server.rpc("awf.machine/create", {"definition": "demo/provision"})["resource"]["id"] for _ in range(2)]
    first = server.rpc("awf.machine/list", {"limit": 2})
    second = server.rpc("awf.machine/list", {"limit": 2, "after": first["next"]})
    assert [one["id"] for one in (*first["resources"], *second["resources"])] == [id, *others]
    assert "next" not in second
    for _ in range(3):
        report(server, id, "wipe", "RUNNING")
    page = server.rpc("awf.machine/events", {"id": id, "limit": 2})
    rest = server.rpc("awf.machine/events", {"id": id, "limit": 2, "after": page["next"]})
    assert [event["changed"] for event in (*page["events"], *rest["events"])] == [True, False, False]
    assert "next" not in rest


def test_create_with_an_id_is_idempotent(server: Server, id: str) -> None:
    params = {"definition": "demo/provision", "id": "machine-7"}
    first, again = (server.rpc("awf.machine/create", params)["resource"] for _ in range(2))
    assert first == again
    other = {**params, "hardware": {"a": 1}}
    assert server.refused("awf.machine/create", other) == (409, "already-exists", "$.params.id")
    server.rpc("awf.machine/delete", {"id": "machine-7"})
    over = server.rpc("awf.machine/create", params)["resource"]
    assert (over["id"], over["createdAt"], over["state"]) == ("machine-7", first["createdAt"], "STATE_FAILED")


@pytest.mark.shows("machines/delete-method")
def test_delete_cancels_and_hides_a_workflow(server: Server, id: str) -> None:
    assert server.rpc("awf.machine/delete", {"id": id}) == {"id": id}
    missing = (404, "workflow-not-found", "$.params.id")
    assert server.refused("awf.machine/delete", {"id": id}) == missing
    assert server.refused("awf.machine/status", {"id": id}) == missing
    assert server.refused("awf.machine/events", {"id": id}) == missing
    assert server.rpc("awf.machine/list", {})["resources"] == []
    assert server.rpc("awf.workflow/status", {"id": id})["resource"]["outcome"] == "canceled"


@pytest.mark.shows("machines/data-methods")
def test_put_data_stores_versions(server: Server, id: str) -> None:
    assert server.rpc("awf.machine/data", {"id": id}) == {"version": 0}
    for number in range(1, 5):
        put = {"id": id, "data": {"disk": number}, "metadata": {"by": number}}
        assert server.rpc("awf.machine/put-data", put) == {"version": number}
    newest = {"version": 4, "metadata": {"by": 4}, "data": {"disk": 4}}
    assert server.rpc("awf.machine/data", {"id": id}) == newest
    assert server.rpc("awf.machine/data", {"id": id, "version": 1}) == {"version": 1, "metadata": {"by": 1}}


@pytest.mark.shows("machines/data-versions")
def test_the_number_of_whole_data_versions_is_a_setting(database: str) -> None:
    with running_server(database, settings=Settings(workflow_data_versions=1)) as server:
        declare(server, template_of(("w", ["wipe"])))
        server.rpc("awf.machine/create", {"definition": "demo/provision", "id": "m"})
        for number in (1, 2):
            server.rpc("awf.machine/put-data", {"id": "m", "data": {"disk": number}})
        assert "data" not in server.rpc("awf.machine/data", {"id": "m", "version": 1})
        assert server.rpc("awf.machine/data", {"id": "m", "version": 2})["data"] == {"disk": 2}


@pytest.mark.parametrize(
    ("method", "params", "refusal"),
    [
        ("create", {}, (400, "invalid-params", "$.params.definition")),
        ("create", {"definition": "demo/nothing"}, (404, "definition-not-found", "$.params.definition")),
        ("create", {"definition": "awf.task/wait"}, (400, "invalid-params", "$.params.definition")),
        ("create", {"definition": "demo/other"}, (400, "invalid-params", "$.params.definition")),
        ("create", {"definition": "demo/provision", "hardware": []}, (400, "invalid-params", "$.params.hardware")),
        ("create", {"definition": "demo/host"}, (400, "invalid-params", "$.params.hardware")),
        ("create", {"definition": "demo/provision", "hardwear": {}}, (400, "invalid-params", "$.params.hardwear")),
        ("contexts", {"worker": ""}, (400, "invalid-params", "$.params.worker")),
        ("report", {"state": "STATE_PENDING"}, (400, "invalid-params", "$.params.state")),
        ("report", {"state": "done"}, (400, "invalid-params", "$.params.state")),
        ("report", {"seconds": "3"}, (400, "invalid-params", "$.params.seconds")),
        ("report", {"seconds": 2**63}, (400, "invalid-request", None)),
        ("report", {"task": ""}, (400, "invalid-params", "$.params.task")),
        ("report", {"task": "other"}, (422, "action-mismatch", "$.params.task")),
        ("report", {"action": "other"}, (422, "action-mismatch", "$.params.action")),
        ("report", {"action": "write"}, (422, "action-mismatch", "$.params.action")),
        ("report", {"id": "other"}, (404, "workflow-not-found", "$.params.id")),
        ("events", {"after": "-1"}, (400, "invalid-params", "$.params.after")),
        ("list", {"limit": 0}, (400, "invalid-params", "$.params.limit")),
        ("put-data", {"data": 3}, (400, "invalid-params", "$.params.data")),
        ("put-data", {"data": {}, "metadata": []}, (400, "invalid-params", "$.params.metadata")),
        ("put-data", {"data": {}, "id": "other"}, (404, "workflow-not-found", "$.params.id")),
    ],
)
def test_invalid_params_are_refused_with_their_path(
    server: Server, id: str, method: str, params: dict[str, Any], refusal: tuple[int, str, str | None]
) -> None:
    server.rpc("awf.definition/put", {"kind": "workflow", "name": "demo/other"})
    declare(server, template_of(("{{ .host }}", ["wipe"])), name="demo/host")
    params = {"id": id, **params} if method in ("events", "put-data") else params
    if method == "report":
        params = {"id": id, "task": "task-0", "action": "wipe", "state": "STATE_RUNNING", **params}
    status, type, path = server.refused(f"awf.machine/{method}", params)
    assert (status, type) == refusal[:2]
    assert path == refusal[2] or refusal[2] is None
    assert server.rpc("awf.machine/status", {"id": id})["resource"]["state"] == "STATE_PENDING"
    assert len(server.rpc("awf.workflow/list", {})["resources"]) == 1


@pytest.mark.shows("machines/running-method-refused")
def test_running_in_a_failed_workflow_is_refused(server: Server, id: str) -> None:
    report(server, id, "wipe", "FAILED")
    params = {"id": id, "task": "task-0", "action": "wipe", "state": "STATE_RUNNING"}
    assert server.refused("awf.machine/report", params) == (422, "workflow-has-been-done", "$.params.id")


def test_a_workflow_with_a_later_execute_at_is_not_offered(server: Server, id: str) -> None:
    later = {"definition": "demo/provision", "id": "later", "executeAt": "2099-01-01T00:00:00Z"}
    server.rpc("awf.workflow/create-and-execute", later)
    assert [one["id"] for one in server.rpc("awf.machine/contexts", {"worker": "w"})["resources"]] == [id]
    params = {"id": "later", "task": "task-0", "action": "wipe", "state": "STATE_RUNNING"}
    assert server.refused("awf.machine/report", params)[:2] == (503, "unavailable")


@pytest.mark.parametrize(
    ("members", "path"),
    [
        ({"template": "version: '0.2'\nname: a"}, "$.params.template.tasks"),
        ({"template": "{{ .a"}, "$.params.template"),
        ({"template": ""}, "$.params.template"),
        ({"template": {"version": "0.1"}}, "$.params.template"),
        ({"pullGrace": -1}, "$.params.pullGrace"),
        ({"timeout": 1}, "$.params.timeout"),
    ],
)
def test_an_invalid_document_is_refused_with_its_path(server: Server, members: dict[str, Any], path: str) -> None:
    document = {"kind": "machine-template", "name": "demo/provision", "template": TEMPLATE, **members}
    assert server.refused("awf.definition/put", document) == (400, "invalid-params", path)


@pytest.mark.shows("machines/hardware-methods")
def test_a_hardware_record_is_stored_unchanged(server: Server) -> None:
    pushed = server.rpc("awf.hardware/push", record(ip=IP, metadata={"plan": 1.50}))["resource"]
    assert pushed["hardware"]["metadata"] == {"plan": 1.5}
    assert server.rpc("awf.hardware/get", {"id": "hw-1"})["resource"] == pushed
    other = server.rpc("awf.hardware/push", record("hw-2", "52:54:00:00:00:02"))["resource"]
    first = server.rpc("awf.hardware/list", {"limit": 1})
    assert first["resources"] == [pushed]
    assert server.rpc("awf.hardware/list", {"after": first["next"]}) == {"resources": [other]}
    assert server.rpc("awf.hardware/delete", {"id": "hw-1"})["resource"] == pushed
    missing = (404, "hardware-not-found", "$.params.id")
    assert server.refused("awf.hardware/get", {"id": "hw-1"}) == missing
    assert server.refused("awf.hardware/delete", {"id": "hw-1"}) == missing


@pytest.mark.shows("machines/hardware-methods")
def test_an_address_belongs_to_one_hardware_record(server: Server) -> None:
    server.rpc("awf.hardware/push", record(ip=IP))
    with pytest.raises(CallRefused, match=f"the address '{MAC}' belongs to hardware 'hw-1'"):
        server.rpc("awf.hardware/push", record("hw-2", MAC.upper()))
    assert server.refused("awf.hardware/get", {"id": "hw-2"})[:2] == (404, "hardware-not-found")
    server.rpc("awf.hardware/push", record(mac="52:54:00:00:00:01"))
    server.rpc("awf.hardware/push", record("hw-2", MAC, IP))


@pytest.mark.parametrize(
    ("hardware", "path"),
    [
        ({}, "$.params.hardware.id"),
        ({"id": ""}, "$.params.hardware.id"),
        ({"id": "a", "network": 3}, "$.params.hardware.network"),
        (record(mac="52:54")["hardware"], "$.params.hardware.network.interfaces[0].dhcp.mac"),
        (record(ip="1.2.3")["hardware"], "$.params.hardware.network.interfaces[0].dhcp.ip.address"),
        (record(ip="::1")["hardware"], "$.params.hardware.network.interfaces[0].dhcp.ip.address"),
    ],
)
def test_an_invalid_hardware_record_is_refused_with_its_path(server: Server, hardware: Any, path: str) -> None:
    assert server.refused("awf.hardware/push", {"hardware": hardware}) == (400, "invalid-params", path)
