"""The paths of the OpenAPI document, from the routes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from fencepost.errors import (
    HEAD_TOO_LARGE,
    INTERNAL_ERROR,
    INVALID_REQUEST,
    OTHER_SITE,
    PAYLOAD_TOO_LARGE,
    REQUEST_TIMEOUT,
    UNAUTHENTICATED,
    UNAVAILABLE,
    UNSUPPORTED_MEDIA_TYPE,
    Kind,
)
from fencepost.http.parameters import Parameter
from fencepost.http.routes import Content, Routes, RouteSpec
from fencepost.openapi.parts import Json, refused

# The kinds of refusal of every route with credentials.
_ALWAYS = (
    INVALID_REQUEST,
    UNAUTHENTICATED,
    OTHER_SITE,
    REQUEST_TIMEOUT,
    UNSUPPORTED_MEDIA_TYPE,
    HEAD_TOO_LARGE,
    INTERNAL_ERROR,
    UNAVAILABLE,
)
_IN_PATH = re.compile(r"\{(\w+)(?::\w+)?\}")

# Returns the schema of a type.
SchemaOf = Callable[[Any], Json]


def paths(routes: Sequence[Routes], schema: SchemaOf) -> Json:
    """Return the path items."""
    items: Json = {}
    for some in routes:
        for route in some.routes:
            path = _IN_PATH.sub(r"{\1}", route.path)
            also_at = some.also_below + path if some.also_below else ""
            items.setdefault(path, {})[route.verb.lower()] = _operation(route, schema, also_at)
    return items


def types(routes: Sequence[Routes]) -> Iterator[Any]:
    """Yield the types of all bodies and answers."""
    for route in (route for some in routes for route in some.routes):
        for content in (route.body, route.answer):
            if content is not None:
                yield from (type for type in content.types.values() if type is not None)


def _operation(route: RouteSpec, schema: SchemaOf, also_at: str) -> Json:
    operation: Json = {"operationId": route.id, "summary": route.summary}
    if description := " ".join(filter(None, (route.description, also_at and f"Also at `{also_at}`."))):
        operation["description"] = description
    if route.is_open:
        operation["security"] = []
    if parameters := [*_in_path(route), *map(_parameter, route.parameters)]:
        operation["parameters"] = parameters
    if route.body is not None:
        operation["requestBody"] = {"required": not route.takes_body, "content": _content(route.body, schema)}
    operation["responses"] = {
        str(route.status): _answer(route.answer, schema),
        **{str(status): {"description": description} for status, description in route.also.items()},
        **refused(*_statuses(route)),
    }
    return operation


def _statuses(route: RouteSpec) -> list[int]:
    kinds: set[Kind] = {*route.errors, *(() if route.is_open else _ALWAYS)}
    if route.takes_body:
        kinds.add(PAYLOAD_TOO_LARGE)
    return sorted({kind.status for kind in kinds})


def _answer(answer: Content, schema: SchemaOf) -> Json:
    found = {"description": answer.description}
    return {**found, "content": _content(answer, schema)} if answer.types else found


def _content(content: Content, schema: SchemaOf) -> Json:
    return {media_type: {} if type is None else {"schema": schema(type)} for media_type, type in content.types.items()}


def _in_path(route: RouteSpec) -> Iterator[Json]:
    for name in _IN_PATH.findall(route.path):
        known = route.choices.get(name)
        schema: Mapping[str, Any] = {"type": "string"} if known is None else {"enum": list(known)}
        yield {"name": name, "in": "path", "required": True, "schema": schema}


def _parameter(parameter: Parameter) -> Json:
    found: Json = {"name": parameter.name, "in": parameter.place, "description": parameter.description}
    if parameter.required:
        found["required"] = True
    found["schema"] = parameter.schema
    return {**found, "style": "form", "explode": False} if parameter.is_list else found
