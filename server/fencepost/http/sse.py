"""Server-sent events: the transport that all event streams share."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import NamedTuple

from starlette.responses import Response, StreamingResponse

from fencepost.engine.change_feed import ChangeFeed

# Proxies cut idle connections, most of them after a minute.
_PING_SECONDS = 15.0
_TYPE = "text/event-stream"
_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


class Message(NamedTuple):
    """One event: its data, a line of JSON; its id, from which a client resumes (`Last-Event-ID`); and its type."""

    data: bytes
    id: str | None = None
    event: str | None = None


def sse(changes: ChangeFeed, messages: AsyncIterator[Message | None]) -> StreamingResponse:
    """Return a response that streams messages until they end, the client disconnects or the server drains.

    None means that a poll found no new message. The iterator must yield every few seconds, because pings are sent then.
    """
    return StreamingResponse(_frames(changes, messages), media_type=_TYPE, headers=_HEADERS)


def head_of_sse() -> Response:
    """Return the response to HEAD, without a stream."""
    return Response(media_type=_TYPE, headers=_HEADERS)


async def _frames(changes: ChangeFeed, messages: AsyncIterator[Message | None]) -> AsyncIterator[bytes]:
    said_at = time.monotonic()
    # Sent at once, so that the client knows that the stream is open.
    yield b": hello\n\n"
    async for message in messages:
        if changes.closing:
            return
        if message is not None:
            yield _frame(message)
        elif time.monotonic() < said_at + _PING_SECONDS:
            continue
        else:
            yield b": ping\n\n"
        said_at = time.monotonic()


def _frame(message: Message) -> bytes:
    lines = [] if message.id is None else [f"id: {message.id}\n".encode()]
    lines += [] if message.event is None else [f"event: {message.event}\n".encode()]
    return b"".join([*lines, b"data: ", message.data, b"\n\n"])
