"""Random requests in random parts get the same bytes from both protocol classes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fencepost.settings import Settings
from tests.fixtures.protocols import send_in_parts, speaking
from tests.fixtures.raw_http import raw
from tests.fixtures.servers import Server

SECRET = "alice-secret-0123456789"
RIGHT = f"authorization: Bearer {SECRET}"

Pair = tuple[Server, Server]


@pytest.fixture(scope="module")
def pair(module_database: str) -> Iterator[Pair]:
    """Two servers on one database, one for each class."""
    configured = Settings(clients={"alice": SECRET}, allowed_hosts=("localhost",), connections=1, read_connections=1)
    with (
        speaking("lean", module_database, configured) as lean,
        speaking("uvicorn", module_database, configured) as other,
    ):
        yield lean, other


BODIES = st.sampled_from(
    [
        b'{"method": "awf.task/poll", "params": {"taskDefinitions": ["demo/none"]}}',
        b'{"method": "awf.task/poll", "params": {"taskDefinitions": []}, "id": 7, "jsonrpc": "2.0"}',
        b'{"method": "awf.task/long-poll", "params": {"taskDefinitions": ["demo/none"], "timeout": 0}}',
        b'{"method": "awf.task/start", "params": {"id": "x", "execId": "aac4c869-daa4-45fb-917a-46fe14359ed4"}}',
        b'{"method": "awf.task/success", "params": {"id": "x", "execId": "aac4c869-daa4-45fb-917a-46fe14359ed4"}}',
        b'{"method": "awf.task/fail", "params": {"id": "x", "execId": 1}}',
        b'[{"method": "awf.task/status", "params": {"id": "x"}}, {"method": "no"}, 7]',
        b'{"method": "awf.task/status", "params": {"id": "x", "id": "x"}}',
        *(b"", b"[]", b"{", b"7", b"\xff", b"method: awf.task/list", b'{"method": "\\ud800"}', b" " * 70_000),
    ]
)
HEADERS = st.lists(
    st.sampled_from(
        [
            *("accept: */*", "Accept: text/yaml", "accept: image/png", "connection: keep-alive", "x: y", "X-Y:z", "x:"),
            *("origin: http://localhost", "origin: http://evil.example", "sec-fetch-site: none", "te: trailers"),
            *(
                "content-encoding: identity",
                "content-encoding: gzip",
                "x: caf\xe9",
                "x:  y ",
                "x-forwarded-proto: https",
            ),
            *("host: localhost", "content-type: text/yaml", "expect: 200-ok", "x : y", "x", "no line", "x: a\tb"),
            *("connection: close", "Connection: Keep-Alive, x", "user-agent: a/1 (b; c)", "x: " + "a" * 5000),
        ]
    ),
    max_size=3,
)
CREDENTIALS = st.sampled_from(
    [RIGHT, RIGHT, RIGHT, RIGHT.upper().replace(SECRET.upper(), SECRET), "x-none: y", "authorization: Digest x"]
)
MEDIA_TYPES = st.sampled_from(
    ["application/json", "application/json", "application/json; charset=utf-8", "text/yaml", "a/b", ""]
)
LINES = st.sampled_from(
    [
        *["POST /rpc HTTP/1.1"] * 6,
        "POST /rpc HTTP/1.0",
        "GET /rpc HTTP/1.1",
        "POST /rpc/ HTTP/1.1",
        "post /rpc HTTP/1.1",
    ]
)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    body = draw(BODIES)
    length = draw(st.sampled_from([str(len(body))] * 8 + ["0" + str(len(body)), "+5", ""]))
    lines = [
        draw(LINES),
        draw(st.sampled_from(["Host: localhost", "host: localhost", "host: localhost:1", "host: evil.example"])),
        f"content-type: {draw(MEDIA_TYPES)}",
        draw(CREDENTIALS),
        *draw(HEADERS),
        f"Content-Length: {length}",
    ]
    return "\r\n".join((*lines, "", "")).encode("latin-1") + body


@st.composite
def conversations(draw: st.DrawFn) -> list[bytes]:
    """Return the parts of up to four requests, some of them with bytes in between."""
    whole = b"".join(
        one + draw(st.sampled_from([b"", b"", b"", b"\r\n", b"\0"]))
        for one in draw(st.lists(requests(), min_size=1, max_size=4))
    )
    cuts = sorted(draw(st.lists(st.integers(1, len(whole)), max_size=3)))
    return [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True) if start < end]


def received(server: Server, parts: list[bytes]) -> bytes:
    """Return all bytes that a server answers until it closes the connection, which the last request asks for."""
    last = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    with raw(server.port) as connection, raw(server.port) as other:
        send_in_parts(connection, parts, other)
        connection.send(last)
        content = b""
        with contextlib.suppress(EOFError, ConnectionError):
            while True:
                content += connection.take(1)
        return content


@settings(max_examples=150)
@given(parts=conversations())
def test_random_requests_get_the_same_bytes_from_both_classes(pair: Pair, parts: list[bytes]) -> None:
    lean, other = pair
    assert received(lean, parts) == received(other, parts)
