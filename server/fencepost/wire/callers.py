"""Identifies the caller: a client by id and secret (Basic), or by its secret alone (Bearer)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping

from fencepost.errors import UNAUTHENTICATED, Refusal

# The caller in logs if no client is configured; the server then listens on loopback only.
LOCAL = "local"


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


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


def _refused(reason: str) -> Refusal:
    return Refusal(UNAUTHENTICATED, reason=reason)
