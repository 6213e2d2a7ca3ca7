"""HTTP connections on which a plain `POST /rpc` is answered without an HTTP parser and without ASGI.

A request that arrives whole, on a connection without another request in progress, goes straight to the endpoint, and
its answer is one write. A lone call runs with those of other connections, and the endpoint calls back with its answer.
Everything else is handed to `HttpProtocol`, byte by byte as it arrived: other heads, requests in several parts, several
requests in one read, large bodies, calls that wait, and requests that are refused before their calls are read. So this
class has no refusals and no limits of its own.
"""

from __future__ import annotations

import asyncio
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from fencepost.cli.connections import HttpProtocol
from fencepost.http.plain_head import PlainHead, read_plain_head
from fencepost.rpc.endpoint import Endpoint, PlainCaller, Response, may_wait

# Longer heads are left to the HTTP parser. A connection keeps its last plain head.
_HEAD_BYTES = 4096
# Many clients send the head and the body in two packets. The first is held for this time until the second arrives.
_HOLD_SECONDS = 0.05


class LeanProtocol(HttpProtocol):
    """One HTTP connection."""

    __slots__ = (
        "_caller",
        "_endpoint",
        "_held",
        "_hold",
        "_in_call",
        "_is_lean",
        "_is_stopping",
        "_most_head",
        "_plain_head",
        "_queued",
    )

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: Any,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._endpoint: Endpoint = config.rpc  # type: ignore[attr-defined]
        self._most_head = min(self._limits.head_bytes, _HEAD_BYTES)
        self._is_lean = False
        # The last plain head, and who sent it.
        self._plain_head: PlainHead | None = None
        self._caller: PlainCaller | None = None
        # The beginning of a plain request that waits for the rest.
        self._held = b""
        self._hold: asyncio.TimerHandle | None = None
        # Whether a plain call is in progress, the bytes that arrived meanwhile, and whether the server stops.
        self._in_call = False
        self._queued = b""
        self._is_stopping = False

    # Events of the connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Decide whether plain calls may be answered here: not beyond the limit of connections."""
        super().connection_made(transport)
        # Three features of uvicorn that our settings do not use.
        is_usual = not (self.config.access_log or self.limit_concurrency or self.server_state.default_headers)
        self._is_lean = is_usual and self.app is self.config.loaded_app

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget what was not read."""
        super().connection_lost(exc)
        self._take_held()
        self._queued = b""

    def data_received(self, data: bytes) -> None:
        """Answer a whole plain request; hand anything else to the HTTP parser."""
        if self._in_call:
            self._queued += data
            self.flow.pause_reading()
            return
        is_second = bool(self._held)
        if is_second:
            data = self._take_held() + data
        elif not self._is_lean or not self._is_quiet():
            super().data_received(data)
            return
        if may_wait(data):
            # Nothing is kept of a head while the call waits.
            self._plain_head = self._caller = None
            super().data_received(data)
            return
        body = self._body_in(data)
        if body is None:
            super().data_received(data)
        elif body[1] == len(data):
            self._begin(data[body[0] :])
        elif body[1] > len(data) and len(data) <= self._most_head and not is_second:
            self._held = data
            self._hold = self.loop.call_later(_HOLD_SECONDS, self._hand_over)
            self._unset_keepalive_if_required()
        else:
            super().data_received(data)

    def shutdown(self) -> None:
        """Close the connection after the request in progress."""
        if self._in_call:
            self._is_stopping = True
            return
        self._hand_over()
        super().shutdown()

    def is_idle_since(self, moment: float) -> bool:
        """Return whether no head is complete since a moment of the loop's clock, and no request is in progress."""
        return not self._in_call and not self._held and super().is_idle_since(moment)

    # Requests

    def _is_quiet(self) -> bool:
        """Return whether the parser is between two requests, all are answered, and the client reads the answers."""
        return not (
            self._is_open
            or self._dropping
            or self.flow.write_paused
            or (self.cycle is not None and not self.cycle.response_complete)
        )

    def _body_in(self, data: bytes) -> tuple[int, int] | None:
        """Return where the body of a plain request begins and ends; None for any other request."""
        body = None if self._plain_head is None else self._plain_head.body_in(data)
        if body is None:
            self._plain_head = read_plain_head(data, self._most_head)
            if self._plain_head is None:
                return None
            self._caller = self._endpoint.admit(self._plain_head.headers, self.scheme or "http")
            body = self._plain_head.body_in(data)
        if body is None or self._caller is None or body[1] - body[0] > self._endpoint.most_plain:
            return None
        return body

    def _take_held(self) -> bytes:
        if self._hold is not None:
            self._hold.cancel()
            self._hold = None
        held, self._held = self._held, b""
        return held

    def _hand_over(self) -> None:
        """Hand a held request to the HTTP parser."""
        if self._held:
            super().data_received(self._take_held())

    def _begin(self, body: bytes) -> None:
        assert self._caller is not None
        self._unset_keepalive_if_required()
        self._stop_waiting()
        self._outside = 0
        self._in_call = True
        task = self._endpoint.enter(self._caller, body, self._answer)
        if task is None:
            task = self.loop.create_task(self._call(self._caller, body))
        # A stopping server waits for these tasks, and cancels them when the time is up.
        if task not in self.tasks:
            task.add_done_callback(self.tasks.discard)
            self.tasks.add(task)

    async def _call(self, caller: PlainCaller, body: bytes) -> None:
        self._answer(await self._endpoint.answer(caller, body))

    def _answer(self, response: Response) -> None:
        """Write an answer, and go on with the bytes that arrived before it."""
        self._in_call = False
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        queued, self._queued = self._queued, b""
        is_last = self._is_stopping and not queued
        self.transport.write(_text(response, is_last=is_last))
        if is_last:
            self.transport.close()
            return
        self.quiet_since = self.loop.time()
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)
        if queued:
            self.flow.resume_reading()
            self.data_received(queued)
            if self._is_stopping:
                self.shutdown()


def _text(response: Response, *, is_last: bool) -> bytes:
    """Return the bytes of a response, which are those that uvicorn would write."""
    headers = b"".join([b"%b: %b\r\n" % header for header in response.headers])
    close = b"connection: close\r\n" if is_last else b""
    return b"".join((STATUS_LINE[response.status], headers, close, b"\r\n", response.content))
