"""The HTTP application outside of `/rpc`: routes, authentication and error responses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from fencepost.errors import METHOD_NOT_ALLOWED, NOT_FOUND, Refusal
from fencepost.http.admission import Admission
from fencepost.http.entrance import Entrance, Handler
from fencepost.http.formats import format_of
from fencepost.http.guard import Guard
from fencepost.http.refusals import written
from fencepost.resources.error_body import report_bug

Routes = Callable[[Entrance], Sequence[BaseRoute]]


def site(admission: Admission, routes: Sequence[Routes]) -> Guard:
    """Return the application with these routes."""

    def known(handler: Handler) -> Handler:
        async def guarded(request: Request) -> Response:
            try:
                request.state.caller = admission.caller(request.headers.get("authorization"))
            except Refusal as refusal:
                await admission.delay(refusal, request.scope)
                raise
            return await handler(request)

        return _reported(guarded)

    entrance = Entrance(known, _reported, admission)
    application = Starlette(
        routes=[route for some in routes for route in some(entrance)],
        exception_handlers={Refusal: _refused, HTTPException: _not_served, Exception: _failed},
    )
    return Guard(application, admission)


def _reported(handler: Handler) -> Handler:
    """Answer an unexpected exception like a refusal; the framework would answer it in plain text and raise it again."""

    async def reporting(request: Request) -> Response:
        try:
            return await handler(request)
        except Refusal:
            raise
        except Exception as error:  # noqa: BLE001 as the dispatcher does for calls
            raise report_bug(error, f"{request.method} {request.scope['path'][:200]}") from None

    return reporting


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
