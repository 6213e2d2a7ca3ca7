"""The OpenAPI document is valid and complete, and agrees with the code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, get_args

import msgspec
import orjson
import pytest
from jsonschema_rs import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from starlette.routing import Route

from fencepost.openapi.document import component_names, document, per_method
from fencepost.rpc.registry import Method
from tests.fixtures.devices import Fleet
from tests.fixtures.servers import Server
from tests.fixtures.surface import CATALOGUE, METHODS, SURFACE

DOCUMENT = document(SURFACE)
VIEW = per_method(DOCUMENT, SURFACE)

each_method = pytest.mark.parametrize("method", METHODS.methods.values(), ids=lambda method: method.name)
each_document = pytest.mark.parametrize("described", [DOCUMENT, VIEW], ids=["document", "per method"])


@each_document
def test_the_document_is_valid_openapi(described: dict[str, Any]) -> None:
    assert [error.message for error in OpenAPIV31SpecValidator(described).iter_errors()] == []


@each_document
def test_every_reference_resolves_inside_the_document(described: dict[str, Any]) -> None:
    references = {value for key, value in _members(described) if key == "$ref"}
    assert references
    assert [reference for reference in references if _find(described, reference) is None] == []


def test_every_schema_and_every_response_is_used() -> None:
    references = {value for key, value in _members(DOCUMENT) if key == "$ref"}
    parts = DOCUMENT["components"]
    there = {f"#/components/{kind}/{name}" for kind in ("schemas", "responses") for name in parts[kind]}
    assert there - references == set()


def test_every_operation_has_responses_and_a_unique_id() -> None:
    for described in (DOCUMENT, VIEW):
        operations = [operation for path in described["paths"].values() for operation in path.values()]
        assert all(operation["responses"] for operation in operations)
        assert len({operation["operationId"] for operation in operations}) == len(operations)


def test_every_error_is_listed_under_its_status() -> None:
    responses = DOCUMENT["components"]["responses"]
    for kind in CATALOGUE:
        assert f"`{kind.type}`" in responses[f"Refused{kind.status}"]["description"]
        assert str(kind.status) in DOCUMENT["paths"]["/rpc"]["post"]["responses"]


@each_method
def test_the_example_of_a_method_validates_against_the_schemas(method: Method) -> None:
    call = {"method": method.name, "params": method.example}
    assert _errors(DOCUMENT, "Call", call) == []
    assert _errors(DOCUMENT, component_names(METHODS.methods.values())[method.params], method.example) == []


@each_method
def test_the_schema_of_params_has_exactly_the_members_of_the_struct(method: Method) -> None:
    schema = DOCUMENT["components"]["schemas"][component_names(METHODS.methods.values())[method.params]]
    parts = [_find(DOCUMENT, part["$ref"]) for part in schema.get("anyOf", ())] or [schema]
    for part, struct in zip(parts, get_args(method.params) or (method.params,), strict=True):
        assert part["additionalProperties"] is False
        assert set(part["properties"]) - {"kind"} == {field.encode_name for field in msgspec.structs.fields(struct)}


def test_patterns_are_anchored_and_integers_have_bounds() -> None:
    names = component_names(METHODS.methods.values())
    params = [DOCUMENT["components"]["schemas"][names[method.params]] for method in METHODS.methods.values()]
    patterns = [value for schema in params for key, value in _members(schema) if key == "pattern"]
    assert patterns
    assert all(pattern.startswith("^") and pattern.endswith("$") for pattern in patterns)
    integers = [value for schema in params for _, value in _members(schema) if _is_integer(value)]
    assert integers
    assert all("minimum" in one and "maximum" in one for one in integers)


def test_the_document_describes_every_search_parameter(server: Server) -> None:
    described = {parameter["name"] for parameter in DOCUMENT["paths"]["/AidboxTask"]["get"]["parameters"]}
    status, _, body = server.send("GET", "/AidboxTask?unknown=1")
    taken = orjson.loads(body)["error"]["message"].partition("there are ")[2].split(", ")
    assert (status, described) == (400, set(taken))


def test_the_document_has_exactly_the_paths_that_a_server_serves(server: Server) -> None:
    served = {
        (re.sub(":path}", "}", route.path), verb.lower())
        for route in server.app.rest.application.routes
        if isinstance(route, Route)
        for verb in route.methods or ()
        if verb != "HEAD"
    }
    described = {(path, verb) for path, item in DOCUMENT["paths"].items() for verb in item} - {("/rpc", "post")}
    assert served == described


def test_answers_to_devices_validate_against_the_document(server: Server) -> None:
    fleet = Fleet(server)
    run = fleet.begin()
    fleet.report(run["currentTaskId"], "start")
    answers = {
        "/workflows": fleet.call("GET", "/workflows"),
        "/workflows/{id}": fleet.call("GET", "/workflows/demo/patrol"),
        "/workflows/{id}/runs": fleet.call("GET", "/workflows/demo/patrol/runs"),
        "/workflow-runs/{id}": fleet.run(run["id"]),
        "/tasks/{id}": fleet.task(run["currentTaskId"]),
        "/devices": fleet.call("GET", "/devices"),
        "/devices/{name}": fleet.call("GET", "/devices/r2"),
        "/server-settings": fleet.call("GET", "/server-settings"),
    }
    for path, answer in answers.items():
        told = DOCUMENT["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        assert _faults({**told, "components": DOCUMENT["components"]}, answer) == []


def test_answers_of_methods_and_reads_validate_against_the_document(server: Server) -> None:
    server.define()
    execution = server.started(params={"width": 1})
    server.rpc("awf.task/notify", {**execution, "notification": "heartbeat"})
    answers = {
        "Answer": {"result": server.rpc("awf.task/status", {"id": execution["id"], "include-log?": True})},
        "StatusResult": server.rpc("awf.task/status", {"id": execution["id"], "include-settings?": True}),
        "Tasks": server.get("/AidboxTask"),
        "TaskLogs": server.get(f"/AidboxTaskLog?subject={execution['id']}&_count=1"),
        "Refusal": server.post({"method": "no"})[1],
    }
    for name, answer in answers.items():
        assert _errors(DOCUMENT, name, answer) == []


def test_a_server_serves_the_openapi_document(server: Server) -> None:
    status, headers, body = server.send("GET", "/openapi.yaml")
    assert (status, headers["content-type"]) == (200, "application/yaml")
    assert body.startswith(b'openapi: "3.1.0"\n')


def _errors(described: dict[str, Any], name: str, value: Any) -> list[str]:
    return _faults({"$ref": f"#/components/schemas/{name}", "components": described["components"]}, value)


def _faults(schema: dict[str, Any], value: Any) -> list[str]:
    return [error.message for error in Draft202012Validator(schema).iter_errors(value)]


def _members(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield every member of every object in a document."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield key, item
            yield from _members(item)
    elif isinstance(value, list):
        for item in value:
            yield from _members(item)


def _is_integer(value: Any) -> bool:
    return isinstance(value, dict) and value.get("type") == "integer"


def _find(described: dict[str, Any], reference: str) -> Any:
    value: Any = described if reference.startswith("#/") else None
    for part in reference.removeprefix("#/").split("/"):
        value = value.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(value, dict) else None
    return value
