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
from typing import Any

import msgspec
import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from fencepost.domain.times import time_text
from fencepost.engine.change_feed import ChangeFeed
from fencepost.errors import INVALID_REQUEST, Refusal, invalid_params
from fencepost.http.admission import Admission
from fencepost.http.bodies import as_json
from fencepost.http.formats import JSON
from fencepost.http.guard import refuse
from fencepost.http.queries import refuse_unknown
from fencepost.http.sse import Message, head_of_sse, sse
from fencepost.resources.error_body import error_body
from fencepost.settings import Limits
from fencepost.vocabularies.devices.devices import Devices
from fencepost.vocabularies.devices.events import RunEvent
from fencepost.vocabularies.devices.reports import parse_task_state

# WebSocket close code "service restart": the device or client reconnects.
_RESTART = 1012
# The keep-alive frame of media channel clients, as text or binary.
_PING = b"ping"

Messages = AsyncGenerator[bytes | None]
Receive = Callable[[bytes], Awaitable[bytes | None]]


class ChannelCalls:
    """The handlers."""

    def __init__(self, devices: Devices, changes: ChangeFeed, limits: Limits, admission: Admission) -> None:
        self._devices = devices
        self._changes = changes
        self._limits = limits
        self._admission = admission

    async def device(self, request: Request) -> Response:
        """Answer `GET /devices/{name}/events`."""
        refuse_unknown(request.query_params, {"as"})
        is_device = _is_device(request.query_params.get("as"))
        if request.method == "HEAD":
            return head_of_sse()
        name = request.path_params["name"]
        channels = self._devices.channels
        messages = channels.messages(name, keeps_alive=True) if is_device else channels.observe(name)
        # No message is missed from here on.
        await anext(messages)

        async def framed() -> AsyncIterator[Message | None]:
            # Without the database the stream ends; a client that reconnects finds it, or another server with one.
            with contextlib.suppress(Refusal):
                async for message in messages:
                    yield None if message is None else Message(message)

        return sse(self._changes, framed())

    async def client(self, request: Request) -> Response:
        """Answer `GET /events/client`."""
        refuse_unknown(request.query_params, {"since"})
        last = request.headers.get("last-event-id")
        since = time_text(last, "Last-Event-ID") if last else time_text(request.query_params.get("since"), "since")
        if request.method == "HEAD":
            return head_of_sse()
        events = self._devices.clients.messages(since=since)
        await anext(events)

        async def framed() -> AsyncIterator[Message | None]:
            with contextlib.suppress(Refusal):
                async for one in events:
                    yield None if one is None else Message(_event_text(one), one.client_event.occurred_at)

        return sse(self._changes, framed())

    async def device_socket(self, socket: WebSocket) -> None:
        """Serve the WebSocket of a device."""
        if (caller := await self._authenticate(socket)) is None:
            return
        device = socket.path_params["name"]
        messages = self._devices.channels.messages(device)
        await self._serve(socket, messages, lambda text: self._receive(device, text, caller))

    async def client_socket(self, socket: WebSocket) -> None:
        """Serve the WebSocket of a client; frames from the client are ignored."""
        if await self._authenticate(socket) is None:
            return
        try:
            since = time_text(socket.query_params.get("since"), "since")
        except Refusal as refusal:
            await refuse(socket.scope, socket.send, refusal)
            return

        async def messages() -> Messages:
            async with aclosing(self._devices.clients.messages(since=since)) as events:
                async for one in events:
                    yield None if one is None else _event_text(one)

        await self._serve(socket, messages(), None)

    async def _authenticate(self, socket: WebSocket) -> str | None:
        """Return the caller of a WebSocket; refuse an unauthenticated one and return None."""
        try:
            return self._admission.caller(socket.headers.get("authorization"))
        except Refusal as refusal:
            await self._admission.delay(refusal, socket.scope)
            await refuse(socket.scope, socket.send, refusal)
            return None

    async def _serve(self, socket: WebSocket, messages: Messages, receive: Receive | None) -> None:
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

    async def _receive(self, device: str, text: bytes, caller: str) -> bytes | None:
        """Handle a frame of a device, and return the answer, None without one."""
        try:
            await self._devices.registry.heartbeat(device, watch=True)
            if text.strip() == _PING:
                return None
            message = await self._read(text)
            if message.get("type") == "HEARTBEAT":
                return None
            id, report = parse_task_state(text)
            task = await self._devices.runs.report(id, report, caller=caller)
        except Refusal as refusal:
            return msgspec.json.encode({"type": "REFUSED", "error": error_body(refusal)})
        return orjson.dumps({"type": "REPORT_TAKEN", "task_id": task.id})

    async def _read(self, text: bytes) -> dict[str, Any]:
        if len(text) > self._limits.body_bytes:
            raise Refusal(INVALID_REQUEST, reason=f"a message of more than {self._limits.body_bytes} bytes")
        await as_json(text, JSON, max_depth=self._limits.depth)
        message = orjson.loads(text)
        if not isinstance(message, dict):
            raise Refusal(INVALID_REQUEST, at="$", reason="Expected `object`")
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


def _is_device(text: str | None) -> bool:
    if text not in (None, "device"):
        raise invalid_params(f"Expected device; got {text[:40]!r}", "as")
    return text is not None


def _event_text(event: RunEvent) -> bytes:
    return msgspec.json.encode(event.client_event)
