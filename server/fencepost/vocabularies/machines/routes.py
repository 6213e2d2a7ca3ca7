"""`GET /cert`: the certificate of the gRPC port, which workers of v0.5 and v0.6 fetch before they connect."""

from __future__ import annotations

from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from fencepost.engine.context import Context
from fencepost.errors import NOT_FOUND, Refusal
from fencepost.http.routes import Content, Routes

machine_routes = Routes()

_PEM = "application/x-pem-file"


class Certificate(NamedTuple):
    """The certificate of the gRPC port in PEM, None without TLS."""

    pem: bytes | None


@machine_routes.route("GET", "/cert", is_open=True, answer=Content({_PEM: None}, "PEM."), errors=(NOT_FOUND,))
async def certificate(context: Context, request: Request) -> Response:
    """Return the certificate of the gRPC port."""
    # It needs no credentials, because the gRPC port shows the same certificate to every client.
    pem = context.of(Certificate).pem
    if pem is None:
        raise Refusal(NOT_FOUND, path=request.url.path)
    return Response(pem, media_type=_PEM)
