"""Random paths, queries, verbs and headers: each error has the documented form, and none is an internal error."""

from __future__ import annotations

import random
from collections.abc import Iterator

import orjson
import pytest

from tests.fixtures.raw_http import Answer, request
from tests.fixtures.servers import Server, running_server

ROUTES = [
    "/rpc",
    "/healthz",
    "/readyz",
    "/openapi.yaml",
    "/AidboxTask",
    "/AidboxTask/{}",
    "/AidboxTaskLog",
    "/AidboxWorkflow",
    "/AidboxWorkflow/{}",
    "/events",
    "/taskflows/{}/events",
    "/workflows",
    "/workflows/{}/runs",
    "/workflows/{}",
    "/workflow-runs/{}",
    "/workflow-runs/{}/stop",
    "/tasks/{}",
    "/tasks/{}/start",
    "/tasks/{}/{}",
    "/task-state",
    "/devices",
    "/devices/{}",
    "/devices/{}/heartbeat",
    "/devices/{}/events",
    "/events/client",
    "/server-settings",
    "/api/devices/{}",
    "/{}",
    "/{}/{}",
]
ODD = [
    *(
        "%00",
        "a%00b",
        "%",
        "%z",
        "%zz",
        "%e2%28",
        "%ff",
        "%c0%af",
        "%ed%a0%80",
        "%f0%9f%98%80",
        "%0d%0a",
        "%25",
        "%2e%2e",
    ),
    *("..", ".", "../../etc/passwd", "%2e%2e%2f", "//", ";", "'", '"', "a b".replace(" ", "+"), "*", "\\", "|", "^"),
    *(
        "a" * 65,
        "a" * 5000,
        "-1",
        "9" * 30,
        "null",
        "{}",
        "[0]",
        "$",
        "~",
        "\x7f",
        "\xe9",
        "\xff\xfe",
        "r2",
        "demo/patrol",
    ),
]
QUERIES = [
    "_count",
    "_after",
    "_id",
    ".status",
    "status",
    "definition",
    "limit",
    "after",
    "since",
    "as",
    "subject",
    "x",
    "",
]
HEADERS = [
    "accept: ",
    "accept: */*;q=x, ,;",
    "accept: text/yaml",
    "accept: image/png",
    "content-type: ",
    "content-type: ;",
    "content-type: text/yaml",
    "content-type: \xff\xfe",
    "last-event-id: \xff",
    "last-event-id: 1-1-1",
    "last-event-id: 99999999999999999999",
    "authorization: \xff",
    "authorization: Basic ====",
    "x-forwarded-proto: \xff",
    "range: bytes=0-1",
    "upgrade: h2c\r\nconnection: upgrade",
    "ce-id: %ff",
    "ce-id: 1\r\nce-type: a\r\nce-source: b\r\nce-specversion: 9",
    "expect: 200-ok",
    "te: trailers",
    "x: " + "y" * 9000,
]
VERBS = ["GET", "GET", "GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE", "PATCH", "TRACE", "PROPFIND", "BREW"]
BODIES = [b"", b"{}", b"[]", b"null", b"\x00", b"\xff", b'{"id": "\\u0000"}', b"{a: b, c: [}", b"&a [*a]"]


@pytest.fixture(scope="module")
def server(module_database: str) -> Iterator[Server]:
    with running_server(module_database) as running:
        yield running


def drawn(chance: random.Random) -> bytes:
    """Draw a request."""
    path = chance.choice(ROUTES)
    while "{}" in path:
        path = path.replace("{}", chance.choice(ODD), 1)
    if chance.random() < 0.5:
        path += "?" + "&".join(f"{chance.choice(QUERIES)}={chance.choice(ODD)}" for _ in range(chance.randint(1, 3)))
    body = chance.choice(BODIES)
    verb = chance.choice(VERBS)
    headers = chance.sample(HEADERS, chance.randint(0, 3))
    if not any(header.startswith("content-type") for header in headers):
        headers.append("content-type: application/json")
    lines = (f"{verb} {path} HTTP/1.1", "host: localhost", f"content-length: {len(body)}", *headers, "", "")
    return "\r\n".join(lines).encode("latin-1") + body


def is_in_shape(answer: Answer) -> bool:
    """Return whether a refusal has the documented form."""
    if "yaml" in answer.headers["content-type"]:
        return answer.body.startswith(b"error:\n  type: ")
    return {"type", "message"} <= set(orjson.loads(answer.body)["error"])


@pytest.mark.parametrize("seed", range(8))
def test_no_request_causes_an_internal_error(server: Server, caplog: pytest.LogCaptureFixture, seed: int) -> None:
    chance = random.Random(seed)
    port = int(server.url.rpartition(":")[2])
    for _ in range(100):
        content = drawn(chance)
        answer = request(port, content)
        assert answer.status < 500, content
        if answer.status >= 400 and answer.body:
            assert is_in_shape(answer), (content, answer)
    assert "failed with a bug" not in caplog.text
    assert "Traceback" not in caplog.text
    assert "ASGI" not in caplog.text


@pytest.mark.parametrize(
    "content",
    [
        b"GARBAGE\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nbad header\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\n: b\r\n\r\n",
        b"GET http:// HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"CONNECT localhost:80 HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"POST /rpc HTTP/1.1\r\nhost: localhost\r\ncontent-length: -1\r\n\r\n",
        b"POST /rpc HTTP/1.1\r\nhost: localhost\r\ncontent-length: " + b"9" * 5000 + b"\r\n\r\n",
        b"POST /rpc HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n[]",
        b"POST /rpc HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: gzip\r\n\r\n",
        b"POST /rpc HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_malformed_http_is_refused_with_an_error_in_the_documented_form(server: Server, content: bytes) -> None:
    answer = request(int(server.url.rpartition(":")[2]), content)
    assert (answer.status, answer.type) == (400, "invalid-request")
    assert answer.headers["connection"] == "close"
