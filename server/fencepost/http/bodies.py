"""Reads request bodies, bounded in size and in total memory, and converts them to JSON text."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any, NoReturn

from fencepost.errors import INVALID_REQUEST, PAYLOAD_TOO_LARGE, UNAVAILABLE, Refusal
from fencepost.http.formats import Format
from fencepost.notation import json
from fencepost.notation.offload import SHORT_JSON, SHORT_YAML, offload
from fencepost.notation.text import BadText
from fencepost.notation.yaml_calls import calls_to_json
from fencepost.settings import Limits

# Bodies up to this many bytes count as small.
SMALL = 1 << 16
_RETRY_SECONDS = 1

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class HangUp(Exception):
    """The client disconnected before its answer."""


class Bodies:
    """The memory for the bodies of all requests in flight: each counts from its first byte to its answer.

    A quarter is reserved for small bodies, so that finishes get through while large bodies are slow.
    """

    def __init__(self, limits: Limits) -> None:
        # There must be room for the largest body.
        self.most = max(limits.bodies_bytes, 2 * limits.body_bytes)
        self.most_large = self.most - self.most // 4
        self.used = 0

    def reserve(self) -> Reservation:
        """Return the reservation for one body."""
        return Reservation(self)


class Reservation:
    """The memory reserved for one body; call `release` when the request is answered."""

    __slots__ = ("_bodies", "_size")

    def __init__(self, bodies: Bodies) -> None:
        self._bodies = bodies
        self._size = 0

    def expect(self, size: int) -> None:
        """Raise Refusal (`unavailable`) if there is no room for this many bytes."""
        if self._bodies.used + size > self._limit(size):
            self._refuse()

    def take(self, size: int) -> None:
        """Reserve more bytes; raise Refusal (`unavailable`) if there is no room."""
        bodies = self._bodies
        bodies.used += size
        self._size += size
        # A small body fits whenever a large one does.
        if bodies.used > bodies.most_large and bodies.used > self._limit(0):
            self._refuse()

    def _limit(self, further: int) -> int:
        return self._bodies.most if self._size + further <= SMALL else self._bodies.most_large

    def _refuse(self) -> NoReturn:
        reason = "the server has too many large requests under way; try again"
        raise Refusal(UNAVAILABLE, reason=reason, retry_after=_RETRY_SECONDS)

    def release(self) -> None:
        """Release the reservation."""
        self._bodies.used -= self._size
        self._size = 0


async def read_body(content_length: bytes, receive: Receive, reservation: Reservation, *, limit: int) -> bytes:
    """Return the body of an ASGI request; raise Refusal (`payload-too-large`, `unavailable`) or HangUp."""
    # A short body is below any limit.
    if len(content_length) > 3 and content_length.isdigit():
        if (announced := int(content_length)) > limit:
            raise Refusal(PAYLOAD_TOO_LARGE, limit=limit)
        reservation.expect(announced)
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise HangUp
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > limit:
            raise Refusal(PAYLOAD_TOO_LARGE, limit=limit)
        reservation.take(len(chunks[-1]))
        if not message.get("more_body", False):
            return b"".join(chunks)


async def as_json(body: bytes, format: Format, *, max_depth: int) -> bytes:
    """Return a body as JSON text that can be stored; raise Refusal (`invalid-request`)."""

    def read() -> bytes:
        text = body if format.to_json is None else format.to_json(body, max_depth=max_depth)
        json.check(text, max_depth=max_depth)
        return text

    try:
        return await offload(len(body), read, short=SHORT_JSON if format.to_json is None else SHORT_YAML)
    except BadText as bad:
        raise Refusal(INVALID_REQUEST, field=bad.field, reason=bad.message) from None


async def calls_as_json(body: bytes, format: Format, *, max_depth: int) -> tuple[bytes, dict[int, Refusal]]:
    """Return a body of calls as JSON text, and errors by index for the calls of an array that are null there.

    A JSON body is returned unchecked. Raises Refusal (`invalid-request`).
    """
    if format.to_json is None:
        return body, {}
    try:
        text, bad = await offload(len(body), partial(calls_to_json, body, max_depth=max_depth), short=SHORT_YAML)
    except BadText as one:
        raise Refusal(INVALID_REQUEST, field=one.field, reason=one.message) from None
    return text, {number: Refusal(INVALID_REQUEST, field=one.field, reason=one.message) for number, one in bad.items()}
