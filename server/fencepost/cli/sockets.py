"""WebSocket connections with limits that uvicorn's protocol does not have.

A message may be as large as a body and have a limited number of parts. An invalid handshake gets an answer. A client
that reads nothing is disconnected.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame

from fencepost.errors import HEAD_TOO_LARGE, Refusal
from fencepost.http.formats import JSON
from fencepost.http.refusals import written
from fencepost.settings import Connections

_MOST_PARTS = 1000
# Limit of the websockets library for a line of the handshake.
_LINE_BYTES = 8192
_CLOSE_SECONDS = 5.0


class SocketProtocol(WebSocketsSansIOProtocol):
    """One WebSocket connection."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._limits: Connections = getattr(self.config, "connections", None) or Connections()
        self._unread: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        """Receive bytes; answer an invalid handshake with a refusal."""
        super().data_received(data)
        if not self.handshake_initiated and self.conn.handshake_exc is not None:
            self.handshake_complete = self.close_sent = True
            status, headers, content = written(Refusal(HEAD_TOO_LARGE, limit=_LINE_BYTES), JSON)
            lines = [b"%s: %s\r\n" % header for header in (*headers, (b"connection", b"close"))]
            self.transport.write(b"".join((STATUS_LINE[status], *lines, b"\r\n", content)))
            self.transport.close()
        if not (self.writable.is_set() or self.transport.is_closing()):
            # Answers to pings that the client does not read would fill the memory.
            self.transport.pause_reading()

    async def receive(self) -> Any:
        """Return the next message, once the client has read the answers so far; receiving resumes reading."""
        await self.writable.wait()
        return await super().receive()

    async def send(self, message: Any) -> None:
        """Send a message of the application; the end of a refusal ends the handshake."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True

    def handle_parser_exception(self) -> None:
        """Close a connection with invalid frames."""
        if self.conn.close_sent is None:
            self.transport.close()
        else:
            super().handle_parser_exception()

    def handle_cont(self, event: Frame) -> None:
        """Receive a part of a message; too many parts are refused, because each costs memory even if it is empty."""
        if len(self.frames) < _MOST_PARTS:
            super().handle_cont(event)
            return
        self.frames = []
        self.conn.fail(CloseCode.MESSAGE_TOO_BIG, f"more than {_MOST_PARTS} parts")
        self.handle_parser_exception()

    def pause_writing(self) -> None:
        """Start the time limit for a client that reads nothing."""
        super().pause_writing()
        if self._unread is None:
            self._unread = self.loop.call_later(self._limits.unread_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Cancel that time limit, and resume reading."""
        super().resume_writing()
        self._cancel_limit()
        if not (self.read_paused or self.transport.is_closing()):
            self.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timer."""
        super().connection_lost(exc)
        self._cancel_limit()

    def keepalive_timeout(self) -> None:
        """Close a connection without an answer to a ping, and abort it soon if the client reads nothing."""
        super().keepalive_timeout()
        self.loop.call_later(_CLOSE_SECONDS, self.transport.abort)

    def _cancel_limit(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
