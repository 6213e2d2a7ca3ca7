"""WebSocket connections with bounds that uvicorn's protocol does not set.

A message may be as large as a body and come in a bounded number of parts; a handshake that cannot be read is answered;
a client that reads nothing is cut off.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame

from fencepost.errors import HEAD_TOO_LARGE, Refusal
from fencepost.settings import Connections
from fencepost.wire.formats import JSON
from fencepost.wire.refusals import written

_MOST_PARTS = 1000
# Of a line and of the number of headers, by the library that reads the handshake.
_LINE_BYTES = 8192
_CLOSE_SECONDS = 5.0


class SocketProtocol(WebSocketsSansIOProtocol):
    """One WebSocket."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._limits: Connections = getattr(self.config, "connections", None) or Connections()
        self._unread: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        """Take what came; answer a handshake that cannot be read."""
        super().data_received(data)
        if not self.handshake_initiated and self.conn.handshake_exc is not None:
            self.handshake_complete = self.close_sent = True
            status, headers, content = written(Refusal(HEAD_TOO_LARGE, limit=_LINE_BYTES), JSON)
            lines = [b"%s: %s\r\n" % header for header in (*headers, (b"connection", b"close"))]
            self.transport.write(b"".join((STATUS_LINE[status], *lines, b"\r\n", content)))
            self.transport.close()
        if not (self.writable.is_set() or self.transport.is_closing()):
            # The answers to pings would fill the memory.
            self.transport.pause_reading()

    async def receive(self) -> Any:
        """Return what came next; wait while the client leaves answers unread, since this goes on with reading."""
        await self.writable.wait()
        return await super().receive()

    async def send(self, message: Any) -> None:
        """Send what the application says; a handshake that it has answered with a refusal is over."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True

    def handle_parser_exception(self) -> None:
        """End a connection whose frames cannot be read."""
        if self.conn.close_sent is None:
            self.transport.close()
        else:
            super().handle_parser_exception()

    def handle_cont(self, event: Frame) -> None:
        """Take a part of a message, unless it is one of too many: parts may be empty, and each costs memory."""
        if len(self.frames) < _MOST_PARTS:
            super().handle_cont(event)
            return
        self.frames = []
        self.conn.fail(CloseCode.MESSAGE_TOO_BIG, f"more than {_MOST_PARTS} parts")
        self.handle_parser_exception()

    def pause_writing(self) -> None:
        """Bound the time in which the client reads nothing."""
        super().pause_writing()
        if self._unread is None:
            self._unread = self.loop.call_later(self._limits.unread_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Drop that bound, and read on."""
        super().resume_writing()
        self._drop_bound()
        if not (self.read_paused or self.transport.is_closing()):
            self.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Drop the timers."""
        super().connection_lost(exc)
        self._drop_bound()

    def keepalive_timeout(self) -> None:
        """End a connection whose client does not answer, soon even if it does not read what is under way."""
        super().keepalive_timeout()
        self.loop.call_later(_CLOSE_SECONDS, self.transport.abort)

    def _drop_bound(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
