"""Routes of event streams, over server-sent events or WebSocket.

GET /devices/{name}/events   messages for a device; over WebSocket the device also sends heartbeats and reports
GET /events/client           events for clients; `since` or `Last-Event-ID` is the time to resume from

A frame is one JSON object with a `type`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import Any

import msgspec
import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from fencepost.domain.times import time_text
from fencepost.engine.context import Context
from fencepost.errors import INVALID_REQUEST, Refusal
from fencepost.http.bodies import as_json
from fencepost.http.formats import JSON
from fencepost.http.guard import refuse
from fencepost.http.parameters import Header, Text, Time
from fencepost.http.routes import EVENT_STREAM, Content, Routes
from fencepost.http.sse import Message, head_of_sse, sse
from fencepost.resources.error_body import error_body
from fencepost.settings import Limits
from fencepost.vocabularies.devices.channels import Channels
from fencepost.vocabularies.devices.clients import Clients
from fencepost.vocabularies.devices.errors import DEVICE_NOT_FOUND
from fencepost.vocabularies.devices.events import RunEvent
from fencepost.vocabularies.devices.registry import DeviceRegistry
from fencepost.vocabularies.devices.reports import parse_task_state
from fencepost.vocabularies.devices.runs import Runs

# WebSocket close code "service restart": the device or client reconnects.
_RESTART = 1012
# The keep-alive frame of media channel clients, as text or binary.
_PING = b"ping"

Messages = AsyncGenerator[bytes | None]
Receive = Callable[[bytes], Awaitable[bytes | None]]


channel_routes = Routes(also_below="/api")

_SINCE = Time("since", "replay events since this time")
_AS = Text("as", "the caller is the device: its open stream counts as a heartbeat", known=("device",))
_LAST_EVENT_ID = Header("Last-Event-ID", "id of the last event received; it takes the place of `since`")
_STREAM = Content({EVENT_STREAM: str}, "Server-sent events, JSON objects.")


@channel_routes.route("GET", "/devices/{name}/events", parameters=(_AS,), answer=_STREAM, errors=(DEVICE_NOT_FOUND,))
async def follow_device(context: Context, request: Request) -> Response:
    """Stream the messages for a device."""
    is_device = _AS.read(request.query_params) is not None
    if request.method == "HEAD":
        return head_of_sse()
    channels, name = context.of(Channels), request.path_params["name"]
    messages = channels.messages(name, keeps_alive=True) if is_device else channels.observe(name)
    # No message is missed from here on.
    await anext(messages)

    async def framed() -> AsyncIterator[Message | None]:
        # Without the database the stream ends; a client that reconnects finds it, or another server with one.
        with contextlib.suppress(Refusal):
            async for message in messages:
                yield None if message is None else Message(message)

    return sse(context.engine.changes, framed())


@channel_routes.route("GET", "/events/client", parameters=(_SINCE, _LAST_EVENT_ID), answer=_STREAM)
async def follow_devices(context: Context, request: Request) -> Response:
    """Stream the events for clients."""
    last = _LAST_EVENT_ID.read(request.headers)
    since = time_text(last, "Last-Event-ID") if last else _SINCE.read(request.query_params)
    if request.method == "HEAD":
        return head_of_sse()
    events = context.of(Clients).messages(since=since)
    await anext(events)

    async def framed() -> AsyncIterator[Message | None]:
        with contextlib.suppress(Refusal):
            async for one in events:
                yield None if one is None else Message(_event_text(one), one.client_event.occurred_at)

    return sse(context.engine.changes, framed())


@channel_routes.socket("/devices/{name}/events")
async def device_socket(context: Context, socket: WebSocket) -> None:
    """Serve the WebSocket of a device."""
    messages = context.of(Channels).messages(socket.path_params["name"])
    await _serve(socket, messages, partial(_receive, context, socket.path_params["name"]))


@channel_routes.socket("/events/client")
async def client_socket(context: Context, socket: WebSocket) -> None:
    """Serve the WebSocket of a client; frames from the client are ignored."""
    try:
        since = _SINCE.read(socket.query_params)
    except Refusal as refusal:
        await refuse(socket.scope, socket.send, refusal)
        return

    async def messages() -> Messages:
        async with aclosing(context.of(Clients).messages(since=since)) as events:
            async for one in events:
                yield None if one is None else _event_text(one)

    await _serve(socket, messages(), None)


async def _serve(socket: WebSocket, messages: Messages, receive: Receive | None) -> None:
    """Send messages and receive frames until either end closes."""
    try:
        # No message is missed from here on.
        await anext(messages)
    except Refusal as refusal:
        await refuse(socket.scope, socket.send, refusal)
        return
    await socket.accept()
    ends = [asyncio.create_task(_send(socket, messages)), asyncio.create_task(_listen(socket, receive))]
    try:
        done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for end in ends:
            end.cancel()
        await asyncio.gather(*ends, return_exceptions=True)
    # Without the database there are no messages; a client that reconnects finds it, or another server with one.
    with contextlib.suppress(RuntimeError, WebSocketDisconnect):
        await socket.close(_RESTART)
    for end in done:
        if (error := end.exception()) is not None and not isinstance(error, WebSocketDisconnect | Refusal):
            raise error


async def _receive(context: Context, device: str, text: bytes) -> bytes | None:
    """Handle a frame of a device, and return the answer, None without one."""
    try:
        await context.of(DeviceRegistry).heartbeat(device, watch=True)
        if text.strip() == _PING:
            return None
        message = await _read(text, context.limits)
        if message.get("type") == "HEARTBEAT":
            return None
        id, report = parse_task_state(text)
        task = await context.of(Runs).report(id, report, caller=context.caller)
    except Refusal as refusal:
        return msgspec.json.encode({"type": "REFUSED", "error": error_body(refusal)})
    return orjson.dumps({"type": "REPORT_TAKEN", "task_id": task.id})


async def _read(text: bytes, limits: Limits) -> dict[str, Any]:
    if len(text) > limits.body_bytes:
        raise Refusal(INVALID_REQUEST, reason=f"a message of more than {limits.body_bytes} bytes")
    await as_json(text, JSON, max_depth=limits.depth)
    message = orjson.loads(text)
    if not isinstance(message, dict):
        raise Refusal(INVALID_REQUEST, field="", reason="Expected `object`")
    return message


async def _send(socket: WebSocket, messages: Messages) -> None:
    async with aclosing(messages):
        async for message in messages:
            if message is not None:
                await socket.send_text(message.decode())


async def _listen(socket: WebSocket, receive: Receive | None) -> None:
    while (message := await socket.receive())["type"] != "websocket.disconnect":
        text = (message.get("text") or "").encode() or message.get("bytes") or b""
        if receive is not None and (answer := await receive(text)) is not None:
            await socket.send_text(answer.decode())


def _event_text(event: RunEvent) -> bytes:
    return msgspec.json.encode(event.client_event)
