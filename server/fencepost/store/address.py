"""The address of a Postgres as an operator gives it, and messages about it without its password.

libpq's messages about an address that it cannot parse quote the part with the fault, and in a mistyped address that
part is often the password or a piece of it.
"""

from __future__ import annotations

import re

import psycopg
from psycopg.conninfo import conninfo_to_dict

from fencepost.errors import StartRefused

_SCHEME = re.compile(r"postgres(?:ql)?://")
_SECRETS = ("password", "sslpassword")


def check_address(conninfo: str, option: str) -> None:
    """Raise StartRefused unless this is a valid address; `option` is the setting that gave it."""
    if not conninfo.strip():
        raise StartRefused(f"{option} is empty; give the address of a Postgres, or leave it out")
    if not _is_readable(conninfo):
        raise StartRefused(
            f"{option} is not the address of a Postgres: it must look like postgresql://user@db.example:5432/database,"
            " and in a name or a password each of : / ? # @ % must be percent-encoded (%40 for @)"
        )


def reason(error: psycopg.Error, conninfo: str) -> str:
    """Return a message of Postgres or libpq as one line, without the secrets of `conninfo`."""
    text = " ".join(str(error).split()) or type(error).__name__
    parts = conninfo_to_dict(conninfo)
    for secret in filter(None, (parts.get(name) for name in _SECRETS)):
        text = text.replace(str(secret), "***")
    return text


def _is_readable(conninfo: str) -> bool:
    try:
        parts = conninfo_to_dict(conninfo)
    except (psycopg.Error, ValueError):
        return False
    # A colon, a slash or an @ in a password ends it too early: libpq takes the rest for the port or the host.
    if not re.fullmatch(r"[0-9,]*", str(parts.get("port") or "")) or "@" in str(parts.get("host") or ""):
        return False
    scheme = _SCHEME.match(conninfo)
    if scheme is None:
        return True
    user, at, rest = conninfo[scheme.end() :].partition("?")[0].partition("@")
    return "@" not in rest and not (at and "/" in user)
