"""The OpenAPI document: the methods of the registry, the routes, and the refusals of the catalogue.

`make generate` writes it to openapi/openapi.yaml, and the server serves that file. The schemas are derived from the
structs that validate the calls.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from types import UnionType
from typing import Any, NamedTuple, get_args, get_origin

import msgspec

from fencepost.errors import Kind
from fencepost.http.routes import Routes
from fencepost.openapi.parts import JSON, SCHEMAS, Json, content, ref, refusals, refused
from fencepost.openapi.paths import paths, types
from fencepost.resources.error_body import Fault
from fencepost.resources.tasks import AidboxTask, AidboxTaskLog
from fencepost.rpc.registry import Method, Registry
from fencepost.settings import Limits

_DESCRIPTION = (
    "A task queue that any language can work against. Everything that changes something is a call: `POST /rpc` with "
    "`{method, params}`, or with an array of calls, in JSON or YAML. A refused single call answers with the HTTP "
    "status of its error; an array always answers 200, with the errors inside."
)


class Surface(NamedTuple):
    """Everything that a server shows on the wire."""

    methods: Registry
    routes: Sequence[Routes]
    catalogue: Sequence[Kind]


def document(surface: Surface) -> Json:
    """Return the OpenAPI 3.1 document of a server: the same text for the same surface."""
    methods = list(surface.methods.methods.values())
    structs = _Structs(methods, types(surface.routes))
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Fencepost",
            "version": version("fencepost"),
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"basic": []}, {"bearer": []}, {}],
        "paths": {
            "/rpc": {"post": _rpc(surface.catalogue)},
            **paths(surface.routes, structs.schema),
        },
        "components": {
            "schemas": dict(sorted({**structs.components, **_calls(methods)}.items())),
            "responses": refusals(surface.catalogue),
            "securitySchemes": {
                "basic": {"type": "http", "scheme": "basic", "description": "client id and secret"},
                "bearer": {"type": "http", "scheme": "bearer", "description": "the secret of a client"},
            },
        },
    }


def per_method(document: Json, surface: Surface) -> Json:
    """Return a variant of the document for fuzzing, with a path `/rpc/{name}` per method that takes its params as body.

    Fuzzers explore one path with a large oneOf badly. The server does not have these paths; the test translates them.
    """
    registry = surface.methods
    names = component_names(registry.methods.values())

    def operation(method: Method) -> Json:
        answer = {"type": "object", "properties": {"result": ref(names[method.result])}, "required": ["result"]}
        return {
            "operationId": method.name,
            "summary": method.summary,
            "requestBody": {"required": True, "content": content(ref(names[method.params]), JSON)},
            "responses": {
                "200": {"description": "It was done.", "content": content(answer, JSON)},
                **_refused(surface.catalogue),
            },
        }

    paths = {f"/rpc/{method.name}": {"post": operation(method)} for method in registry.methods.values()}
    return {**document, "paths": paths}


def component_names(methods: Iterable[Method]) -> dict[type[msgspec.Struct], str]:
    """Return the component names of params and results: the struct's name, prefixed by its noun if it is not unique."""
    structs = list(dict.fromkeys(struct for method in methods for struct in (method.params, method.result)))
    # A union has no name; the union of documents is the only one.
    names = [getattr(struct, "__name__", "Document") for struct in structs]
    return {
        struct: name if names.count(name) == 1 else f"{struct.__module__.rpartition('.')[2].capitalize()}{name}"
        for struct, name in zip(structs, names, strict=True)
    }


def _rpc(catalogue: Sequence[Kind]) -> Json:
    calls = {"type": "array", "items": ref("Call"), "minItems": 1, "maxItems": Limits().batch}
    answers = {"type": "array", "items": {"anyOf": [ref("Answer"), ref("Refusal")]}}
    return {
        "operationId": "call",
        "summary": "Make one call, or an array of calls, answered in order",
        "requestBody": {"required": True, "content": content({"oneOf": [ref("Call"), calls]})},
        "responses": {
            "200": {
                "description": "The result of a single call; the results and errors of an array.",
                "content": content({"anyOf": [ref("Answer"), answers]}),
            },
            **_refused(catalogue),
        },
    }


def _refused(catalogue: Sequence[Kind]) -> Json:
    return refused(*sorted({kind.status for kind in catalogue}))


