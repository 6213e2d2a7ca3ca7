"""Checks every request outside of `/rpc`, HTTP and WebSocket, for known and unknown paths, before it is routed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.applications import Starlette

from fencepost.errors import Refusal
from fencepost.http.admission import Admission
from fencepost.http.bodies import Receive, Reservation
from fencepost.http.formats import format_of
from fencepost.http.refusals import written

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]

# Load balancers request these by address, not by a name of the server.
_PROBES = ("/healthz", "/readyz")
_RESERVATION = "fencepost.reservation"


class Guard:
    """ASGI middleware that checks each request before the application gets it."""

    def __init__(self, application: Starlette, admission: Admission) -> None:
        self.application = application
        self._admission = admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["path"] in _PROBES:
            await self.application(scope, receive, send)
            return
        try:
            headers = self._admission.enter(scope["headers"])
        except Refusal as refusal:
            await refuse(scope, send, refusal)
            return
        if len(headers) != len(scope["headers"]):
            scope["headers"] = list(headers.items())
        reservation = scope[_RESERVATION] = self._admission.bodies.reserve()
        try:
            await self.application(scope, receive, send)
        finally:
            reservation.release()


async def refuse(scope: Scope, send: Send, refusal: Refusal) -> None:
    """Answer a request or a WebSocket handshake with a refusal."""
    status, headers, content = written(refusal, format_of(scope["headers"]))
    answer = "websocket.http.response" if scope["type"] == "websocket" else "http.response"
    await send({"type": f"{answer}.start", "status": status, "headers": headers})
    await send({"type": f"{answer}.body", "body": content})


def reservation_of(scope: Scope) -> Reservation:
    """Return the memory reservation for the body of a request that passed the guard."""
    reservation: Reservation = scope[_RESERVATION]
    return reservation
