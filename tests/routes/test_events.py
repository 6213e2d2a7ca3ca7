"""`POST /events`: CloudEvents in each of their forms, and plain resources."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fencepost.notation import yaml
from fencepost.settings import Limits, Settings
from tests.fixtures.events import put_trigger, rule
from tests.fixtures.servers import Server, running_server
from tests.rpc.fuzzing import check_fault, values, written

EVENT = {"specversion": "1.0", "id": "7", "source": "/lab", "type": "lab.result", "data": {"status": "final"}}
HEADERS = {"ce_specversion": "1.0", "ce_id": "7", "ce_source": "/lab", "ce_type": "lab.result"}
STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"


@pytest.fixture(autouse=True)
def trigger(server: Server) -> None:
    server.define()
    put_trigger(server, rule("data", "status", value="final"), params={"event": {"get-in": []}})


def send(server: Server, content: Any, **headers: str) -> tuple[int, Any]:
    body = content if isinstance(content, bytes) else orjson.dumps(content)
    status, _, answer = server.send("POST", "/events", body, **{"content_type": "application/json", **headers})
    return status, orjson.loads(answer)


def refused(server: Server, content: Any, **headers: str) -> tuple[int, str, str | None]:
    status, answer = send(server, content, **headers)
    assert server.query("select from fencepost.events") == []
    return status, answer["error"]["type"], answer["error"].get("path")


def taken(server: Server) -> list[Any]:
    return [orjson.loads(text) for (text,) in server.query("select content::text from fencepost.events order by id")]


def test_a_structured_cloud_event_is_published_unchanged(server: Server) -> None:
    status, answer = send(server, EVENT, content_type=STRUCTURED)
    (started,) = answer["started"]
    assert (status, answer["id"], answer["completed"]) == (200, "7", [])
    assert server.task(started["resource"]["id"])["params"] == {"event": EVENT}
    assert send(server, EVENT, content_type=f"{STRUCTURED}; charset=utf-8") == (200, answer)
    assert send(server, {**EVENT, "data": 1}, content_type=STRUCTURED)[0] == 409
    assert server.rpc("awf.event/publish", {"event": EVENT}) == answer


@pytest.mark.parametrize(
    ("content_type", "body", "members"),
    [
        ("application/json", b'{"status": "final"}', {"data": {"status": "final"}}),
        ("application/fhir+json", b'{"status": "final"}', {"data": {"status": "final"}}),
        ("text/yaml", b"status: final", {"data": {"status": "final"}, "datacontenttype": "application/json"}),
        ("text/plain", "schön".encode(), {"data": "schön"}),
        ("image/png", b"\x89PNG\x00", {"data_base64": base64.b64encode(b"\x89PNG\x00").decode()}),
    ],
)
def test_a_binary_cloud_event_has_its_attributes_in_headers_and_its_data_in_the_body(
    server: Server, content_type: str, body: bytes, members: dict[str, Any]
) -> None:
    headers = {**HEADERS, "ce_subject": "Euro%20%E2%82%AC", "ce_traceparent": "00-1"}
    status, answer = send(server, body, content_type=content_type, **headers)
    assert (status, answer["id"]) == (200, "7")
    attributes = {name.removeprefix("ce_"): value for name, value in HEADERS.items()}
    expected = {"datacontenttype": content_type, "subject": "Euro €", "traceparent": "00-1"}
    assert taken(server) == [{**attributes, **expected, **members}]


def test_a_binary_cloud_event_may_have_no_data(server: Server) -> None:
    status, _, _ = server.send("POST", "/events", b"", **HEADERS)
    assert status == 200
    assert "data" not in taken(server)[0]


def test_a_batch_of_cloud_events_is_answered_in_its_order(server: Server) -> None:
    send(server, {**EVENT, "id": "2", "data": 1}, content_type=STRUCTURED)
    status, answers = send(server, [{**EVENT, "id": id} for id in ("3", "2", "1")], content_type=BATCH)
    assert status == 200
    assert [answer.get("id") for answer in answers] == ["3", None, "1"]
    assert (answers[1]["error"]["type"], answers[1]["error"]["path"]) == ("already-exists", "$[1].id")
    assert send(server, [{**EVENT, "id": "3"}], content_type=BATCH) == (200, [answers[0]])


def test_resources_are_published_alone_or_in_an_array(server: Server) -> None:
    status, answer = send(server, {"data": {"status": "final"}})
    assert (status, len(answer["started"]), len(answer["id"])) == (200, 1, 36)
    status, answers = send(server, [{"n": 1}, {"data": {"status": "final"}}])
    assert (status, [len(answer["started"]) for answer in answers]) == (200, [0, 1])


def test_yaml_is_answered_in_yaml(server: Server) -> None:
    for body, code in ((b"data: {status: final}", 200), (b"data: [1, {]", 400)):
        status, headers, answer = server.send("POST", "/events", body, content_type="text/yaml")
        assert (status, headers["content-type"].partition(";")[0]) == (code, "text/yaml")
        assert ("error" in orjson.loads(yaml.to_json(answer))) is (code == 400)
    status, headers, _ = server.send("POST", "/events", b"{}", content_type="text/yaml", accept="application/json")
    assert (status, headers["content-type"]) == (200, "application/json")


@pytest.mark.parametrize(
    ("content", "headers", "refusal"),
    [
        (b"{", {}, (400, "invalid-request", "$")),
        (b'{"a": 1, "a": 2}', {}, (400, "invalid-request", "$")),
        (b"[" * 70 + b"]" * 70, {}, (400, "invalid-request", "$")),
        (b'"a"', {}, (400, "invalid-params", "$")),
        ([], {}, (400, "invalid-request", "$")),
        ([{}, 1], {}, (400, "invalid-params", "$[1]")),
        ([EVENT], {"content_type": STRUCTURED}, (400, "invalid-params", "$")),
        (EVENT, {"content_type": BATCH}, (400, "invalid-params", "$")),
        ({}, {"content_type": STRUCTURED}, (400, "invalid-params", "$.specversion")),
        ([EVENT, {**EVENT, "type": 1}], {"content_type": BATCH}, (400, "invalid-params", "$[1].type")),
        ({}, {"ce_id": "7"}, (400, "invalid-params", "$.specversion")),
        ({}, {**HEADERS, "ce_time": "noon"}, (400, "invalid-params", "$.time")),
        ({}, {**HEADERS, "ce_subject": "%FF"}, (400, "invalid-params", "$.subject")),
        ({}, {**HEADERS, "ce_subject": "%00"}, (400, "invalid-request", "$.subject")),
        ({}, {**HEADERS, "ce_data": "x"}, (400, "invalid-params", "$.data")),
        (b"{", HEADERS, (400, "invalid-request", "$")),
        ({}, {**HEADERS, "ce_source": "x" * 1001}, (400, "invalid-params", "$.source")),
        ({}, {"content_type": "application/x-www-form-urlencoded"}, (415, "unsupported-media-type", None)),
        ({}, {"content_type": "application/cloudevents+avro"}, (415, "unsupported-media-type", None)),
        ({}, {"accept": "text/html"}, (406, "not-acceptable", None)),
    ],
)
def test_an_invalid_event_is_refused_with_the_path_and_nothing_is_stored(
    server: Server, content: Any, headers: dict[str, str], refusal: tuple[int, str, str | None]
) -> None:
    assert refused(server, content, **headers) == refusal


def test_the_path_of_events_accepts_post_only(server: Server) -> None:
    status, headers, answer = server.send("GET", "/events")
    assert (status, orjson.loads(answer)["error"]["message"]) == (405, "/events takes POST")
    assert headers["allow"] == "POST"


def test_events_have_the_credentials_and_limits_of_calls(database: str) -> None:
    guarded = Settings(clients={"lab": "s" * 16}, limits=Limits(body_bytes=100, batch=2))
    with running_server(database, settings=guarded) as server:
        assert send(server, {})[0] == 401
        known = {"authorization": "Bearer " + "s" * 16}
        assert send(server, {"a": "x" * 100}, **known)[0] == 413
        assert send(server, [{}, {}, {}], **known)[0] == 400
        assert send(server, {}, **known)[0] == 200
        assert server.query("select caller from fencepost.events") == [("lab",)]


_TYPES = ["application/json", "text/yaml", STRUCTURED, BATCH, "text/plain", "application/x+json", "image/png", "a", ""]
_NAMES = st.sampled_from([*EVENT, "time", "extra"])
_HEADER_NAMES = st.sampled_from([*HEADERS, "ce_time", "ce_extra"])
_ATTRIBUTES = st.sampled_from(["1.0", "7", "", "%", "%FF", "%00", "%ED%A0%80", "x" * 1001, "2026-01-01T00:00:00Z"])


@settings(max_examples=150, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    content_type=st.sampled_from(_TYPES),
    headers=st.just({})
    | st.just(HEADERS)
    | st.dictionaries(st.sampled_from([*HEADERS, "ce_time", "ce_x"]), _ATTRIBUTES),
    body=st.just(EVENT)
    | st.lists(st.just(EVENT))
    | st.dictionaries(st.sampled_from([*EVENT, "time"]), values)
    | values,
)
def test_any_request_publishes_events_or_is_refused(
    server: Server, content_type: str, headers: dict[str, str], body: Any
) -> None:
    sent = written(body).encode("utf-8", "surrogatepass")
    status, _, answer = server.send("POST", "/events", sent, content_type=content_type, accept="*/*", **headers)
    said = orjson.loads(answer if answer[:1] in b"{[" else yaml.to_json(answer, max_depth=200))
    for one in said if isinstance(said, list) else [said]:
        if "error" in one:
            check_fault(None if isinstance(said, list) else status, one["error"])
        else:
            assert (status, set(one)) == (200, {"id", "started", "completed"})
