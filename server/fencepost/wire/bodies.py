"""The body of a request: read no further than its limit, and turned into JSON text."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fencepost.errors import INVALID_REQUEST, PAYLOAD_TOO_LARGE, Refusal
from fencepost.notation.text import BadText
from fencepost.wire.formats import Format

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class HangUp(Exception):
    """The client went away before its answer."""


async def read_body(content_length: bytes, receive: Receive, *, limit: int) -> bytes:
    """Return the body of an ASGI request; raise Refusal (`payload-too-large`) or HangUp."""
    if content_length.isdigit() and int(content_length) > limit:
        raise Refusal(PAYLOAD_TOO_LARGE, limit=limit)
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
        if not message.get("more_body", False):
            return b"".join(chunks)


def as_json(body: bytes, format: Format, *, max_depth: int) -> bytes:
    """Return a body as JSON text, which is not checked when it came as such; raise Refusal (`invalid-request`)."""
    if format.to_json is None:
        return body
    try:
        return format.to_json(body, max_depth=max_depth)
    except BadText as bad:
        raise Refusal(INVALID_REQUEST, at=bad.path, reason=bad.message) from None
