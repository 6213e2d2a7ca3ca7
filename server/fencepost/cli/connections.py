"""HTTP connections with limits on the size of a head, the time of a head and a body, and the number of connections.

This subclasses uvicorn's httptools protocol, which has none of these limits. A request that arrives in one read costs
a few additions and comparisons; a timer is started only for a request that is incomplete at the end of a read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from fencepost.cli.connection_limit import Admission, ConnectionLimit
from fencepost.errors import HEAD_TOO_LARGE, INVALID_REQUEST, REQUEST_TIMEOUT, Refusal
from fencepost.http.formats import format_of
from fencepost.http.refusals import written
from fencepost.settings import Connections

# Requests of one connection that may wait for an earlier one; each costs some kilobytes.
_MOST_WAITING = 64
# A body may take longer than its time limit as long as it arrives at this rate.
_BYTES_A_SECOND = 8192
# How long the rest of a refused request is read and dropped. A connection that is closed while bytes arrive is reset,
# and the client would not receive the refusal.
_LINGER_SECONDS = 5.0


class _Stop(Exception):
    """Raised to end the parsing of a refused request."""


class HttpProtocol(HttpToolsProtocol):
    """One HTTP connection."""

    # A dictionary of all attributes would have a kilobyte more for each waiting poll.
    __slots__ = (
        "_begun_at",
        "_body_bytes",
        "_connection_limit",
        "_deadline",
        "_dropping",
        "_in_body",
        "_is_open",
        "_limits",
        "_outside",
        "_refusal",
        "_unread",
        "quiet_since",
    )

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: Any,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits: Connections = getattr(config, "connections", None) or Connections()
        self._connection_limit: ConnectionLimit = getattr(config, "connection_limit", None) or ConnectionLimit(None)
        self._refusal: Refusal | None = None
        # Ends an incomplete request, or a new connection without one.
        self._deadline: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._dropping = False
        self._is_open = self._in_body = False
        # When the deadline was set, and when the last request was answered.
        self._begun_at = self.quiet_since = 0.0
        # Parsed bytes outside of bodies.
        self._outside = 0
        self._body_bytes = 0

    # Events of the connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the time limit for the first request; refuse a connection beyond the limit."""
        super().connection_made(transport)
        self._begun_at = self.quiet_since = self.loop.time()
        self._wait(self._limits.head_seconds)
        match self._connection_limit.admit(self.connections, self.quiet_since):
            case Admission.PROBES:
                self.app = self._connection_limit.serve_probes_only(self.app)
            case Admission.NONE:
                self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timers."""
        super().connection_lost(exc)
        self._stop_waiting()
        self.resume_writing()

    def pause_writing(self) -> None:
        """Start the time limit for a client that reads nothing."""
        super().pause_writing()
        if self._unread is None:
            self._unread = self.loop.call_later(self._limits.unread_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Cancel that time limit."""
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection; abort it if the client has not read an answer, for which a close would wait."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        super().timeout_keep_alive_handler()

    def shutdown(self) -> None:
        """Close a connection with a refused request at once, any other one after its answer."""
        if self._dropping and not self.pipeline:
            self.transport.close()
        else:
            super().shutdown()

    def is_idle_since(self, moment: float) -> bool:
        """Return whether no head is complete since a moment of the loop's clock, and no request is in progress."""
        if self.pipeline or not (self.cycle is None or self.cycle.response_complete):
            return False
        return (self._begun_at if self._is_open else self.quiet_since) < moment and not self._in_body

    def data_received(self, data: bytes) -> None:
        """Parse bytes; refuse an invalid or too long request, and limit the time of an incomplete one."""
        if self._dropping:
            return
        self._unset_keepalive_if_required()
        self._outside += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # An upgrade to any other protocol is ignored; the request is answered over HTTP/1.1.
            if self._should_upgrade():
                self._become_socket()
                return
        except httptools.HttpParserError as error:
            # uvicorn raises in a callback only for an invalid request target.
            is_address = isinstance(error, httptools.HttpParserCallbackError)
            reason = f"not a valid HTTP request: {'its address cannot be parsed' if is_address else error}"
            self._refuse(self._refusal or Refusal(INVALID_REQUEST, reason=reason[:200]))
            return
        if self._outside > self._limits.head_bytes:
            self._refuse(Refusal(HEAD_TOO_LARGE, limit=self._limits.head_bytes))
        elif self._deadline is None and (self._is_open or self._is_forgotten()):
            self._begun_at = self.loop.time()
            self._wait(self._limits.body_seconds if self._in_body else self._limits.head_seconds)

    def _is_forgotten(self) -> bool:
        """Return whether no timer would end the connection, for example after empty lines."""
        return (self.cycle is None or self.cycle.response_complete) and self.timeout_keep_alive_task is None

    # Events of the parser

    def on_message_begin(self) -> None:
        """Start a request."""
        if len(self.pipeline) >= _MOST_WAITING:
            self._refusal = Refusal(INVALID_REQUEST, reason=f"more than {_MOST_WAITING} requests wait for an answer")
            raise _Stop
        self._is_open, self._in_body, self._body_bytes = True, False, 0
        HttpToolsProtocol.on_message_begin(self)

    def on_headers_complete(self) -> None:
        """Start the application, unless the head is too long."""
        limit = self._limits.head_bytes
        if self._outside > limit and len(self.url) + sum(len(n) + len(v) + 4 for n, v in self.headers) > limit:
            self._refusal = Refusal(HEAD_TOO_LARGE, limit=limit)
            raise _Stop
        HttpToolsProtocol.on_headers_complete(self)
        self._in_body = True
        if not self.parser.should_upgrade():
            # Trailers of a chunked body are not part of the head that the application reads.
            self.headers = []
        if self._deadline is not None:
            self._stop_waiting()

    def on_body(self, body: bytes) -> None:
        """Receive a part of a body."""
        self._outside = 0
        self._body_bytes += len(body)
        HttpToolsProtocol.on_body(self, body)

    def on_message_complete(self) -> None:
        """End a request."""
        self._is_open = self._in_body = False
        self._outside = 0
        if self._deadline is not None:
            self._stop_waiting()
        HttpToolsProtocol.on_message_complete(self)

    def on_response_complete(self) -> None:
        """Read and drop the rest of a body that was answered before it had arrived, for a limited time."""
        HttpToolsProtocol.on_response_complete(self)
        self.quiet_since = self.loop.time()
        if self._in_body and self.cycle.response_complete:
            self._wait(_LINGER_SECONDS, self.transport.abort)

    # Refusals

    def _wait(self, seconds: float, then: Callable[[], None] | None = None) -> None:
        self._stop_waiting()
        self._deadline = self.loop.call_later(seconds, then or self._too_slow)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        """Refuse a request that has not arrived within its time limit."""
        self._deadline = None
        if not self._is_open:
            self.transport.close()
            return
        left = 0.0
        if self._in_body:
            allowed = self._limits.body_seconds + self._body_bytes / _BYTES_A_SECOND
            left = self._begun_at + allowed - self.loop.time()
        # While reading is paused, the server itself delays the request.
        if left > 0 or self.flow.read_paused:
            self._wait(max(left, 1.0))
            return
        seconds = self._limits.body_seconds if self._in_body else self._limits.head_seconds
        self._refuse(Refusal(REQUEST_TIMEOUT, seconds=seconds))

    def _refuse(self, refusal: Refusal) -> None:
        """Refuse the request that is being read, after the answers to earlier requests; read no further request."""
        self._dropping = True
        cycle, is_queued = self.cycle, bool(self.pipeline) and self.pipeline[0][0] is self.cycle
        if not self._in_body and (cycle is None or cycle.response_complete):
            self._refuse_now(refusal)
        elif not self._in_body or is_queued:
            if self._in_body:
                self.pipeline.popleft()
            self._refuse_later(refusal)
        elif cycle.response_started:
            self.transport.abort()
        else:
            cycle.disconnected = True
            cycle.message_event.set()
            self._refuse_now(refusal)

    def _refuse_now(self, refusal: Refusal) -> None:
        status, headers, content = written(refusal, format_of(self._head()))
        lines = [b"%s: %s\r\n" % header for header in (*headers, (b"connection", b"close"))]
        self.transport.write(b"".join((STATUS_LINE[status], *lines, b"\r\n", content)))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()
        self._wait(_LINGER_SECONDS, self.transport.abort)

    def _refuse_later(self, refusal: Refusal) -> None:
        async def answer(scope: Any, receive: Any, send: Any) -> None:
            status, headers, content = written(refusal, format_of(scope["headers"]))
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": content})

        cycle = RequestResponseCycle(
            scope={"type": "http", "method": "GET", "headers": self._head()},  # type: ignore[typeddict-item]
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=False,
            on_response=self.on_response_complete,
        )
        self._is_open = self._in_body = False
        self.cycle = cycle
        self.pipeline.appendleft((cycle, answer))

    def _head(self) -> list[tuple[bytes, bytes]]:
        """Return the headers of the current request that have arrived."""
        return list(self.scope["headers"]) if self.scope else []

    def _become_socket(self) -> None:
        self._stop_waiting()
        if self.app is not self.config.loaded_app:
            self._refuse_now(self._connection_limit.refusal())
            return
        super().handle_websocket_upgrade()
