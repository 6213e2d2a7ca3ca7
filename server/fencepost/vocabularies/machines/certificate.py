"""`GET /cert`: the certificate of the gRPC port, which workers of v0.5 and v0.6 fetch before they connect."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from fencepost.errors import NOT_FOUND, Refusal
from fencepost.settings import GrpcTls


def certificate(tls: GrpcTls | None) -> Callable[[Request], Awaitable[Response]]:
    """Return the handler. It needs no credentials, because the gRPC port shows the same certificate to every client."""

    async def cert(request: Request) -> Response:
        if tls is None:
            raise Refusal(NOT_FOUND, path=request.url.path)
        return Response(tls.certificate, media_type="application/x-pem-file")

    return cert
