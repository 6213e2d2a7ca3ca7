"""The checks on every HTTP request: headers, site, caller, and memory for the body."""

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
    """The checks that all HTTP applications of a server share."""

    def __init__(self, settings: Settings) -> None:
        any_host = bool(settings.clients) and not settings.allowed_hosts
        self._sites = Sites(settings.allowed_hosts, any_host=any_host)
        self._callers = Callers(settings.clients)
        self._logins = Logins()
        self.bodies = Bodies(settings.limits)

    def enter(self, pairs: Pairs) -> dict[bytes, bytes]:
        """Return the headers of a request; raise Refusal if they are ambiguous or from another site."""
        headers = read_headers(pairs)
        self._sites.check(headers)
        return headers

    def caller(self, authorization: str | None) -> str:
        """Return the id of the caller; raise Refusal (`unauthenticated`)."""
        return self._callers.identify(authorization)

    async def delay(self, refusal: Refusal, scope: Mapping[str, Any]) -> None:
        """Delay the answer if the refusal is for wrong credentials; return at once otherwise."""
        if isinstance(refusal, WrongCredentials):
            await self._logins.failed(scope.get("client"), refusal.message)
