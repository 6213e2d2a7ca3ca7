"""docs/reference/methods.md: every method with params, result and an example, from the structs that check them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from fencepost.rpc.openapi import component_names, document
from fencepost.rpc.registry import Method
from fencepost.vocabularies.all import ALL
from fencepost.vocabularies.plugin import surface_of

_HEAD = """\
# Methods

Look up here what a call takes and what it answers. Each example is a body for `POST /rpc` as it stands; YAML works the
same. How calls travel, alone and in arrays, is in [protocol.md](../protocol.md); what can go wrong is in
[errors.md](../errors.md). This page is generated from the code: `make generate`.
"""
_RESOURCES = """\
## Resources

What the results are made of. A member without a value is left out.
"""
_PARTS = """\
## Parts of params

What some params are made of.
"""

Json = dict[str, Any]


def method_reference() -> str:
    """Return the page."""
    surface = surface_of(ALL)
    methods = surface.methods
    schemas = document(surface)["components"]["schemas"]
    names = component_names(methods.methods.values())
    parts = [_HEAD, _list_of(list(methods.methods.values()))]
    for method in methods.methods.values():
        parts += _method(method, schemas[names[method.params]], schemas[names[method.result]])
    parts.append(_RESOURCES)
    for name in _mentioned(schemas, [names[method.result] for method in methods.methods.values()]):
        parts += [f"### {name}\n", f"{schemas[name]['description']}\n", _table(schemas[name], required=False)]
    parts.append(_PARTS)
    for name in _mentioned(schemas, [names[method.params] for method in methods.methods.values()]):
        parts += [f"### {name}\n", f"{schemas[name]['description']}\n", _table(schemas[name])]
    return "\n".join(parts)


def _list_of(methods: list[Method]) -> str:
    rows = [f"| [`{method.name}`](#{_anchor(method.name)}) | {_first_sentence(method.summary)} |" for method in methods]
    return "\n".join(["| method | does |", "| --- | --- |", *rows, ""])


def _method(method: Method, params: Json, result: Json) -> list[str]:
    example = orjson.dumps({"method": method.name, "params": method.example}, option=orjson.OPT_INDENT_2).decode()
    return [
        f"## {method.name}\n",
        f"{method.summary}\n",
        f"Params: {_lower(params['description'])}\n",
        _table(params),
        f"Result: {_lower(result['description'])}\n",
        _table(result, required=False),
        f"```json\n{example}\n```\n",
    ]


def _table(schema: Json, *, required: bool = True) -> str:
    if "anyOf" in schema:
        return f"One of {', '.join(map(_type, schema['anyOf']))}.\n"
    needed = schema.get("required", [])
    rows = [
        f"| `{name}` | {_type(member)} | {_default(member, name in needed)} | {_description(member)} |"
        if required
        else f"| `{name}` | {_type(member)} | {_description(member)} |"
        for name, member in schema["properties"].items()
    ]
    head = ["| member | type | default | |", "| --- | --- | --- | --- |"]
    if not required:
        head = ["| member | type | |", "| --- | --- | --- |"]
    return "\n".join([*head, *rows, ""])


def _type(schema: Json) -> str:
    """Return a schema as words for a cell of a table."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{_anchor(name)})"
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"] if one != {"type": "null"})
    if "enum" in schema:
        return ", ".join(f"`{word}`" for word in schema["enum"])
    if schema.get("type") == "array":
        return f"array of {_type(schema['items'])}"
    return " ".join([str(schema.get("format", schema.get("type", "any"))), *_bounds(schema)])


def _bounds(schema: Json) -> Iterator[str]:
    for least, most, unit in (("minimum", "maximum", ""), ("minLength", "maxLength", " characters")):
        # What only says that a number has 64 bits would hide the bounds that mean something.
        low, high = (None if abs(schema.get(name, 2**63)) >= 2**53 else schema[name] for name in (least, most))
        if low is not None and high is not None:
            yield f"{low} to {high}{unit}"
        elif high is not None:
            yield f"up to {high}{unit}"
        elif low is not None:
            yield f"at least {low}{unit}"


def _default(schema: Json, needed: bool) -> str:
    if needed:
        return "required"
    default = schema.get("default")
    return "" if default is None or "$ref" in schema else f"`{orjson.dumps(default).decode()}`"


def _description(schema: Json) -> str:
    found = schema.get("description") or next(
        (one["description"] for one in schema.get("anyOf", ()) if "description" in one), ""
    )
    return str(found).replace("|", "\\|")


def _mentioned(schemas: Json, roots: list[str]) -> list[str]:
    """Return the names that schemas lead to, without those that are shown with the methods."""
    found: dict[str, None] = {}

    def visit(value: Any) -> None:
        match value:
            case {"$ref": str(target)} if (name := target.rpartition("/")[2]) not in found:
                found[name] = None
                visit(schemas[name])
            case dict():
                for one in value.values():
                    visit(one)
            case list():
                for one in value:
                    visit(one)

    for root in dict.fromkeys(roots):
        visit(schemas[root])
    return [name for name in found if name not in roots]


def _first_sentence(text: str) -> str:
    # In one line, for it stands in a table.
    return " ".join(text.split()).partition(". ")[0].rstrip(".").replace("|", "\\|")


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


def _anchor(heading: str) -> str:
    """Return the anchor that GitHub makes of a heading."""
    return "".join(letter for letter in heading.lower() if letter.isalnum() or letter == "-")
