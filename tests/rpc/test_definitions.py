"""Methods about definitions, and the schemas that check params, results and errors."""

from __future__ import annotations

import pytest

from tests.fixtures.machines import TEMPLATE
from tests.fixtures.servers import Server

WIDTH = {"type": "object", "required": ["width"], "properties": {"width": {"type": "integer", "minimum": 1}}}


def test_a_changed_put_makes_a_new_version(server: Server) -> None:
    assert server.define(retryDelay=5)["version"] == 1
    assert server.define(retryDelay=5)["version"] == 1
    assert server.define(retryDelay=6)["version"] == 2
    assert server.rpc("awf.definition/get", {"name": "demo/resize"})["resource"]["retryDelay"] == 6
    assert server.rpc("awf.definition/get", {"name": "demo/resize", "version": 1})["resource"]["retryDelay"] == 5


def test_a_live_task_keeps_the_definition_version_of_its_creation(server: Server) -> None:
    server.define(inProgressTimeout=1000)
    before = server.create()["id"]
    server.define(inProgressTimeout=2000)

    assert server.task(before)["inProgressTimeout"] == 1000
    assert server.create()["inProgressTimeout"] == 2000


def test_list_returns_the_newest_versions_by_name(server: Server) -> None:
    for name in ("demo/c", "demo/a", "demo/b"):
        server.define(name)

    first = server.rpc("awf.definition/list", {"limit": 2})

    assert [resource["name"] for resource in first["resources"]] == ["demo/a", "demo/b"]
    rest = server.rpc("awf.definition/list", {"limit": 2, "after": first["next"]})
    assert ([resource["name"] for resource in rest["resources"]], "next" in rest) == (["demo/c"], False)


def test_a_definition_in_use_is_not_deleted(server: Server) -> None:
    server.define()
    lease = server.started()

    assert server.refused("awf.definition/delete", {"name": "demo/resize"})[:2] == (422, "definition-in-use")
    server.rpc("awf.task/success", lease)
    assert server.rpc("awf.definition/delete", {"name": "demo/resize"})["resource"]["name"] == "demo/resize"
    gone = server.refused("awf.definition/get", {"name": "demo/resize"})
    assert gone == (404, "definition-not-found", "$.params.name")
    assert server.refused("awf.task/create-and-execute", {"definition": "demo/resize"})[0] == 404
    assert server.task(lease["id"])["outcome"] == "succeeded"
    assert server.define()["version"] == 2


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"kind": "taks", "name": "demo/x"}, "$.params.kind"),
        ({"kind": "task"}, "$.params.name"),
        ({"kind": "task", "name": ""}, "$.params.name"),
        ({"kind": "task", "name": "two words"}, "$.params.name"),
        ({"kind": "task", "name": "a//b"}, "$.params.name"),
        ({"kind": "task", "name": "resize/"}, "$.params.name"),
        ({"kind": "task", "name": "a/b/c/d/e/f/g"}, "$.params.name"),
        ({"kind": "task", "name": "x" * 101}, "$.params.name"),
        ({"kind": "task", "name": "demo/x", "inProgressTimeout": 0}, "$.params.inProgressTimeout"),
        ({"kind": "task", "name": "demo/x", "retryDelay": 1.5}, "$.params.retryDelay"),
        ({"kind": "task", "name": "demo/x", "allowedRetries": 1}, "$.params.allowedRetries"),
        ({"kind": "task", "name": "demo/x", "concurrencyLimit": 0}, "$.params.concurrencyLimit"),
        ({"kind": "task", "name": "demo/x", "concurrencyLimit": "2"}, "$.params.concurrencyLimit"),
        ({"kind": "task", "name": "demo/x", "concurrencyPath": ["params"]}, "$.params.concurrencyPath"),
        (
            {"kind": "task", "name": "demo/x", "concurrencyLimit": 1, "concurrencyPath": "params"},
            "$.params.concurrencyPath",
        ),
        ({"kind": "task", "name": "demo/x", "concurrencyLimit": 1, "concurrencyPath": []}, "$.params.concurrencyPath"),
        (
            {"kind": "task", "name": "demo/x", "concurrencyLimit": 1, "concurrencyPath": ["result", "x"]},
            "$.params.concurrencyPath[0]",
        ),
        (
            {"kind": "task", "name": "demo/x", "concurrencyLimit": 1, "concurrencyPath": ["params", -1]},
            "$.params.concurrencyPath[1]",
        ),
        ({"kind": "task", "name": "demo/x", "params": {"type": "strin"}}, "$.params.params"),
        ({"kind": "task", "name": "demo/x", "result": {"$ref": "http://localhost/x"}}, "$.params.result"),
        ({"kind": "task", "name": "demo/x", "error": {"$ref": "file:///etc/passwd"}}, "$.params.error"),
        ({"kind": "task", "name": "demo/x", "params": {"pattern": "(?=a)"}}, "$.params.params"),
    ],
)
def test_an_invalid_definition_is_refused_with_the_path_of_its_member(
    server: Server, document: dict[str, object], path: str
) -> None:
    assert server.refused("awf.definition/put", document) == (400, "invalid-params", path)


