"""The way in of every request over HTTP: its headers, its site, its caller, and the memory of its body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fencepost.errors import Refusal
from fencepost.settings import Settings
from fencepost.wire.bodies import Bodies
from fencepost.wire.callers import Callers, WrongCredentials
from fencepost.wire.headers import Pairs, read_headers
from fencepost.wire.logins import Logins
from fencepost.wire.sites import Sites


class Door:
    """The checks that all doors of a server share."""

    def __init__(self, settings: Settings) -> None:
        any_host = bool(settings.clients) and not settings.allowed_hosts
        self._sites = Sites(settings.allowed_hosts, any_host=any_host)
        self._callers = Callers(settings.clients)
        self._logins = Logins()
        self.bodies = Bodies(settings.limits)

    def enter(self, pairs: Pairs) -> dict[bytes, bytes]:
        """Return the headers of a request; raise Refusal for one that is ambiguous, or of another site."""
        headers = read_headers(pairs)
        self._sites.check(headers)
        return headers

    def caller(self, authorization: str | None) -> str:
        """Return who calls; raise Refusal (`unauthenticated`)."""
        return self._callers.identify(authorization)

    async def delay(self, refusal: Refusal, scope: Mapping[str, Any]) -> None:
        """Let a request wait that is refused for wrong credentials; any other refusal is not delayed."""
        if isinstance(refusal, WrongCredentials):
            await self._logins.failed(scope.get("client"), refusal.message)
