"""Refusals as HTTP responses: status, headers and body."""

from __future__ import annotations

import msgspec

from fencepost.errors import Refusal
from fencepost.http.formats import Format
from fencepost.resources.error_body import error_body

Headers = list[tuple[bytes, bytes]]


def written(refusal: Refusal, format: Format) -> tuple[int, Headers, bytes]:
    """Return the response in a format."""
    content = msgspec.json.encode({"error": error_body(refusal)})
    if format.from_json is not None:
        content = format.from_json(content)
    headers = [(b"content-type", format.media_type.encode()), (b"content-length", b"%d" % len(content))]
    return refusal.kind.status, [*headers, *headers_of(refusal)], content


def headers_of(refusal: Refusal) -> Headers:
    """Return the headers of a refusal, such as `Retry-After`."""
    headers: Headers = []
    if refusal.retry_after is not None:
        headers.append((b"retry-after", b"%d" % refusal.retry_after))
    if refusal.allow is not None:
        headers.append((b"allow", refusal.allow.encode()))
    if refusal.kind.status == 401:
        headers.append((b"www-authenticate", b'Basic realm="fencepost", charset="UTF-8"'))
    return headers
