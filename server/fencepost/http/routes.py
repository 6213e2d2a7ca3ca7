"""The registry of routes beside `/rpc`: each is a function with a path, a body, an answer and a docstring.

The application and the OpenAPI document are derived from it. A handler takes the context and the request, and the body
if it takes one. It returns a struct, which is sent as JSON, or a response.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, get_type_hints

import msgspec
from starlette.responses import Response
from starlette.websockets import WebSocket

from fencepost.engine.context import Context
from fencepost.errors import Kind
from fencepost.http.parameters import Parameter

JSON = "application/json"
EVENT_STREAM = "text/event-stream"
_YAML = "text/yaml"

Handler = TypeVar("Handler", bound=Callable[..., Awaitable[Any]])
SocketHandler = Callable[[Context, WebSocket], Awaitable[None]]


@dataclass(frozen=True)
class Content:
    """A body or an answer: its type by media type (None if it has no schema), and a description."""

    types: Mapping[str, Any]
    description: str = ""


@dataclass(frozen=True, kw_only=True)
class RouteSpec:
    """A route.

    id            unique; the `operationId` of OpenAPI
    body          None for a route without one
    takes_body    whether the handler takes the body as an argument; it reads it from the request otherwise
    struct        the struct that the handler takes for the body; None if it takes JSON text
    choices       the values of path parameters that have a closed list; any other value is `not-found`
    errors        the kinds of refusal, beside those that every route has
    also          further statuses that the handler may answer, with descriptions
    is_open       whether it needs no credentials
    """

    verb: str
    path: str
    function: Callable[..., Awaitable[Any]]
    id: str
    summary: str
    description: str
    parameters: Sequence[Parameter]
    choices: Mapping[str, Sequence[str]]
    body: Content | None
    takes_body: bool
    struct: type[msgspec.Struct] | None
    answer: Content
    status: int
    errors: Sequence[Kind]
    also: Mapping[int, str]
    is_open: bool


@dataclass(frozen=True)
class SocketSpec:
    """A WebSocket route; its handler gets a socket that is not accepted yet."""

    path: str
    function: SocketHandler


class Routes:
    """Some routes, in the order in which they are tried; with `also_below`, each is also under that path."""

    def __init__(self, *, also_below: str = "") -> None:
        self.also_below = also_below
        self.routes: list[RouteSpec] = []
        self.sockets: list[SocketSpec] = []

    def route(
        self,
        verb: str,
        path: str,
        *,
        id: str = "",
        parameters: Sequence[Parameter] = (),
        choices: Mapping[str, Sequence[str]] | None = None,
        body: Any = None,
        answer: Content | None = None,
        status: int = 200,
        errors: Sequence[Kind] = (),
        also: Mapping[int, str] | None = None,
        is_open: bool = False,
    ) -> Callable[[Handler], Handler]:
        """Register a handler; the arguments are those of RouteSpec.

        A function with a third parameter takes the body: decoded, if the annotation is a struct; as JSON text, if it is
        `bytes`. `body` (a type, or Content) and `answer` are for OpenAPI, where the annotations do not say them.
        """

        def register(function: Handler) -> Handler:
            hints = get_type_hints(function, include_extras=True)
            summary, _, description = (inspect.getdoc(function) or "").partition("\n\n")
            taken = [hints[name] for name in inspect.signature(function).parameters][2:]
            struct = taken[0] if taken and taken[0] is not bytes else None
            content = body
            if taken:
                content = Content({JSON: body or struct, _YAML: body or struct})
            self.routes.append(
                RouteSpec(
                    verb=verb,
                    path=path,
                    function=function,
                    id=id or _camel(function.__name__),
                    summary=" ".join(summary.split()).rstrip("."),
                    description=" ".join(description.split()),
                    parameters=parameters,
                    choices=choices or {},
                    body=content,
                    takes_body=bool(taken),
                    struct=struct,
                    answer=answer or _answer(hints["return"]),
                    status=status,
                    errors=errors,
                    also=also or {},
                    is_open=is_open,
                )
            )
            return function

        return register

    def socket(self, path: str) -> Callable[[SocketHandler], SocketHandler]:
        """Register the handler of a WebSocket, for callers with credentials."""

        def register(function: SocketHandler) -> SocketHandler:
            self.sockets.append(SocketSpec(path, function))
            return function

        return register


def _answer(type: Any) -> Content:
    """Return the answer with a struct; its description is the first line of the struct's docstring."""
    if type is Response:
        return Content({}, "The answer.")
    return Content({JSON: type}, (inspect.getdoc(type) or "").partition("\n")[0])


def _camel(name: str) -> str:
    return re.sub(r"_([a-z])", lambda found: found[1].upper(), name.strip("_"))
