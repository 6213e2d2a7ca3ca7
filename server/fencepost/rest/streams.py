"""Streams of server-sent events: what each of them shows is its own affair, how that goes out is here."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import NamedTuple

from starlette.responses import Response, StreamingResponse

from fencepost.engine.watch import Watch

# What proxies between cut off is a connection on which nothing comes for a while; a minute with most of them.
_PING_SECONDS = 15.0
_TYPE = "text/event-stream"
_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


class Message(NamedTuple):
    """One event: its data, a line of JSON; where to go on behind it (`Last-Event-ID`); and its type."""

    data: bytes
    id: str | None = None
    event: str | None = None


def sse(watch: Watch, messages: AsyncIterator[Message | None]) -> StreamingResponse:
    """Return the stream of some messages, until they end, the client goes away or the server drains.

    None stands for a look that found nothing new; there must be one every few seconds, since pings come with them.
    """
    return StreamingResponse(_frames(watch, messages), media_type=_TYPE, headers=_HEADERS)


def head_of_sse() -> Response:
    """Return the answer to HEAD, which opens no stream."""
    return Response(media_type=_TYPE, headers=_HEADERS)


async def _frames(watch: Watch, messages: AsyncIterator[Message | None]) -> AsyncIterator[bytes]:
    said_at = time.monotonic()
    # So that the client sees at once that it is heard.
    yield b": hello\n\n"
    async for message in messages:
        if watch.closing:
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
