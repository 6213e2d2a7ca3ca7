"""What comes with a request about devices, and what goes back."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import msgspec
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

from fencepost.errors import INVALID_REQUEST, Refusal
from fencepost.notation import json
from fencepost.notation.text import BadText
from fencepost.settings import Limits
from fencepost.wire.bodies import HangUp, as_json, read_body
from fencepost.wire.formats import request_format


async def body_of(request: Request, limits: Limits) -> bytes:
    """Return the body as JSON text that can be stored, `{}` for an empty one; raise Refusal."""
    refuse_strangers(request.headers)
    length = request.headers.get("content-length", "").encode("latin-1")
    try:
        body = await read_body(length, request.receive, limit=limits.body_bytes)
    except HangUp:
        raise Refusal(INVALID_REQUEST, reason="the body did not arrive") from None
    if not body.strip():
        return b"{}"
    text = as_json(body, request_format(request.headers.get("content-type", "")), max_depth=limits.depth)
    try:
        json.check(text, max_depth=limits.depth)
    except BadText as bad:
        raise Refusal(INVALID_REQUEST, at=bad.path, reason=bad.message) from None
    return text


def refuse_strangers(headers: Headers) -> None:
    """Raise Refusal for what a browser sends in the name of another site's page: without clients all may do all."""
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != headers.get("host"):
        raise Refusal(INVALID_REQUEST, reason=f"a page of {origin[:100]!r} is of another site")


def shown(value: Any, status: int = 200) -> Response:
    """Return a resource."""
    return Response(msgspec.json.encode(value), status, media_type="application/json")
