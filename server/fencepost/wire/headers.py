"""Reads the headers of a request: refuses repeated ones, and finds the formats of body and answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from fencepost.errors import INVALID_REQUEST, UNSUPPORTED_MEDIA_TYPE, Refusal
from fencepost.wire.formats import JSON, Format, answer_format, request_format

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


def format_of(pairs: Pairs) -> Format:
    """Return the answer's format for a request that is refused by its headers; JSON if in doubt."""
    headers = dict(pairs)
    return _formats(headers.get(b"content-type", b""), headers.get(b"accept", b""))[1]


def formats(headers: Mapping[bytes, bytes]) -> tuple[Format, Format]:
    """Return the formats of body and answer; raise Refusal (`unsupported-media-type`, `not-acceptable`)."""
    content_type, accept = headers.get(b"content-type", b""), headers.get(b"accept", b"")
    of_body, of_answer, is_known = _formats(content_type, accept)
    if not is_known:
        of_answer = answer_format(accept.decode("latin-1"), request_format(content_type.decode("latin-1")))
    return of_body, of_answer


@lru_cache(maxsize=256)
def _formats(content_type: bytes, accept: bytes) -> tuple[Format, Format, bool]:
    of_body, is_known = JSON, True
    try:
        of_body = request_format(content_type.decode("latin-1"))
    except Refusal:
        is_known = False
    try:
        return of_body, answer_format(accept.decode("latin-1"), of_body), is_known
    except Refusal:
        return of_body, JSON, False