def _calls(methods: list[Method]) -> Json:
    """Return the schemas of each method's call, of any call, and of the two kinds of answers."""
    names = component_names(methods)
    calls = {method.name.replace("/", "."): _call(method, names[method.params]) for method in methods}
    mapping = {method.name: SCHEMAS + method.name.replace("/", ".") for method in methods}
    results = [ref(name) for name in dict.fromkeys(names[method.result] for method in methods)]
    return {
        **calls,
        "Call": {
            "oneOf": [ref(name) for name in calls],
            "discriminator": {"propertyName": "method", "mapping": mapping},
        },
        "Answer": _envelope("result", {"anyOf": results}, "The answer to a successful call."),
        "Refusal": _envelope("error", ref("Fault"), "The answer to a refused call."),
    }


def _call(method: Method, params: str) -> Json:
    needs_params = bool(get_args(method.params)) or any(
        field.required for field in msgspec.structs.fields(method.params)
    )
    return {
        "description": method.summary,
        "type": "object",
        "properties": {
            "method": {"const": method.name},
            "params": ref(params),
            "id": {"description": "any value; returned in the answer"},
            "jsonrpc": {"const": "2.0"},
        },
        "required": ["method", "params"] if needs_params else ["method"],
        "additionalProperties": False,
        "examples": [{"method": method.name, "params": method.example}],
    }


def _envelope(member: str, schema: Json, description: str) -> Json:
    return {
        "description": description,
        "type": "object",
        "properties": {member: schema, "id": {"description": "`id` of the call"}, "jsonrpc": {"const": "2.0"}},
        "required": [member],
    }


class _Structs:
    """The schemas of all params, results and types of routes, by the names from `component_names`."""

    def __init__(self, methods: list[Method], of_routes: Iterable[Any]) -> None:
        names = component_names(methods)
        structs: list[Any] = [*names, Fault, AidboxTask, AidboxTaskLog]
        several = [*structs, *(leaf for type in of_routes for leaf in _leaves(type))]
        refs, schemas = msgspec.json.schema_components(several, ref_template=SCHEMAS + "{name}")
        # msgspec adds the module if two structs share a name; module names do not belong into a public document.
        renamed: dict[str, str] = {
            found["$ref"]: SCHEMAS + names.get(type, type.__name__)
            for found, type in zip(refs, several, strict=True)
            if "$ref" in found
        }
        unions = {
            names[union]: {"description": "A document; its `kind` says which.", **found}
            for found, union in zip(refs, structs, strict=False)
            if "$ref" not in found
        }
        self._found = [(type, _portable(found, renamed)) for found, type in zip(refs, several, strict=True)]
        self.components = {
            renamed.get(SCHEMAS + str(name), str(name)).removeprefix(SCHEMAS): _portable(schema, renamed)
            for name, schema in (schemas | unions).items()
        }

    def schema(self, type: Any) -> Json:
        """Return the schema of the body or answer of a route."""
        if get_origin(type) is UnionType:
            return {"anyOf": [self.schema(part) for part in get_args(type)]}
        if get_origin(type) is list:
            return {"type": "array", "items": self.schema(get_args(type)[0])}
        return next(schema for found, schema in self._found if found is type)


def _leaves(type: Any) -> Iterator[Any]:
    """Yield the parts of unions and lists: msgspec does not describe a union of two structs."""
    if get_origin(type) in (UnionType, list):
        for part in get_args(type):
            yield from _leaves(part)
    else:
        yield type


def _portable(schema: Any, renamed: dict[str, str]) -> Any:
    """Return a portable schema: with the component names, and patterns in the syntax of ECMA 262."""
    # A default that is a tuple is not JSON yet.
    if isinstance(schema, list | tuple):
        return [_portable(item, renamed) for item in schema]
    if not isinstance(schema, dict):
        return schema
    changed = {key: _portable(value, renamed) for key, value in schema.items()}
    if isinstance(pattern := changed.get("pattern"), str):
        changed["pattern"] = re.sub(r"\\Z$", "$", pattern)
    if isinstance(target := changed.get("$ref"), str):
        changed["$ref"] = renamed.get(target, target)
    if changed.get("required") == []:
        del changed["required"]
    return changed
