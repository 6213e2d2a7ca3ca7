"""Identifies the caller: a client by id and secret (Basic), or by its secret alone (Bearer).

Wrong credentials are throttled: they delay their address, and are logged at most once per interval.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import ipaddress
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from fencepost.errors import UNAUTHENTICATED, Refusal
from fencepost.telemetry import Event, emit

# The caller in logs if no client is configured; the server then listens on loopback only.
LOCAL = "local"
# Addresses kept in memory; the one that failed longest ago is dropped first.
_MAX_ADDRESSES = 1024
# Failures without a delay; after these each is delayed.
_FREE_FAILURES = 5
_DELAY_SECONDS = 0.5
_MAX_DELAY_SECONDS = 5.0
# Intervals between log lines, for one address and for all together.
_LOG_INTERVAL_SECONDS = 60.0
_LOG_ANY_INTERVAL_SECONDS = 1.0


class WrongCredentials(Refusal):
    """The credentials belong to no client."""

    def __init__(self, reason: str) -> None:
        super().__init__(UNAUTHENTICATED, reason=reason)


class Callers:
    """The configured clients; if there are none, every caller is `local`."""

    def __init__(self, clients: Mapping[str, str]) -> None:
        """Take secrets by client id."""
        self._digests = {id: _digest(secret) for id, secret in clients.items()}
        self._by_digest = {digest: id for id, digest in self._digests.items()}

    def identify(self, authorization: str | None) -> str:
        """Return the client id behind an Authorization header; raise Refusal (`unauthenticated`)."""
        if not self._digests:
            return LOCAL
        scheme, _, credentials = (authorization or "").partition(" ")
        match scheme.lower():
            case "basic":
                return self._basic(credentials)
            case "bearer":
                return self._bearer(credentials)
            case "":
                raise _refused("this server wants Basic or Bearer credentials")
            case _:
                raise _refused(f"cannot use {scheme[:20]!r} credentials; send Basic or Bearer")

    def _basic(self, credentials: str) -> str:
        try:
            id, _, secret = base64.b64decode(credentials.strip(), validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError, ValueError):
            raise WrongCredentials("the Basic credentials are not base64 of id:secret") from None
        # An unknown id takes the same comparison, so that timing does not reveal which ids exist.
        if not hmac.compare_digest(self._digests.get(id, b"-" * 32), _digest(secret)):
            raise WrongCredentials("unknown client or wrong secret")
        return id

    def _bearer(self, token: str) -> str:
        # The time of a look-up by digest reveals nothing about a secret; the comparison takes constant time.
        digest = _digest(token.strip())
        id = self._by_digest.get(digest)
        if not hmac.compare_digest(self._digests.get(id or "", b"-" * 32), digest) or id is None:
            raise WrongCredentials("unknown token")
        return id


@dataclass(slots=True)
class _Address:
    """The failures of an address: the end of its last delay, and the number not yet logged."""

    delayed_until: float = 0.0
    logged_at: float = -_LOG_INTERVAL_SECONDS
    unlogged: int = 0


class FailedLogins:
    """The recent failures, by address."""

    def __init__(self) -> None:
        self._addresses: OrderedDict[str, _Address] = OrderedDict()
        self._logged_at = -_LOG_ANY_INTERVAL_SECONDS

    async def record(self, client: tuple[str, int] | None, reason: str) -> None:
        """Record a failure, and wait until the delay of its address has passed; other addresses do not wait."""
        now = asyncio.get_running_loop().time()
        address = _network("" if client is None else client[0])
        entry = self._addresses.setdefault(address, _Address())
        self._addresses.move_to_end(address)
        if len(self._addresses) > _MAX_ADDRESSES:
            self._addresses.popitem(last=False)
        entry.unlogged += 1
        self._log(address, entry, reason, now)
        entry.delayed_until = max(entry.delayed_until, now - _FREE_FAILURES * _DELAY_SECONDS) + _DELAY_SECONDS
        entry.delayed_until = min(entry.delayed_until, now + _MAX_DELAY_SECONDS)
        await asyncio.sleep(max(0.0, entry.delayed_until - now))

    def _log(self, address: str, entry: _Address, reason: str, now: float) -> None:
        if now < entry.logged_at + _LOG_INTERVAL_SECONDS or now < self._logged_at + _LOG_ANY_INTERVAL_SECONDS:
            return
        emit(Event.LOGIN_FAILED, count=entry.unlogged, address=address, reason=reason)
        entry.logged_at = self._logged_at = now
        entry.unlogged = 0


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


def _refused(reason: str) -> Refusal:
    return Refusal(UNAUTHENTICATED, reason=reason)


def _network(address: str) -> str:
    """Return the network of an address, which a client cannot change at will."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address or "a local socket"
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is None:
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return address
