"""Checks the site of a request: the host name in it, and the origin of the web page that sent it.

Any web page can make a browser send requests to this machine, also through a host name of its own (DNS rebinding). So
`Host` must be a name of this server, and `Origin` and `Sec-Fetch-Site`, which browsers send, must say that the page is
the server's own. Programs send neither of these two.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from urllib.parse import urlsplit

from fencepost.errors import INVALID_REQUEST, OTHER_SITE, Kind, Refusal

_HOST = re.compile(r"(?P<name>[a-z0-9._~!$&'()*+,;=%-]{0,253}|\[[0-9a-f:.]{2,45}\])(:(?P<port>[0-9]{0,5}))?")
_PORTS = {"http": "80", "https": "443"}
# "none" is a request without a page, such as a typed address.
_OWN_SITES = ("same-origin", "none")
_LONGEST = 300
_MOST_FOUND = 100


class SameOriginCheck:
    """The names of this server."""

    def __init__(self, allowed: Sequence[str], *, any_host: bool) -> None:
        """Take the names besides those of loopback; with `any_host`, every name is accepted."""
        self._allowed = frozenset(allowed)
        self._any_host = any_host
        self._found: set[bytes | None] = set()
        self._judge = lru_cache(maxsize=256)(self._judged)

    def check(self, headers: Mapping[bytes, bytes]) -> None:
        """Raise Refusal for a request that a page of another site may have sent."""
        host = headers.get(b"host")
        # Fast path: a request of a program, with a host name that passed before.
        if host in self._found and b"origin" not in headers and b"sec-fetch-site" not in headers:
            return
        origin, site = headers.get(b"origin"), headers.get(b"sec-fetch-site")
        if len(host or b"") > _LONGEST or len(origin or b"") > _LONGEST or len(site or b"") > _LONGEST:
            raise Refusal(INVALID_REQUEST, reason="the header 'host', 'origin' or 'sec-fetch-site' is too long")
        if (refused := self._judge(host, origin, site)) is not None:
            kind, reason = refused
            raise Refusal(kind, reason=reason)
        if len(self._found) < _MOST_FOUND:
            self._found.add(host)

    def _judged(self, host: bytes | None, origin: bytes | None, site: bytes | None) -> tuple[Kind, str] | None:
        name = "" if host is None else host.decode("latin-1").strip().lower()
        if (parts := _HOST.fullmatch(name)) is None or not _is_sound(parts["name"]):
            return INVALID_REQUEST, f"the header 'host' is {name[:100]!r}, not a name with or without a port"
        if not (self._any_host or self._is_own(name, parts["name"])):
            return OTHER_SITE, (
                f"this server is not reached as {name[:100]!r}; start it with --allowed-host {parts['name'] or 'NAME'} "
                "if that is its name"
            )
        if origin is not None and not self._is_own_page(origin.decode("latin-1").strip().lower(), name):
            page = origin.decode("latin-1")[:100]
            return OTHER_SITE, (
                f"a page of {page!r} may not call this server; start it with --allowed-host if the page is its own"
            )
        if site is not None and (text := site.decode("latin-1").strip().lower()) not in _OWN_SITES:
            return OTHER_SITE, f"a page of another site may not call this server (sec-fetch-site: {text[:40]})"
        return None

    def _is_own(self, host: str, name: str) -> bool:
        return host in self._allowed or name in self._allowed or _is_loopback(name)

    def _is_own_page(self, origin: str, host: str) -> bool:
        try:
            parts = urlsplit(origin)
            port = str(parts.port or _PORTS.get(parts.scheme, ""))
        except ValueError:
            return False
        if parts.scheme not in _PORTS or not parts.hostname or origin != f"{parts.scheme}://{parts.netloc}":
            return False
        name = parts.netloc.rpartition("@")[2]
        bare = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        own_name, _, own_port = host.rpartition(":") if re.search(r":[0-9]*$", host) else (host, "", "")
        if bare == own_name and port == (own_port or _PORTS[parts.scheme]):
            return True
        return name in self._allowed or bare in self._allowed


def _is_sound(name: str) -> bool:
    """Return whether a name in brackets is an IPv6 address; `urlsplit` would raise for any other."""
    if name.startswith("["):
        try:
            ipaddress.IPv6Address(name[1:-1])
        except ValueError:
            return False
    return True


def _is_loopback(name: str) -> bool:
    if name in ("localhost", "localhost."):
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False
