"""The checks on every HTTP request: headers, site, caller, and memory for the body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fencepost.errors import Refusal
from fencepost.http.authentication import Callers, FailedLogins, WrongCredentials
from fencepost.http.bodies import Bodies
from fencepost.http.headers import Pairs, read_headers
from fencepost.http.same_origin import SameOriginCheck
from fencepost.settings import Settings


class Admission:
    """The checks that all HTTP applications of a server share."""

    def __init__(self, settings: Settings) -> None:
        any_host = bool(settings.clients) and not settings.allowed_hosts
        self._same_origin = SameOriginCheck(settings.allowed_hosts, any_host=any_host)
        self._callers = Callers(settings.clients)
        self._failed_logins = FailedLogins()
        self.bodies = Bodies(settings.limits)

    def enter(self, pairs: Pairs) -> dict[bytes, bytes]:
        """Return the headers of a request; raise Refusal if they are ambiguous or from another site."""
        headers = read_headers(pairs)
        self._same_origin.check(headers)
        return headers

    def caller(self, authorization: str | None) -> str:
        """Return the id of the caller; raise Refusal (`unauthenticated`)."""
        return self._callers.identify(authorization)

    async def delay(self, refusal: Refusal, scope: Mapping[str, Any]) -> None:
        """Delay the answer if the refusal is for wrong credentials; return at once otherwise."""
        if isinstance(refusal, WrongCredentials):
            await self._failed_logins.record(scope.get("client"), refusal.message)
