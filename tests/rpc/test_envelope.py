"""The request envelope: one call or an array of calls, formats, limits, and refusals with a path."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson
import pytest

from fencepost.openapi.document import document
from fencepost.rpc.methods.polls import LongPollParams
from fencepost.settings import Limits, Settings
from tests.fixtures.servers import Server, running_server
from tests.fixtures.surface import SURFACE

pytestmark = pytest.mark.shows("guarantees/bad-call-alone")


def call(method: str, **params: Any) -> dict[str, Any]:
    return {"method": method, "params": params}


def test_an_answer_repeats_id_and_jsonrpc_of_its_call(server: Server) -> None:
    server.define()

    _, answer = server.post({"jsonrpc": "2.0", "id": "a-1", **call("awf.task/poll", taskDefinitions=["demo/resize"])})

    assert answer == {"result": {"resources": []}, "id": "a-1", "jsonrpc": "2.0"}


def test_an_array_is_answered_in_order_with_an_error_per_failed_call(server: Server) -> None:
    server.define()

    status, answers = server.post(
        [
            call("awf.task/create-and-execute", id="one", definition="demo/resize"),
            call("awf.task/nonsense"),
            call("awf.task/status", id="one"),
            {"params": {}},
            7,
        ]
    )

    assert status == 200
    assert answers[0]["result"]["resource"]["id"] == "one"
    assert answers[1]["error"]["type"] == "method-not-found"
    assert answers[2]["result"]["resource"]["status"] == "ready"
    assert answers[3]["error"] == {"type": "invalid-request", "message": "'method' is missing", "path": "$[3].method"}
    assert (answers[4]["error"]["type"], answers[4]["error"]["path"]) == ("invalid-request", "$[4]")


def test_a_call_of_an_array_sees_the_effects_of_earlier_calls(server: Server) -> None:
    server.define()
    lease = server.started()

    _, answers = server.post(
        [
            call("awf.task/success", **lease, result={"n": 1}),
            call("awf.task/success", **lease, result={"n": 1}),
            call("awf.task/fail", **lease),
            call("awf.task/create-and-execute", id="next", definition="demo/resize"),
            call("awf.task/poll", taskDefinitions=["demo/resize"]),
        ]
    )

    assert answers[0] == answers[1]
    assert answers[2]["error"]["type"] == "task-has-been-done"
    assert [task["id"] for task in answers[4]["result"]["resources"]] == ["next"]


def test_a_bad_payload_in_an_array_is_refused_alone(server: Server) -> None:
    server.define()
    body = (
        b'[{"method": "awf.task/create-and-execute", "params": {"id": "a", "definition": "demo/resize"}},'
        b' {"method": "awf.task/create-and-execute", "params": {"id": "b", "definition": "demo/resize",'
        b' "params": {"text": "nul \\u0000"}}}]'
    )

    status, answers = server.post(body)

    assert (status, answers[0]["result"]["resource"]["id"]) == (200, "a")
    assert answers[1]["error"]["type"] == "invalid-request"
    assert answers[1]["error"]["path"].startswith("$[1].params")


def test_an_empty_array_is_refused(server: Server) -> None:
    status, answer = server.post([])

    assert (status, answer["error"]["type"]) == (400, "invalid-request")


@pytest.mark.parametrize(
    ("params", "path", "words"),
    [
        ({"id": "x"}, "$.params.execId", "missing"),
        ({"id": "x", "execId": 5}, "$.params.execId", "Expected"),
        ({"id": "x", "execId": "not-a-uuid"}, "$.params.execId", "UUID"),
        ({"id": "x", "execID": "x"}, "$.params.execID", "did you mean 'execId'"),
    ],
)
def test_an_invalid_param_is_refused_with_its_path(server: Server, params: Any, path: str, words: str) -> None:
    status, answer = server.post(call("awf.task/start", **params))

    assert (status, answer["error"]["type"], answer["error"]["path"]) == (400, "invalid-params", path)
    assert words in answer["error"]["message"]


def test_an_unknown_method_is_refused_with_the_nearest_name(server: Server) -> None:
    status, answer = server.post(call("awf.task/pol"))

    assert (status, answer["error"]["path"]) == (404, "$.method")
    assert "did you mean 'awf.task/poll'" in answer["error"]["message"]


@pytest.mark.parametrize(
    ("content_type", "accept", "answered"),
    [
        ("application/json", "text/yaml", "text/yaml"),
        ("application/json; charset=utf-8", "*/*", "application/json"),
        ("text/yaml", "", "text/yaml"),
        ("application/x-yaml", "application/*", "application/x-yaml"),
        ("text/yaml", "text/html, application/json;q=0.9", "application/json"),
        ("application/json", "text/*", "text/yaml"),
    ],
)
def test_the_answer_has_the_accepted_format(server: Server, content_type: str, accept: str, answered: str) -> None:
    body = b'{"method": "awf.task/poll", "params": {"taskDefinitions": ["demo/resize"]}}'

    status, headers, _ = server.send("POST", "/rpc", body, content_type=content_type, accept=accept)

    assert (status, headers["content-type"]) == (200, answered)


def test_a_form_is_refused_with_a_hint_for_curl(server: Server) -> None:
    status, headers, answer = server.send("POST", "/rpc", b"method=x", content_type="application/x-www-form-urlencoded")

    assert (status, headers["content-type"]) == (415, "application/json")
    assert "content-type: text/yaml" in orjson.loads(answer)["error"]["message"]


def test_an_unknown_accept_type_is_refused_with_406(server: Server) -> None:
    status, _, answer = server.send("POST", "/rpc", b"{}", content_type="application/json", accept="text/html")

    assert (status, orjson.loads(answer)["error"]["type"]) == (406, "not-acceptable")


def test_rpc_accepts_only_post(server: Server) -> None:
    status, headers, answer = server.send("GET", "/rpc")

    assert (status, headers["allow"], orjson.loads(answer)["error"]["type"]) == (405, "POST", "method-not-allowed")


def test_a_request_beyond_a_limit_is_refused_with_the_limit_or_its_path(database: str) -> None:
    limits = Limits(body_bytes=4096, batch=3, poll=5, wait_seconds=1, depth=8)
    with running_server(database, settings=Settings(limits=limits)) as server:
        assert server.post(b" " * 5000)[0] == 413
        assert server.post([call("awf.task/status", id="x")] * 4)[1]["error"]["type"] == "invalid-request"
        poll = {"taskDefinitions": ["demo/resize"]}
        assert server.refused("awf.task/poll", {**poll, "maxBatchSize": 6})[2] == "$.params.maxBatchSize"
        assert server.refused("awf.task/long-poll", {**poll, "timeout": 1001})[2] == "$.params.timeout"
        deep = b'{"method": "awf.task/status", "params": {"id": ' + b"[" * 9 + b"]" * 9 + b"}}"
        assert server.post(deep)[1]["error"]["type"] == "invalid-request"


def test_a_long_poll_without_a_timeout_waits_50_seconds() -> None:
    schema = document(SURFACE)["components"]["schemas"]["LongPollParams"]
    assert msgspec.convert({"taskDefinitions": ["demo/resize"]}, LongPollParams).timeout == 50_000
    assert schema["properties"]["timeout"]["default"] == 50_000


@pytest.mark.parametrize(("longest", "is_allowed"), [(50, True), (49.999, False)])
def test_a_long_poll_without_a_timeout_is_refused_when_the_wait_limit_is_lower(
    database: str, longest: float, is_allowed: bool
) -> None:
    poll = {"taskDefinitions": ["demo/resize"]}
    with running_server(database, settings=Settings(limits=Limits(wait_seconds=longest))) as server:
        server.define()
        id = server.create()["id"]
        if is_allowed:
            assert [task["id"] for task in server.rpc("awf.task/long-poll", poll)["resources"]] == [id]
        else:
            assert server.refused("awf.task/long-poll", poll) == (400, "invalid-params", "$.params.timeout")


def test_payloads_keep_their_text(server: Server) -> None:
    server.define()
    payload = b'{"z": 1.50, "a": 1E2, "big": 9007199254740993, "nested": {"b": [1, 2.0]}}'
    body = b'{"method": "awf.task/create-and-execute", "params": {"definition": "demo/resize", "params": %s}}' % payload

    _, _, answer = server.send("POST", "/rpc", body, content_type="application/json")

    assert payload in answer
    id = orjson.loads(answer)["result"]["resource"]["id"]
    _, _, read = server.send("GET", f"/AidboxTask/{id}")
    assert payload in read


def test_yaml_is_read_as_plain_data(server: Server) -> None:
    server.define()
    body = (
        b"method: awf.task/create-and-execute\nparams:\n  definition: demo/resize\n  params: {a: no, b: 2024-01-02}\n"
    )

    _, _, answer = server.send("POST", "/rpc", body, content_type="text/yaml", accept="application/json")

    assert orjson.loads(answer)["result"]["resource"]["params"] == {"a": "no", "b": "2024-01-02"}


BAD_ITEMS = [
    ("{method: awf.task/status, params: {id: !secret a}}", "$[1].params.id", "tags"),
    ("{method: &a awf.task/status}", "$[1].method", "anchors"),
    ("{method: awf.task/status, params: *a}", "$[1].params", "aliases"),
    ("{method: awf.task/status, method: awf.task/poll}", "$[1]", "twice"),
    ("{method: awf.task/status, params: {? [a] : b}}", "$[1].params", "a key must be text"),
    ("{method: awf.task/status, params: {<<: {a: 1}}}", "$[1].params", "merge keys"),
    ("{method: a, params: {n: 99999999999999999999}}", "$[1].params.n", "an integer"),
    ("{method: a, params: {n: .nan}}", "$[1].params.n", "finite"),
    ('"\\0"', "$[1]", ""),
    ("[" * 70 + "]" * 70, None, "levels deep"),
]


@pytest.mark.parametrize(("bad", "path", "message"), BAD_ITEMS)
def test_a_bad_call_of_a_yaml_array_is_refused_alone(server: Server, bad: str, path: str | None, message: str) -> None:
    server.define()
    create = "{{id: call-{0}, method: awf.task/create-and-execute, params: {{id: '{0}', definition: demo/resize}}}}"
    body = f"- {create.format('a')}\n- {bad}\n- {create.format('b')}\n"

    status, _, content = server.send("POST", "/rpc", body.encode(), content_type="text/yaml", accept="application/json")

    answers = orjson.loads(content)
    assert (status, len(answers)) == (200, 3)
    assert [answers[place]["result"]["resource"]["id"] for place in (0, 2)] == ["a", "b"]
    assert [answers[place]["id"] for place in (0, 2)] == ["call-a", "call-b"]
    assert answers[1]["error"]["type"] == "invalid-request"
    assert message in answers[1]["error"]["message"]
    assert path is None or answers[1]["error"]["path"] == path


def test_several_bad_calls_of_a_yaml_array_are_each_refused(server: Server) -> None:
    body = b"- !a b\n- {method: awf.task/status, params: {id: none}}\n- {a: 1, a: 2}\n- 7\n"

    _, _, content = server.send("POST", "/rpc", body, content_type="text/yaml", accept="application/json")

    answers = [answer["error"] for answer in orjson.loads(content)]
    assert [error["type"] for error in answers] == [
        "invalid-request",
        "task-not-found",
        "invalid-request",
        "invalid-request",
    ]
    assert [error["path"][:4] for error in answers] == ["$[0]", "$[1]", "$[2]", "$[3]"]


def test_a_bad_call_of_a_json_array_sent_as_yaml_is_refused_alone(server: Server) -> None:
    body = b'[{"method": "a", "method": "b"}, {"method": "awf.task/status", "params": {"id": "none"}}]'

    status, _, content = server.send("POST", "/rpc", body, content_type="text/yaml", accept="application/json")

    assert status == 200
    assert [answer["error"]["type"] for answer in orjson.loads(content)] == ["invalid-request", "task-not-found"]


@pytest.mark.parametrize(
    "body", [b"- {method: a\n- b", b"- a\n---\n- b", b"- !a b\n- [", b"!a [a]", b"{a: !b c}", b"[]"]
)
def test_a_yaml_body_that_cannot_be_split_into_calls_is_refused_as_a_whole(server: Server, body: bytes) -> None:
    status, _, content = server.send("POST", "/rpc", body, content_type="text/yaml", accept="application/json")

    assert (status, orjson.loads(content)["error"]["type"]) == (400, "invalid-request")
