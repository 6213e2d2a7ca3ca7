"""docs/reference/methods/: a page for each noun, from the structs of the methods, with examples and their answers.

The answers are those that tests/answers has recorded from a server.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from fencepost.openapi.document import component_names, document
from fencepost.rpc.registry import Method
from fencepost.vocabularies.all import ALL
from fencepost.vocabularies.plugin import surface_of

ROOT = Path(__file__).resolve().parents[1]
ANSWERS = ROOT / "tests" / "answers"
FOLDER = "docs/reference/methods"

_INDEX = """\
# Methods

These pages list the params and the result of each method, with an example and the answer of a server to it. Each
example is a body for `POST /rpc`; YAML works the same. The answers are those after some earlier calls, with ids and
times made readable. [Protocol](../../protocol.md) explains how calls are sent, alone and in arrays;
[errors](../../errors.md) lists what can go wrong. These pages are generated from the code: `make generate`.
"""
_PAGE = """\
# Methods: {noun}

Params, result and an example of each `awf.{noun}/…` method, with the answer of a server. [All methods](README.md).
"""
_RESOURCES = """\
# Resources

The objects in results, and in params. A member without a value is left out.

## Parts of results
"""
_PARTS = """\
## Parts of params
"""

Json = dict[str, Any]


def paths() -> list[str]:
    """Return the paths of the pages."""
    return [f"{FOLDER}/{name}.md" for name in ("README", *_nouns(), "resources")]


def page(path: str) -> str:
    """Return the text of a page."""
    return _pages()[path]


@cache
def _pages() -> dict[str, str]:
    surface = surface_of(ALL)
    schemas = document(surface)["components"]["schemas"]
    methods = surface.methods.methods.values()
    names = component_names(methods)
    parts = {"README": [_INDEX, *_index()], "resources": _resources(schemas, list(methods), names)}
    for noun, its in _nouns().items():
        answers = orjson.loads((ANSWERS / f"{noun}.json").read_bytes())
        parts[noun] = [_PAGE.format(noun=noun)]
        for method in its:
            params, result = schemas[names[method.params]], schemas[names[method.result]]
            parts[noun] += _method(method, params, result, answers[method.name])
    return {f"{FOLDER}/{name}.md": "\n".join(lines) for name, lines in parts.items()}


@cache
def _nouns() -> dict[str, list[Method]]:
    """Return the methods by noun, such as `task`, in the order of the registry."""
    nouns: dict[str, list[Method]] = {}
    for method in surface_of(ALL).methods.methods.values():
        nouns.setdefault(method.name.removeprefix("awf.").partition("/")[0], []).append(method)
    return nouns


def _index() -> Iterator[str]:
    for noun, methods in _nouns().items():
        yield f"## [{noun}]({noun}.md)\n"
        rows = [
            f"| [`{method.name}`]({noun}.md#{_anchor(method.name)}) | {_first_sentence(method.summary)} |"
            for method in methods
        ]
        yield "\n".join(["| method | does |", "| --- | --- |", *rows, ""])


def _resources(schemas: Json, methods: list[Method], names: Any) -> list[str]:
    lines = [_RESOURCES]
    for name in _mentioned(schemas, [names[method.result] for method in methods]):
        lines += [f"### {name}\n", f"{schemas[name]['description']}\n", _table(schemas[name], required=False)]
    lines.append(_PARTS)
    for name in _mentioned(schemas, [names[method.params] for method in methods]):
        lines += [f"### {name}\n", f"{schemas[name]['description']}\n", _table(schemas[name])]
    return lines


def _method(method: Method, params: Json, result: Json, answer: Any) -> list[str]:
    return [
        f"## {method.name}\n",
        f"{method.summary}\n",
        f"Params: {_lower(params['description'])}\n",
        _table(params),
        f"Result: {_lower(result['description'])}\n",
        _table(result, required=False),
        f"```json\n{_indented({'method': method.name, 'params': method.example})}\n```\n",
        f"Answer:\n\n```json\n{_indented(answer)}\n```\n",
    ]


def _indented(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


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
        return f"[{name}](resources.md#{_anchor(name)})"
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
