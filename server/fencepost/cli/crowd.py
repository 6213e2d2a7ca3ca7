"""How many connections a server takes, so that it never runs out of descriptors.

Up to the limit each is served. Beyond it idle ones are closed, a few more connections are served probes and nothing
else, and any further one is closed at once.
"""

from __future__ import annotations

import resource
from collections.abc import Awaitable, Callable, Collection
from enum import Enum
from typing import Any

from fencepost.errors import UNAVAILABLE, Refusal
from fencepost.wire.headers import format_of
from fencepost.wire.refusals import written

PROBES = ("/healthz", "/readyz")
# Connections beyond the limit that may ask for a probe.
_FOR_PROBES = 32
# Descriptors that the server needs itself: for the database, files, the loop and other ports.
_OWN = 96
_FEWEST = 16
_RETRY_SECONDS = 2
# A connection may be silent for so long before another one can take its place.
_IDLE_SECONDS = 1.0
# Idle connections are looked for at most so often, since it takes a look at each.
_LOOK_SECONDS = 0.5

Application = Callable[[Any, Any, Any], Awaitable[None]]


class Admission(Enum):
    """The requests that a connection may make: all, those of probes, or none."""

    ALL = "all"
    PROBES = "probes"
    NONE = "none"


class Crowd:
    """The bound on the connections of one server."""

    def __init__(self, most: int | None) -> None:
        """Take at most `most`; None leaves it to the limit of descriptors of the process."""
        allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        fitting = None if allowed == resource.RLIM_INFINITY else max(_FEWEST, allowed - _FOR_PROBES - _OWN)
        self.most = min((number for number in (most, fitting) if number is not None), default=None)
        self._looked_at = 0.0

    def admit(self, connections: Collection[Any], now: float) -> Admission:
        """Return what a new connection, which is one of `connections` already, is served."""
        if self.most is None or len(connections) <= self.most:
            return Admission.ALL
        if now >= self._looked_at + _LOOK_SECONDS:
            self._looked_at = now
            if self._make_room(connections, now):
                return Admission.ALL
        return Admission.PROBES if len(connections) <= self.most + _FOR_PROBES else Admission.NONE

    def instead_of(self, app: Application) -> Application:
        """Return what serves a connection beyond the limit: probes, and a refusal for anything else."""

        async def crowded(scope: Any, receive: Any, send: Any) -> None:
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

        return crowded

    def refusal(self) -> Refusal:
        """Return what a client beyond the limit is told."""
        reason = f"there are more than {self.most} connections; try again"
        return Refusal(UNAVAILABLE, reason=reason, retry_after=_RETRY_SECONDS)

    def _make_room(self, connections: Collection[Any], now: float) -> int:
        """Close the connections that have been idle for longest, a tenth at a time; return how many."""
        moment = now - _IDLE_SECONDS
        idle = [one for one in connections if (ask := getattr(one, "is_idle_since", None)) is not None and ask(moment)]
        idle.sort(key=lambda one: one.quiet_since)
        closed = idle[: max(_FOR_PROBES, (self.most or 0) // 10)]
        for one in closed:
            one.transport.close()
        return len(closed)
