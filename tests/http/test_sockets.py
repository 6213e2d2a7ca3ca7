"""Bounds on the memory that one client takes: the size and parts of a message, and unread answers."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fencepost.settings import Connections, Limits, Settings
from tests.fixtures.raw_http import Raw, get, raw
from tests.fixtures.servers import Server, running_server
from tests.fixtures.waiting import until

pytestmark = pytest.mark.shows("guarantees/clients-bounded")

MOST_BYTES = 4096
MOST_PARTS = 1000
MIB = 1 << 20
DEVICE, CLIENT = "/devices/r2/events", "/events/client"
HANDSHAKE = (
    "upgrade: websocket",
    "connection: upgrade",
    "sec-websocket-version: 13",
    "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
)
CONTINUED, TEXT, CLOSE, PING, PONG = 0x0, 0x1, 0x8, 0x9, 0xA
# More bytes than the operating system buffers for a receiver that does not read.
MORE_THAN_BUFFERS = 32 * MIB
# Small, so that the operating system buffers little for a client that does not read.
KEPT = 4096

each_channel = pytest.mark.parametrize("path", [DEVICE, CLIENT])


@pytest.fixture(scope="module")
def strict(module_database: str) -> Iterator[Server]:
    settings = Settings(limits=Limits(body_bytes=MOST_BYTES), http=Connections(unread_seconds=0.5))
    with running_server(module_database, settings=settings) as server:
        yield server


def frame(opcode: int, payload: bytes = b"", *, is_last: bool = True) -> bytes:
    """Return a frame as a client sends it, with a mask of zeros."""
    first, size = opcode | (0x80 if is_last else 0), len(payload)
    match size:
        case _ if size < 126:
            head = struct.pack("!BB", first, 0x80 | size)
        case _ if size < 65536:
            head = struct.pack("!BBH", first, 0x80 | 126, size)
        case _:
            head = struct.pack("!BBQ", first, 0x80 | 127, size)
    return head + bytes(4) + payload


def in_parts(parts: list[bytes]) -> bytes:
    """Return the frames of one message."""
    last = len(parts) - 1
    return b"".join(
        frame(CONTINUED if place else TEXT, part, is_last=place == last) for place, part in enumerate(parts)
    )


@contextmanager
def channel(server: Server, path: str, *, kept: int | None = None) -> Iterator[Raw]:
    """Open a WebSocket, frame by frame."""
    with raw(int(server.url.rpartition(":")[2]), kept=kept) as one:
        one.send(get(path, *HANDSHAKE))
        assert one.answer().status == 101
        yield one


def close_code(one: Raw) -> int | None:
    """Return the close code of the server; None when the channel stays open."""
    # The server may answer the first ping before it checks a message that arrived with it.
    return close_code_or_pong(one) or close_code_or_pong(one)


def close_code_or_pong(one: Raw) -> int | None:
    """Return the close code of the server; None when the server answers a ping first."""
    one.send(frame(PING))
    while True:
        first, size = one.take(2)
        payload = one.take(struct.unpack("!H", one.take(2))[0] if size == 126 else size)
        if first & 0x0F == CLOSE:
            return int(struct.unpack("!H", payload[:2])[0])
        if first & 0x0F == PONG:
            return None


@each_channel
@pytest.mark.parametrize(("size", "code"), [(MOST_BYTES, None), (MOST_BYTES + 1, 1009), (MIB, 1009)])
@pytest.mark.parametrize("parts", [1, 2])
def test_a_message_has_the_size_limit_of_a_body(
    strict: Server, path: str, size: int, code: int | None, parts: int
) -> None:
    text, step = b"x" * size, -(-size // parts)
    with channel(strict, path) as one:
        one.send(in_parts([text[at : at + step] for at in range(0, size, step)]))
        assert close_code(one) == code


@each_channel
@pytest.mark.parametrize(("parts", "code"), [(MOST_PARTS, None), (MOST_PARTS + 1, 1009)])
@pytest.mark.parametrize("part", [b"x", b""])
def test_a_message_has_at_most_a_thousand_parts(
    strict: Server, path: str, parts: int, code: int | None, part: bytes
) -> None:
    with channel(strict, path) as one:
        one.send(in_parts([part] * parts))
        assert close_code(one) == code


def test_a_client_that_does_not_read_its_answers_is_disconnected(strict: Server) -> None:
    with raw(int(strict.url.rpartition(":")[2]), kept=KEPT) as one:
        one.send(get("/openapi.yaml") * 60)
        until(lambda: not one.send(b"\r\n"))


@pytest.fixture(scope="module")
def patient(module_database: str) -> Iterator[Server]:
    with running_server(module_database) as server:
        yield server


each_flood = pytest.mark.parametrize(
    "flood",
    [frame(PING, b"p" * 125), frame(PING, b"p" * 125) * 100 + frame(TEXT, b"x")],
    ids=["pings", "pings-and-messages"],
)


@each_channel
@each_flood
def test_a_websocket_client_that_does_not_read_its_answers_is_disconnected(
    strict: Server, path: str, flood: bytes
) -> None:
    with channel(strict, path, kept=KEPT) as one:
        one.send_for_a_while(flood, MORE_THAN_BUFFERS)
        until(lambda: not one.send(frame(PONG)))


@each_channel
@each_flood
def test_the_server_stops_reading_from_a_client_that_does_not_read(patient: Server, path: str, flood: bytes) -> None:
    with channel(patient, path, kept=KEPT) as one:
        # The server stops reading while its answers are unread.
        assert one.send_for_a_while(flood, MORE_THAN_BUFFERS) < MORE_THAN_BUFFERS
