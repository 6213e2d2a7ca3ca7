"""For any request, no answer is a 5xx, every error has the documented shape, and the server keeps working."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote_from_bytes

import orjson
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fencepost.settings import Limits, Settings
from fencepost.telemetry import Event, listeners
from tests.fixtures.servers import Server, running_server
from tests.rpc.fuzzing import bodies, calls, check_answer, check_fault, values, written

LIMITS = Limits(body_bytes=1 << 16, batch=50, poll=50, wait_seconds=0.02)
FUZZ = settings(
    max_examples=150,
    deadline=None,
    derandomize=os.environ.get("CI") == "true",
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.fixture
def server(database: str) -> Iterator[Server]:
    """A server with small limits; after the test it must still work and must have logged no bug."""
    bugs: list[Any] = []

    def listen(event: Event, fields: dict[str, Any]) -> None:
        if event in (Event.CALL_FAILED, Event.LOOP_FAILED):
            bugs.append((event, fields))

    with running_server(database, settings=Settings(limits=LIMITS)) as running:
        running.define()
        running.create(id="known")
        listeners.append(listen)
        try:
            yield running
        finally:
            listeners.remove(listen)
        assert bugs == []
        running.define("demo/well")
        running.create("demo/well")
        assert len(running.poll("demo/well")) == 1


def post(server: Server, body: bytes, content_type: str = "application/json", **headers: str) -> None:
    check_answer(*server.send("POST", "/rpc", body, content_type=content_type, **headers))


# Bodies


@FUZZ
@given(body=bodies)
@example(body={"method": "awf.task/list", "params": {"filter": {"ilike": "%\\"}}})
@example(body={"method": "awf.task/list", "params": {"after": "WyIwMDAxLTAxLTAxVDAwOjAwOjAwKzIzOjU5IiwwXQ"}})
@example(body=[{"method": "awf.task/status", "params": {"id": "known"}}] * 51)
@example(body=[[]] * 50)
def test_any_json_body_gets_a_proper_answer(server: Server, body: Any) -> None:
    post(server, written(body).encode("utf-8", "surrogatepass"))


@FUZZ
@given(body=bodies, content_type=st.sampled_from(["text/yaml", "application/yaml; charset=utf-8"]))
def test_any_json_body_sent_as_yaml_gets_a_proper_answer(server: Server, body: Any, content_type: str) -> None:
    post(server, written(body).encode("utf-8", "surrogatepass"), content_type)


YAML = st.lists(
    st.sampled_from(
        [
            *("method: ", "awf.task/status", "awf.task/list", "params:", "  id: known", "{", "}", "[", "]", "- ", "? "),
            *("&a ", "*a", "!!int ", "!x ", "<<: ", "|", ">-", "\t", "---", "...", "%YAML 1.1", "#", "'", '"', ": "),
            *("no", ".nan", "0x1F", "1e999", "2023-05-03", "\\ud800", "\x00", "\x85", "\u2028", "\ufeff", "~", "\n"),
            *("\n", "\n  ", "\n    ", ", ", "9" * 30, "{{{{", "- - - ", "? ? "),
        ]
    ),
    max_size=14,
).map("".join)


@FUZZ
@given(body=YAML | st.text(max_size=40))
@example(body="{a: " * 2000)
@example(body="- " * 2000)
@example(body="? " * 2000)
@example(body="a: &a [x]\nb: &b [" + "*a, " * 100 + "]")
def test_any_yaml_body_gets_a_proper_answer(server: Server, body: str) -> None:
    post(server, body.encode("utf-8", "surrogatepass"), "text/yaml")


@FUZZ
@given(body=st.binary(max_size=80), content_type=st.sampled_from(["application/json", "text/yaml", "text/plain"]))
@example(body=b"[" * 60_000, content_type="application/json")
@example(body=b"\xff\xfe[\x00]\x00", content_type="text/yaml")
def test_any_bytes_get_a_proper_answer(server: Server, body: bytes, content_type: str) -> None:
    post(server, body, content_type)


@FUZZ
@given(body=st.lists(calls(), min_size=2, max_size=8))
def test_valid_calls_of_an_array_are_answered_beside_any_other_calls(server: Server, body: list[Any]) -> None:
    good = {"method": "awf.task/status", "params": {"id": "known"}, "id": 7}
    text = written([good, *body, good]).encode("utf-8", "surrogatepass")
    status, _, content = server.send("POST", "/rpc", text, content_type="application/json")
    answers = orjson.loads(content)
    if isinstance(answers, dict):
        # The body could not be split into calls.
        assert answers["error"]["type"] in ("invalid-request", "payload-too-large")
        return
    assert (status, len(answers)) == (200, len(body) + 2)
    for answer in (answers[0], answers[-1]):
        assert answer["id"] == 7
        assert answer["result"]["resource"]["id"] == "known"


# Headers, paths and malformed HTTP

HEADER = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=30).map(
    str.strip
)
TYPES = st.sampled_from(
    ["application/json", "text/yaml", "*/*", "text/*;q=0.1", "application/x-yaml", "a/b", "multipart/form-data", ",;="]
)


@FUZZ
@given(content_type=TYPES | HEADER, accept=st.lists(TYPES | HEADER, max_size=4).map(",".join), credentials=HEADER)
def test_any_headers_get_a_proper_answer(server: Server, content_type: str, accept: str, credentials: str) -> None:
    body = b'{"method": "awf.task/status", "params": {"id": "known"}}'
    post(server, body, content_type, accept=accept, authorization=f"Basic {credentials}")


PARAMETERS = [
    "_count",
    "_after",
    "_id",
    ".status",
    "status",
    ".outcome",
    "definition",
    "definition-not",
    "subject",
    "x",
]
WORD = (
    st.binary(max_size=8)
    | values.map(lambda value: written(value).encode("utf-8", "surrogatepass")[:200])
    | st.sampled_from([b"known", b"ready", b"done,ready", b"0", b"1000", b"1001", b"\x00", b"\xc2\xb2", b"a\x00,b"])
    | st.just(b"WyIwMDAxLTAxLTAxVDAwOjAwOjAwKzIzOjU5IiwwXQ")
)


@FUZZ
@given(
    path=st.sampled_from(["/AidboxTask", "/AidboxTask/", "/AidboxTaskLog", "/", "/healthz", "/readyz", "/rpc", "//"]),
    tail=st.none() | WORD,
    query=st.lists(st.tuples(st.sampled_from(PARAMETERS), WORD), max_size=3),
    method=st.sampled_from(["GET", "GET", "GET", "HEAD", "POST", "PUT", "OPTIONS"]),
)
def test_any_path_and_query_get_a_proper_answer(
    server: Server, path: str, tail: bytes | None, query: list[tuple[str, bytes]], method: str
) -> None:
    url = path + ("" if tail is None else quote_from_bytes(tail, safe="/"))
    url += "?" + "&".join(f"{name}={quote_from_bytes(word)}" for name, word in query)
    status, headers, body = server.send(method, url)
    assert status < 500, (url, body)
    if status >= 400 and method != "HEAD":
        assert headers["content-type"] == "application/json"
        check_rest_fault(status, orjson.loads(body))


def check_rest_fault(status: int, answer: dict[str, Any]) -> None:
    fault = dict(answer["error"])
    fault.pop("path", None)  # here it is the name of a parameter
    check_fault(status, fault)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET /\xff\xfe HTTP/1.1\r\nhost: a\r\n\r\n",
        b"POST /rpc HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
        b"POST /rpc HTTP/1.1\r\nhost: a\r\ncontent-length: " + b"9" * 5000 + b"\r\n\r\n",
        b"POST /rpc HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nabcdef",
        b"POST /rpc HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"POST /rpc HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\nx: y\r\n\r\n1\r\n{\r\n0\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n" + b"x: y\r\n" * 5000 + b"\r\n",
        b"GET http://elsewhere/healthz HTTP/1.1\r\nhost: a\r\n\r\n",
        b"CONNECT a:1 HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET * HTTP/1.0\r\n\r\n",
    ],
)
def test_malformed_http_gets_no_server_error(server: Server, request_bytes: bytes) -> None:
    with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), timeout=5) as connection:
        connection.sendall(request_bytes)
        connection.shutdown(socket.SHUT_WR)
        answer = connection.recv(4096)
    assert not answer or answer.startswith((b"HTTP/1.1 2", b"HTTP/1.1 4", b"HTTP/1.0 4")), answer


# Schemas of definitions

KEYWORDS = st.sampled_from(
    [
        *(
            "type",
            "enum",
            "const",
            "pattern",
            "format",
            "minimum",
            "multipleOf",
            "maxLength",
            "required",
            "items",
            "$ref",
        ),
        *("properties", "additionalProperties", "anyOf", "not", "if", "then", "$defs", "$id", "$anchor", "$dynamicRef"),
        *("unevaluatedProperties", "uniqueItems", "contains", "dependentSchemas", "propertyNames", "$schema", "title"),
    ]
)
SCHEMA_LEAVES: st.SearchStrategy[Any] = st.sampled_from(
    [
        *(
            True,
            False,
            None,
            0,
            -1,
            1.5,
            1e308,
            "",
            "#",
            "#/$defs/a",
            "#a",
            "http://a/b",
            "(",
            "(a+)+$",
            "\\p{L}",
            "regex",
        ),
        *(
            "object",
            "date-time",
            "email",
            "uuid",
            "integer",
            [],
            {},
            ["object"],
            ["a", "a"],
            "https://json-schema.org/x",
        ),
    ]
)
SCHEMAS = st.recursive(
    SCHEMA_LEAVES,
    lambda inner: (
        st.dictionaries(KEYWORDS, inner, max_size=4)
        | st.fixed_dictionaries({"properties": st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2)})
        | st.fixed_dictionaries({"$defs": st.fixed_dictionaries({"a": inner}), "$ref": st.just("#/$defs/a")})
        | st.lists(inner, max_size=3)
    ),
    max_leaves=8,
)


@FUZZ
@given(schema=SCHEMAS, payload=st.dictionaries(st.sampled_from(["a", "b"]), values, max_size=2))
@example(schema={"$ref": "#"}, payload={})
@example(schema={"allOf": [{"$ref": "#"}, {"$ref": "#"}]}, payload={"a": {"a": {}}})
def test_any_schema_and_payload_get_a_proper_answer(server: Server, schema: Any, payload: Any) -> None:
    definition = {"kind": "task", "name": "fuzz/it", "params": schema, "result": schema, "error": schema}
    create = {"method": "awf.task/create-and-execute", "params": {"definition": "fuzz/it", "params": payload}}
    put = {"method": "awf.definition/put", "params": definition}
    post(server, written([put, create]).encode("utf-8", "surrogatepass"))
    for task in server.poll("fuzz/it", start=True):
        for verb, member in (("success", "result"), ("fail", "error"), ("release", "x")):
            finish = {"id": task["id"], "execId": task["execId"], **({member: payload} if member != "x" else {})}
            post(server, written({"method": f"awf.task/{verb}", "params": finish}).encode("utf-8", "surrogatepass"))
