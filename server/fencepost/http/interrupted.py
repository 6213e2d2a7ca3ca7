"""Answers requests that are cancelled before their answer, because the server stops or because of an internal cancel.

The HTTP server would answer 500 in plain text and log a bug. Here they get 503 `unavailable` in the caller's format,
because the caller may repeat them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fencepost.errors import UNAVAILABLE, Refusal
from fencepost.http.bodies import Receive
from fencepost.http.formats import format_of
from fencepost.http.refusals import written

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_GOING_AWAY = 1012


def interrupted() -> Refusal:
    """Return the refusal for a cancelled request."""
    reason = "the server stops, or stopped what this call waited for; repeat it, since it may have been done"
    return Refusal(UNAVAILABLE, retry_after=1, reason=reason)


class InterruptedResponses:
    """ASGI middleware: answers if the application is cancelled before its answer."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        state = ""

        async def noted(message: Message) -> None:
            nonlocal state
            state = message["type"]
            await send(message)

        try:
            await self._application(scope, receive, noted)
        except asyncio.CancelledError:
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": _GOING_AWAY})
            elif not state:
                await _refuse(scope, send)
            else:
                # The response has begun, so it cannot be replaced.
                await send({"type": "http.response.body", "body": b""})


async def _refuse(scope: Scope, send: Send) -> None:
    status, headers, content = written(interrupted(), format_of(scope["headers"]))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
