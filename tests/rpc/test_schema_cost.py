"""Schemas and payloads that are too expensive to check are refused while the server answers other calls."""

from __future__ import annotations

import http.client
import resource
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import orjson
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from fencepost.store.embedded import EmbeddedPostgres
from tests.domain.test_schema_size import doubling
from tests.fixtures.processes import Process, serving
from tests.fixtures.servers import Server

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="limits of a running process are set through Linux"),
    pytest.mark.shows("guarantees/payload-never-stops"),
]

# Without limits, each of these checks takes minutes or all memory.
LONGEST_SECONDS = 20.0
MEMORY = 3 << 30

Answer = tuple[int, Any]


def tree(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"of": value}
    return value


def recursive(of: str) -> dict[str, Any]:
    branches = [{"properties": {"of": {"$ref": "#/$defs/node"}}, "required": ["of", kind]} for kind in ("all", "any")]
    return {"type": "object", "$ref": "#/$defs/node", "$defs": {"node": {of: branches}}}


# The check of LONG takes twenty seconds and succeeds; the check of SHORT is quick.
SLOW = {"properties": {"of": {"items": {"allOf": [{"type": "integer"}] * 4900}}}}
LONG = {"of": [1] * 200_000}
SHORT = {"of": [1, 2, 3]}
TOO_LONG = "too complex: checking it against the schema of its definition takes more than 1 s"


@pytest.fixture(scope="module")
def lasting(postgres: EmbeddedPostgres) -> Iterator[str]:
    """The conninfo of a database for all tests of this module."""
    with psycopg.connect(postgres.conninfo, autocommit=True) as connection:
        connection.execute("create database counted")
        yield make_conninfo(postgres.conninfo, dbname="counted")
        connection.execute("drop database counted with (force)")