def test_an_invalid_definition_name_is_refused_with_the_rule_in_words(server: Server) -> None:
    status, body = server.post({"method": "awf.definition/put", "params": {"kind": "task", "name": "two words"}})
    assert (status, body["error"]["message"]) == (
        400,
        "Expected a name of up to six parts with `/` between them, each 1 to 100 letters, digits, `_`, `.` or `-`",
    )


_STAGES = [
    {
        "name": "only",
        "tasks": [{"name": "t", "type": "ACTION", "taskDetails": {"serviceId": "mail", "actionName": "send"}}],
    }
]


@pytest.mark.parametrize(
    "document",
    [
        {"kind": "task"},
        {"kind": "workflow"},
        {"kind": "schedule", "schedule": "@hourly", "task-request": {"definition": "resize"}},
        {
            "kind": "trigger",
            "select-by": [{"get-in": ["status"], "comparator": "eq", "value": "final"}],
            "task-request": {"definition": "resize"},
        },
        {"kind": "taskflow", "stages": _STAGES},
        {"kind": "process", "steps": [{"code": "ASK", "assignToTeam": "HR"}]},
        {"kind": "device-workflow", "steps": [{"action": "GO"}]},
        {"kind": "machine-template", "template": TEMPLATE},
    ],
    ids=lambda document: document["kind"],
)
def test_a_definition_name_needs_no_slash(server: Server, document: dict[str, object]) -> None:
    server.define("resize")
    named = {**document, "name": "patrol_1"}
    assert server.rpc("awf.definition/put", named)["resource"]["name"] == "patrol_1"
    assert server.rpc("awf.definition/get", {"name": "patrol_1"})["resource"]["kind"] == document["kind"]


def test_a_task_of_a_definition_without_a_slash_runs(server: Server) -> None:
    server.define("resize")
    lease = server.started("resize")
    assert server.rpc("awf.task/success", lease)["resource"]["definition"] == "resize"


def test_an_invalid_task_id_is_refused_with_the_rule_in_words(server: Server) -> None:
    server.define()
    call = {"method": "awf.task/create-and-execute", "params": {"definition": "demo/resize", "id": "order_42"}}
    status, body = server.post(call)
    assert (status, body["error"]["path"]) == (400, "$.params.id")
    assert body["error"]["message"] == "Expected 1 to 64 letters, digits, `.` or `-`"


def test_params_that_violate_the_schema_create_no_task(server: Server) -> None:
    server.define(params=WIDTH)

    refusal = server.refused(
        "awf.task/create-and-execute", {"definition": "demo/resize", "id": "x", "params": {"width": 0}}
    )

    assert refusal == (400, "invalid-params", "$.params.params.width")
    assert server.refused("awf.task/create-and-execute", {"definition": "demo/resize"})[2] == "$.params.params"
    assert server.refused("awf.task/status", {"id": "x"})[0] == 404


def test_a_result_that_violates_the_schema_leaves_the_task_in_progress(server: Server) -> None:
    server.define(result=WIDTH)
    lease = server.started()

    refusal = server.refused("awf.task/success", {**lease, "result": {"width": "wide"}})

    assert refusal == (400, "invalid-params", "$.params.result.width")
    assert server.refused("awf.task/success", lease)[2] == "$.params.result"
    assert server.task(lease["id"])["status"] == "in-progress"
    assert server.rpc("awf.task/success", {**lease, "result": {"width": 9}})["resource"]["outcome"] == "succeeded"


def test_an_error_that_violates_the_schema_leaves_the_task_in_progress(server: Server) -> None:
    server.define(error={"type": "object", "required": ["code"]})
    lease = server.started()

    assert server.refused("awf.task/fail", {**lease, "error": {}})[2] == "$.params.error"
    assert server.task(lease["id"])["status"] == "in-progress"
    assert server.rpc("awf.task/fail", {**lease, "error": {"code": 1}})["resource"]["status"] == "waiting"


def test_a_refusal_lists_every_schema_error_of_a_payload(server: Server) -> None:
    server.define(params={"properties": {"a": {"type": "integer"}, "b": {"type": "string"}}})

    _, answer = server.post(
        {"method": "awf.task/create-and-execute", "params": {"definition": "demo/resize", "params": {"a": "x", "b": 1}}}
    )

    assert {fault["path"] for fault in answer["error"]["errors"]} == {"$.params.params.a", "$.params.params.b"}
