"""Reads the headers of a request: joins repeated ones, and refuses those that may occur once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from fencepost.errors import INVALID_REQUEST, UNSUPPORTED_MEDIA_TYPE, Refusal

Pairs = Sequence[tuple[bytes, bytes]]

# If one of these is repeated, a proxy and this server might use different values.
_ONCE = frozenset(
    (
        b"authorization",
        b"host",
        b"origin",
        b"content-type",
        b"content-length",
        b"content-encoding",
        b"transfer-encoding",
        b"sec-fetch-site",
        b"last-event-id",
    )
)
_PLAIN = (b"", b"identity")
_HOST = re.compile(r"[A-Za-z0-9.\-:\[\]]{1,255}")


def read_headers(pairs: Pairs) -> dict[bytes, bytes]:
    """Return headers by name; raise Refusal for a repeated header, and for a compressed body."""
    headers = dict(pairs)
    if len(headers) != len(pairs):
        headers = _joined(pairs)
    if b"content-encoding" in headers and (encoding := headers[b"content-encoding"]).strip().lower() not in _PLAIN:
        name = f"content-encoding: {encoding.decode('latin-1')[:100]}"
        raise Refusal(UNSUPPORTED_MEDIA_TYPE, content_type=name, hint="send the body as it is, not compressed")
    return headers


def _joined(pairs: Pairs) -> dict[bytes, bytes]:
    """Join repeated headers with commas, as HTTP defines for headers that are lists."""
    headers: dict[bytes, bytes] = {}
    for name, value in pairs:
        if name not in headers:
            headers[name] = value
        elif name in _ONCE:
            raise Refusal(INVALID_REQUEST, reason=f"the header {name.decode('latin-1')!r} occurs more than once")
        else:
            headers[name] += b", " + value
    return headers


def origin_of(scheme: str, headers: Mapping[bytes, bytes]) -> str:
    """Return the origin under which the client reached this server, from its headers or those of a proxy.

    `scheme` is that of the connection.
    """
    host = headers.get(b"host", b"").decode("latin-1")
    scheme = headers.get(b"x-forwarded-proto", b"").decode("latin-1") or scheme
    return f"{scheme}://{host}" if _HOST.fullmatch(host) and scheme in ("http", "https") else ""
