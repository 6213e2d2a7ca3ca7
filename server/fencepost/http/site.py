"""The HTTP application outside of `/rpc`: routes, authentication and error responses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

from fencepost.domain.validation import refusal_of_struct
from fencepost.engine.context import Context, Services
from fencepost.engine.engine import Engine
from fencepost.errors import INVALID_REQUEST, METHOD_NOT_ALLOWED, NOT_FOUND, Refusal
from fencepost.http.admission import Admission
from fencepost.http.bodies import HangUp, as_json, read_body
from fencepost.http.formats import format_of, request_format
from fencepost.http.guard import Guard, refuse, reservation_of
from fencepost.http.headers import origin_of
from fencepost.http.parameters import refuse_unknown
from fencepost.http.refusals import written
from fencepost.http.routes import JSON, Routes, RouteSpec, SocketSpec
from fencepost.resources.error_body import report_bug
from fencepost.settings import Limits


def site(routes: Sequence[Routes], engine: Engine, services: Services, admission: Admission, limits: Limits) -> Guard:
    """Return the application with these routes."""
    server = _Server(engine, services, admission, limits)
    own: list[BaseRoute] = []
    below: dict[str, list[BaseRoute]] = {}
    for some in routes:
        built = [
            *(WebSocketRoute(spec.path, server.socket(spec)) for spec in some.sockets),
            *(Route(spec.path, server.handler(spec), methods=[spec.verb]) for spec in some.routes),
        ]
        own += built
        if some.also_below:
            below.setdefault(some.also_below, []).extend(built)
    application = Starlette(
        routes=[*own, *(Mount(path, routes=built) for path, built in below.items())],
        exception_handlers={Refusal: _refused, HTTPException: _not_served, Exception: _failed},
    )
    return Guard(application, admission)


class _Server:
    """Makes handlers of the framework from those of the routes."""

    def __init__(self, engine: Engine, services: Services, admission: Admission, limits: Limits) -> None:
        self._engine = engine
        self._services = services
        self._admission = admission
        self._limits = limits

    def handler(self, spec: RouteSpec) -> Callable[[Request], Awaitable[Response]]:
        """Return the handler of a route.

        It answers an unexpected exception like a refusal; the framework would answer in plain text and raise it again.
        """
        decoder = None if spec.struct is None else msgspec.json.Decoder(spec.struct)

        async def answer(request: Request) -> Response:
            context = self._context(request, "" if spec.is_open else await self._caller(request))
            refuse_unknown(request.query_params, spec.parameters)
            for name, known in spec.choices.items():
                if request.path_params[name] not in known:
                    raise Refusal(NOT_FOUND, path=request.scope["path"][:200])
            if not spec.takes_body:
                result = await spec.function(context, request)
            else:
                text = await _json_body(request, self._limits)
                body = text if decoder is None else _decoded(text, decoder)
                result = await spec.function(context, request, body)
            if isinstance(result, Response):
                return result
            return Response(msgspec.json.encode(result), spec.status, media_type=JSON)

        async def reporting(request: Request) -> Response:
            try:
                return await answer(request)
            except Refusal:
                raise
            except Exception as error:  # noqa: BLE001 as the dispatcher does for calls
                raise report_bug(error, f"{request.method} {request.scope['path'][:200]}") from None

        return reporting

    def socket(self, spec: SocketSpec) -> Callable[[WebSocket], Awaitable[None]]:
        """Return the handler of a WebSocket; callers without credentials are refused."""

        async def serve(socket: WebSocket) -> None:
            try:
                caller = await self._caller(socket)
            except Refusal as refusal:
                await refuse(socket.scope, socket.send, refusal)
                return
            await spec.function(self._context(socket, caller), socket)

        return serve

    def _context(self, connection: HTTPConnection, caller: str) -> Context:
        origin = origin_of(connection.scope["scheme"], dict(connection.scope["headers"]))
        return Context(self._engine, self._services, caller, self._limits, origin)

    async def _caller(self, connection: HTTPConnection) -> str:
        """Return the caller; delay wrong credentials, and raise Refusal (`unauthenticated`)."""
        try:
            return self._admission.caller(connection.headers.get("authorization"))
        except Refusal as refusal:
            await self._admission.delay(refusal, connection.scope)
            raise


async def _json_body(request: Request, limits: Limits) -> bytes:
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


def _decoded(text: bytes, decoder: msgspec.json.Decoder[Any]) -> Any:
    """Decode a body; raise Refusal (`invalid-params`) that names the member."""
    try:
        return decoder.decode(text)
    except msgspec.ValidationError as error:
        raise refusal_of_struct(str(error), decoder.type) from None


async def _refused(request: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, Refusal)
    if refusal.kind is METHOD_NOT_ALLOWED:
        refusal.allow = ", ".join(_verbs(request))
    format = getattr(request.state, "format", None) or format_of(request.scope["headers"])
    status, headers, content = written(refusal, format)
    return Response(content, status, {name.decode(): value.decode() for name, value in headers})


async def _not_served(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.scope["path"][:200]
    if error.status_code == 405:
        return await _refused(request, Refusal(METHOD_NOT_ALLOWED, path=path, allowed=" or ".join(_verbs(request))))
    return await _refused(request, Refusal(NOT_FOUND, path=path))


async def _failed(request: Request, error: Exception) -> Response:
    return await _refused(request, report_bug(error, f"{request.method} {request.scope['path'][:200]}"))


def _verbs(request: Request) -> list[str]:
    """Return the methods of all routes that match a path; the framework returns those of the first."""
    return sorted({*_fitting(request.app.routes, request.scope["path"])} - {"HEAD"})


def _fitting(routes: Sequence[BaseRoute], path: str) -> Iterator[str]:
    for route in routes:
        if isinstance(route, Route) and route.path_regex.match(path):
            yield from route.methods or ()
        elif isinstance(route, Mount) and path.startswith(route.path + "/"):
            yield from _fitting(route.routes, path.removeprefix(route.path))
