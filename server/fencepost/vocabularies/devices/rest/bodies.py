"""Request and response bodies of the device routes."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from fencepost.errors import INVALID_REQUEST, Refusal
from fencepost.http.bodies import HangUp, as_json, read_body
from fencepost.http.formats import request_format
from fencepost.http.guard import reservation_of
from fencepost.settings import Limits


async def read_json_body(request: Request, limits: Limits) -> bytes:
    """Return the body as JSON text that can be stored, `{}` for an empty one.

    Raises Refusal: `invalid-request`, `payload-too-large` and `unsupported-media-type`.
    """
    length = request.headers.get("content-length", "").encode("latin-1")
    try:
        body = await read_body(length, request.receive, reservation_of(request.scope), limit=limits.body_bytes)
    except HangUp:
        raise Refusal(INVALID_REQUEST, reason="the body did not arrive") from None
    if not body.strip():
        return b"{}"
    return await as_json(body, request_format(request.headers.get("content-type", "")), max_depth=limits.depth)


def json_response(value: Any, status: int = 200) -> Response:
    """Return a JSON response."""
    return Response(msgspec.json.encode(value), status, media_type="application/json")
