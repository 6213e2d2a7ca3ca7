"""Ambiguous headers and unsupported encodings of bodies: every path refuses them."""

from __future__ import annotations

import gzip
from collections.abc import Iterator

import orjson
import pytest

from fencepost.settings import Settings
from tests.fixtures.raw_http import Answer, get, post, request
from tests.fixtures.servers import Server, running_server

pytestmark = pytest.mark.shows("guarantees/one-reading")

SECRET = "alice-secret-0123456789"
ALICE = f"authorization: Bearer {SECRET}"
POLL = b'{"method": "awf.task/poll", "params": {"taskDefinitions": ["demo/resize"]}}'
EVENT = b'{"resourceType": "Patient", "id": "1"}'
BODIES = [("/rpc", POLL), ("/events", EVENT), ("/task-state", b"{}"), ("/devices/r2/heartbeat", b"{}")]


@pytest.fixture(scope="module")
def port(module_database: str) -> Iterator[int]:
    with running_server(module_database, settings=Settings(clients={"alice": SECRET})) as server:
        server_port = int(server.url.rpartition(":")[2])
        yield server_port


@pytest.mark.parametrize("requested", [post("/rpc", POLL), get("/AidboxTask"), get("/events/client"), get("/nothing")])
@pytest.mark.parametrize(
    "headers",
    [
        (ALICE, ALICE),
        (ALICE, "Authorization: Basic YTpi"),
        ("authorization: Basic YTpi", ALICE),
        (ALICE, "host: other.example"),
        (ALICE, "origin: http://localhost", "origin: http://evil.example"),
        (ALICE, "sec-fetch-site: none", "sec-fetch-site: cross-site"),
    ],
)
def test_a_header_that_must_be_unique_is_refused_when_repeated(
    port: int, requested: bytes, headers: tuple[str, ...]
) -> None:
    answer = request(port, _with(requested, *headers))
    assert (answer.status, answer.type) == (400, "invalid-request")
    assert "more than once" in answer.json["error"]["message"]


@pytest.mark.parametrize(("path", "body"), BODIES)
@pytest.mark.parametrize("header", ["content-type: text/yaml", "content-length: 1", "transfer-encoding: chunked"])
def test_a_repeated_or_conflicting_body_header_is_refused(port: int, path: str, body: bytes, header: str) -> None:
    answer = request(port, post(path, body, ALICE, header))
    assert answer.status == 400
    assert b"invalid-request" in answer.body


@pytest.mark.parametrize("accept", [("text/yaml", "image/png"), ("image/png", "text/yaml")])
@pytest.mark.parametrize(("path", "body"), BODIES[:2])
def test_several_accept_headers_are_one_list(port: int, path: str, body: bytes, accept: tuple[str, str]) -> None:
    answer = request(port, post(path, body, ALICE, *(f"accept: {one}" for one in accept)))
    assert (answer.status, answer.headers["content-type"].partition(";")[0]) == (200, "text/yaml")


@pytest.mark.parametrize(("path", "body"), BODIES)
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "gzip, identity", "aes128gcm"])
def test_a_compressed_body_is_refused(port: int, path: str, body: bytes, encoding: str) -> None:
    answer = request(port, post(path, gzip.compress(body), ALICE, f"content-encoding: {encoding}"))
    assert (answer.status, answer.type) == (415, "unsupported-media-type")
    assert "not compressed" in answer.json["error"]["message"]


def test_a_content_encoding_of_identity_is_accepted(port: int) -> None:
    assert request(port, post("/rpc", POLL, ALICE, "content-encoding: identity")).status == 200


@pytest.mark.parametrize(("path", "body"), BODIES)
@pytest.mark.parametrize("charset", ["latin-1", "utf-16", '"iso-8859-1"', ""])
def test_a_charset_other_than_utf_8_is_refused(port: int, path: str, body: bytes, charset: str) -> None:
    answer = request(port, post(path, body, ALICE, media_type=f"application/json; charset={charset}"))
    assert (answer.status, answer.type) == (415, "unsupported-media-type")


@pytest.mark.parametrize("charset", ["utf-8", "UTF-8", '"utf-8"', "us-ascii"])
def test_a_charset_of_utf_8_or_ascii_is_accepted(port: int, charset: str) -> None:
    assert request(port, post("/rpc", POLL, ALICE, media_type=f"application/json ; Charset={charset}")).status == 200


def test_the_text_data_of_an_event_must_be_utf_8(port: int) -> None:
    headers = ("ce-id: 1", "ce-source: a", "ce-type: b", "ce-specversion: 1.0", ALICE)
    assert request(port, post("/events", b"caf\xe9", *headers, media_type="text/plain; charset=latin-1")).status == 415
    assert (
        request(port, post("/events", "café".encode(), *headers, media_type="text/plain; charset=utf-8")).status == 200
    )


def test_a_refusal_before_the_body_is_read_has_the_format_of_the_caller(port: int) -> None:
    def is_yaml(answer: Answer, type: str) -> bool:
        return answer.headers["content-type"] == "text/yaml" and f"type: {type}".encode() in answer.body

    assert is_yaml(request(port, post("/rpc", POLL, media_type="text/yaml")), "unauthenticated")
    assert is_yaml(request(port, get("/AidboxTask", "accept: text/yaml")), "unauthenticated")
    assert is_yaml(request(port, post("/rpc", POLL, "accept: text/yaml", ALICE, ALICE)), "invalid-request")
    assert is_yaml(request(port, get("/nothing", "accept: text/yaml", ALICE)), "not-found")
    assert is_yaml(request(port, post("/rpc", b" " * (2 << 20), ALICE, media_type="text/yaml")), "payload-too-large")
    assert is_yaml(
        request(port, post("/rpc", POLL, ALICE, "accept: text/yaml", media_type="a/b")), "unsupported-media-type"
    )


@pytest.mark.parametrize(
    ("verb", "path", "status", "allow"),
    [
        ("HEAD", "/rpc", 405, "POST"),
        ("OPTIONS", "/rpc", 405, "POST"),
        ("GET", "/rpc", 405, "POST"),
        ("HEAD", "/AidboxTask", 200, None),
        ("HEAD", "/events/client", 200, None),
        ("HEAD", "/devices/r2/events", 200, None),
        ("OPTIONS", "/AidboxTask", 405, "GET"),
        ("OPTIONS", "/devices/r2", 405, "GET, PUT"),
        ("DELETE", "/events", 405, "POST"),
        ("HEAD", "/nothing", 404, None),
    ],
)
def test_each_verb_is_answered_with_its_status_and_allow_header(
    port: int, verb: str, path: str, status: int, allow: str | None
) -> None:
    answer = request(port, f"{verb} {path} HTTP/1.1\r\nhost: localhost\r\n{ALICE}\r\n\r\n".encode())
    assert (answer.status, answer.headers.get("allow")) == (status, allow)


def _with(requested: bytes, *headers: str) -> bytes:
    line, _, rest = requested.partition(b"\r\n")
    return b"\r\n".join((line, *(header.encode() for header in headers), rest))


def test_an_error_is_json_unless_the_request_names_a_format(server: Server) -> None:
    assert orjson.loads(server.send("GET", "/nothing")[2])["error"]["type"] == "not-found"