@pytest.fixture(scope="module")
def process(lasting: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A server process with a limit on its address space."""
    folder = tmp_path_factory.mktemp("counted")
    with serving(folder, "--database-url", lasting) as running:
        limit_memory(running)
        yield running


def limit_memory(process: Process) -> None:
    resource.prlimit(process.pid, resource.RLIMIT_AS, (MEMORY, MEMORY))


def post(process: Process, body: Any) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", process.port, timeout=60)
    try:
        connection.request("POST", "/rpc", orjson.dumps(body), {"content-type": "application/json"})
        response = connection.getresponse()
        return response.status, orjson.loads(response.read())
    finally:
        connection.close()


def healthy(process: Process) -> float:
    """Return the seconds that the server takes to answer /healthz."""
    begun = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", process.port, timeout=60)
    try:
        connection.request("GET", "/healthz")
        assert connection.getresponse().status == 200
        return time.monotonic() - begun
    finally:
        connection.close()


def while_healthy(process: Process, body: Any) -> Answer:
    """Post a body and return its answer; check that health checks are answered meanwhile."""
    answers: list[Answer] = []
    begun = time.monotonic()
    posting = threading.Thread(target=lambda: answers.append(post(process, body)))
    posting.start()
    waits = [healthy(process)]
    while posting.is_alive():
        waits.append(healthy(process))
        posting.join(0.05)
    assert time.monotonic() - begun < LONGEST_SECONDS
    # A check may take three seconds; on the event loop it would delay every probe so long. The median allows for noise.
    assert sorted(waits)[len(waits) // 2] < 2.0
    return answers[0]


def put(process: Process, name: str, kind: str = "task", **members: Any) -> Answer:
    return while_healthy(process, {"method": "awf.definition/put", "params": {"kind": kind, "name": name, **members}})


def create(process: Process, definition: str, params: Any) -> Answer:
    return while_healthy(
        process, {"method": "awf.task/create-and-execute", "params": {"definition": definition, "params": params}}
    )


@pytest.mark.parametrize("of", ["anyOf", "oneOf"])
@pytest.mark.parametrize("depth", [14, 30, 55])
def test_a_recursive_choice_is_refused_with_a_path_at_any_depth(process: Process, of: str, depth: int) -> None:
    assert put(process, f"counted/{of}", params=recursive(of))[0] == 200
    status, answer = create(process, f"counted/{of}", tree(depth))
    assert (status, answer["error"]["type"]) == (400, "invalid-params")
    assert answer["error"]["path"].startswith("$.params")
    assert len(orjson.dumps(answer)) < 20_000


def test_a_payload_that_takes_too_long_to_check_is_refused(process: Process) -> None:
    assert put(process, "counted/slow", params=SLOW)[0] == 200
    assert create(process, "counted/slow", SHORT)[0] == 200
    status, answer = create(process, "counted/slow", LONG)
    fault = {"type": "invalid-params", "message": TOO_LONG, "path": "$.params.params"}
    assert status == 400
    assert answer["error"] == {**fault, "errors": [{"path": "$.params.params", "message": TOO_LONG}]}
    assert create(process, "counted/slow", SHORT)[0] == 200


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        (doubling(30), "$.params.params.$defs.a19"),
        (doubling(30, "anyOf"), "$.params.params.$defs.a19"),
        (doubling(300, "oneOf"), "$.params.params.$defs.a289"),
        ({"allOf": [{"contains": {"const": n}} for n in range(5000)]}, "$.params.params"),
        ({"items": {"allOf": [{"type": "integer"}] * 5000}}, "$.params.params.items"),
        ({"patternProperties": {f"^x{n}y.*z$": {"type": "integer"} for n in range(2000)}}, "$.params.params"),
        ({"properties": {"a": {"pattern": "((a{100}){100}){100}"}}}, "$.params.params.properties.a"),
        ({"enum": list(range(100_000))}, "$.params.params"),
    ],
)
def test_a_schema_that_expands_too_far_is_refused_at_its_put(process: Process, schema: Any, path: str) -> None:
    status, answer = put(process, "counted/unfolded", params=schema)
    fault = answer["error"]
    assert (status, fault["type"], fault["path"]) == (400, "invalid-params", path)
    assert fault["message"] == (
        "the schema is too complex: with its references unfolded, "
        "more than 10000 keywords are checked against one value here"
    )


def test_a_schema_that_expands_too_far_inside_values_is_refused(process: Process) -> None:
    status, answer = put(process, "counted/inside", params=doubling(30, inside="x"))
    assert (status, answer["error"]["path"]) == (400, "$.params.params")
    assert answer["error"]["message"] == "the schema is too complex: unfolded, it has more than 1000000 keywords"


@pytest.mark.parametrize(
    ("kind", "members", "path"),
    [
        ("task", {"result": doubling(30)}, "$.params.result.$defs.a19"),
        ("task", {"error": doubling(30)}, "$.params.error.$defs.a19"),
        ("workflow", {"params": doubling(30)}, "$.params.params.$defs.a19"),
        ("process", {"specSet": {"input": doubling(30)}, "steps": []}, "$.params.specSet.input.$defs.a19"),
        ("process", {"specSet": {"output": doubling(30)}, "steps": []}, "$.params.specSet.output.$defs.a19"),
    ],
)
def test_every_schema_of_every_kind_of_document_is_measured(
    process: Process, kind: str, members: dict[str, Any], path: str
) -> None:
    status, answer = put(process, "counted/whole", kind, **members)
    assert (status, answer["error"]["path"]) == (400, path)


@pytest.mark.parametrize(
    ("schema", "payload"),
    [
        ({"items": {"allOf": [{"type": "integer"}] * 4000}}, [1] * 200_000),
        ({"items": {"allOf": [{"type": "integer"}] * 4000}}, ["x"] * 200_000),
        ({"allOf": [{"contains": {"const": n + 0.5}} for n in range(3000)]}, list(range(25_000))),
        ({"patternProperties": {f"^x{n}y.*z$": True for n in range(300)}}, {f"k{n}": 1 for n in range(40_000)}),
        ({"items": {"enum": list(range(10_000))}}, [-1] * 100_000),
        ({"unevaluatedProperties": False, "anyOf": [{"properties": {f"p{n}": True}} for n in range(1500)]},
         {f"k{n}": 1 for n in range(40_000)}),
    ],
    ids=["each item", "each item, all wrong", "contains", "patterns", "enum", "unevaluated"],
)  # fmt: skip
def test_a_heavy_schema_with_a_large_payload_is_bounded(process: Process, schema: Any, payload: Any) -> None:
    assert put(process, "counted/times", params={"properties": {"of": schema}})[0] == 200
    status, answer = create(process, "counted/times", {"of": payload})
    # A fast machine may complete the check in time; then the payload is accepted or refused as usual.
    assert status == 200 or (answer["error"]["type"] == "invalid-params" and "errors" in answer["error"])
    assert len(orjson.dumps(answer)) < 5 << 20


def test_results_and_errors_are_checked_within_the_same_limits(process: Process) -> None:
    for member, verb in (("result", "success"), ("error", "fail")):
        name = f"counted/{member}"
        assert put(process, name, "task", **{member: SLOW})[0] == 200
        assert create(process, name, {})[0] == 200
        _, polled = post(process, {"method": "awf.task/poll", "params": {"taskDefinitions": [name], "start": True}})
        (task,) = polled["result"]["resources"]
        held = {"id": task["id"], "execId": task["execId"]}
        call = {"method": f"awf.task/{verb}", "params": {**held, member: LONG}}
        status, answer = while_healthy(process, call)
        fault = answer["error"]
        assert (status, fault["path"], fault["message"]) == (400, f"$.params.{member}", TOO_LONG)
        assert while_healthy(process, {**call, "params": {**held, member: SHORT}})[0] == 200


def test_a_decision_that_ends_a_workflow_is_checked_within_the_same_limits(process: Process) -> None:
    name = "counted/ends"
    assert put(process, name, "workflow", result=SLOW)[0] == 200
    body = {"method": "awf.workflow/create-and-execute", "params": {"definition": name}}
    assert post(process, body)[0] == 200
    _, polled = post(process, {"method": "awf.task/poll", "params": {"workflowDefinitions": [name], "start": True}})
    (task,) = polled["result"]["resources"]
    action = {"action": "awf.workflow.action/complete-workflow", "result": LONG}
    call = {"method": "awf.task/success", "params": {"id": task["id"], "execId": task["execId"], "result": [action]}}
    status, answer = while_healthy(process, call)
    fault = answer["error"]
    assert (fault["type"], fault["path"], fault["message"]) == ("invalid-action", "$.params.result[0].result", TOO_LONG)
    assert status == 422


def test_a_schema_stored_by_an_older_server_cannot_stop_this_one(process: Process, lasting: str) -> None:
    assert put(process, "counted/older", params={"type": "object"})[0] == 200
    document = {"kind": "task", "name": "counted/older", "params": doubling(30)}
    with psycopg.connect(lasting) as connection:
        connection.execute(
            "update fencepost.definitions set document = %s where name = 'counted/older'",
            (orjson.dumps(document).decode(),),
        )
    process.kill()
    process.start()
    limit_memory(process)
    status, answer = create(process, "counted/older", {})
    fault = answer["error"]
    assert (status, fault["path"], fault["message"]) == (400, "$.params.params", TOO_LONG)


def test_the_checks_of_one_array_share_one_time_budget(process: Process) -> None:
    assert put(process, "counted/array", params=SLOW)[0] == 200
    params = {"definition": "counted/array", "params": {"of": [1] * 4500}}
    body = [{"method": "awf.task/create-and-execute", "params": params, "id": n} for n in range(100)]
    begun = time.monotonic()
    status, answers = post(process, body)
    assert time.monotonic() - begun < 40
    assert (status, "result" in answers[0]) == (200, True)
    fault = answers[-1]["error"]
    assert fault["type"] == "unavailable"
    assert fault["message"] == "the calls of this request take too long to check; send fewer of them together"


def test_a_schema_error_does_not_repeat_large_values(process: Process) -> None:
    name = "counted/echo"
    assert put(process, name, params={"additionalProperties": {"type": "integer"}})[0] == 200
    status, answer = create(process, name, {"k" * 300_000: "v" * 300_000})
    assert status == 400
    assert len(orjson.dumps(answer)) < 3000


def test_remote_references_of_a_schema_are_refused_and_not_fetched(process: Process) -> None:
    url = f"http://127.0.0.1:{process.port}/healthz"
    for reference in (url, "file:///etc/hostname"):
        status, answer = put(process, "counted/remote", params={"$ref": reference})
        assert (status, answer["error"]["path"]) == (400, "$.params.params")


def test_a_recursive_schema_of_ordinary_size_is_accepted(server: Server) -> None:
    expression = {
        "$ref": "#/$defs/node",
        "$defs": {
            "node": {
                "oneOf": [
                    {
                        "type": "object",
                        "required": ["op", "args"],
                        "properties": {
                            "op": {"const": op},
                            "args": {"type": "array", "items": {"$ref": "#/$defs/node"}},
                        },
                    }
                    for op in ("and", "or", "not", "eq", "lt")
                ]
                + [{"type": "string"}]
            }
        },
    }
    server.define("counted/expression", params=expression)
    value: Any = "x"
    for _ in range(10):
        value = {"op": "and", "args": [value, "y", {"op": "not", "args": ["z"]}]}
    assert server.create("counted/expression", params=value)["status"] == "ready"
    wrong = {"op": "and", "args": [value, 3]}
    assert server.refused("awf.task/create-and-execute", {"definition": "counted/expression", "params": wrong}) == (
        400,
        "invalid-params",
        "$.params.params",
    )
