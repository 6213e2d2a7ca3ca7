"""The limit on a server's connections, which keeps it from running out of file descriptors.

Up to the limit each connection is served. Beyond it the server closes idle connections, answers only health checks on
a few more, and closes any further one at once.
"""

from __future__ import annotations

import resource
from collections.abc import Awaitable, Callable, Collection
from enum import Enum
from typing import Any

from fencepost.errors import UNAVAILABLE, Refusal
from fencepost.http.formats import format_of
from fencepost.http.refusals import written

PROBES = ("/healthz", "/readyz")
# Connections beyond the limit that are served health checks.
_FOR_PROBES = 32
# Descriptors that the server needs for the database, files, the event loop and other ports.
_OWN = 96
_FEWEST = 16
_RETRY_SECONDS = 2
# A connection that is idle for so long may be closed in favour of another.
_IDLE_SECONDS = 1.0
# Least time between two searches for idle connections, which check every connection.
_LOOK_SECONDS = 0.5

Application = Callable[[Any, Any, Any], Awaitable[None]]


class Admission(Enum):
    """The requests that a connection may make: all, health checks, or none."""

    ALL = "all"
    PROBES = "probes"
    NONE = "none"


class ConnectionLimit:
    """The limit on the connections of one server process."""

    def __init__(self, most: int | None) -> None:
        """Allow at most `most` connections; with None as many as the process's limit of descriptors allows."""
        allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        fitting = None if allowed == resource.RLIM_INFINITY else max(_FEWEST, allowed - _FOR_PROBES - _OWN)
        self.most = min((number for number in (most, fitting) if number is not None), default=None)
        self._looked_at = 0.0

    def admit(self, connections: Collection[Any], now: float) -> Admission:
        """Return the requests that a new connection may make; `connections` already contains it."""
        if self.most is None or len(connections) <= self.most:
            return Admission.ALL
        if now >= self._looked_at + _LOOK_SECONDS:
            self._looked_at = now
            if self._make_room(connections, now):
                return Admission.ALL
        return Admission.PROBES if len(connections) <= self.most + _FOR_PROBES else Admission.NONE

    def serve_probes_only(self, app: Application) -> Application:
        """Return an application for connections beyond the limit: it serves health checks and refuses the rest."""

        async def probes_only(scope: Any, receive: Any, send: Any) -> None:
            async def closing(message: Any) -> None:
                if message["type"] == "http.response.start":
                    message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
                await send(message)

            if scope["path"] in PROBES:
                await app(scope, receive, closing)
                return
            status, headers, content = written(self.refusal(), format_of(scope["headers"]))
            await closing({"type": "http.response.start", "status": status, "headers": headers})
            await closing({"type": "http.response.body", "body": content})

        return probes_only

    def refusal(self) -> Refusal:
        """Return the refusal for a client beyond the limit."""
        reason = f"there are more than {self.most} connections; try again"
        return Refusal(UNAVAILABLE, reason=reason, retry_after=_RETRY_SECONDS)

    def _make_room(self, connections: Collection[Any], now: float) -> int:
        """Close the connections that have been idle longest, a tenth at a time; return their number."""
        moment = now - _IDLE_SECONDS
        idle = [one for one in connections if (ask := getattr(one, "is_idle_since", None)) is not None and ask(moment)]
        idle.sort(key=lambda one: one.quiet_since)
        closed = idle[: max(_FOR_PROBES, (self.most or 0) // 10)]
        for one in closed:
            one.transport.close()
        return len(closed)
