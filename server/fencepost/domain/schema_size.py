"""The cost of checks with a JSON Schema, computed without running one.

Each subschema is a node; a keyword leads from it to others, and a reference leads to its target:

    in place    to the same value (`allOf`, `anyOf`, `if`, `$ref`)
    inside      to one part of the value (`properties`, `prefixItems`)
    each        to any number of parts (`items`, `additionalProperties`, `contains`)

A walk over the nodes adds up their costs, with every reference unfolded. A reference to a node that the walk is
inside of adds nothing and makes the schema recursive. The walk itself takes time in proportion to the document.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple
from urllib.parse import unquote, urljoin

import orjson

Kind = Literal["in place", "inside", "each"]

_ONE: dict[str, Kind] = {
    **dict.fromkeys(("not", "if", "then", "else"), "in place"),
    **dict.fromkeys(("items", "additionalProperties", "propertyNames", "contains"), "each"),
    **dict.fromkeys(("unevaluatedItems", "unevaluatedProperties", "additionalItems"), "each"),
}
_LIST: dict[str, Kind] = {
    **dict.fromkeys(("allOf", "anyOf", "oneOf"), "in place"),
    "prefixItems": "inside",
    "items": "inside",
}
_MAP: dict[str, Kind] = {
    **dict.fromkeys(("dependentSchemas", "dependencies"), "in place"),
    "properties": "inside",
    "patternProperties": "each",
}
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
# The sizes of schema and value set no limit on their cost.
_COSTLY = {"$dynamicRef", "$recursiveRef", "unevaluatedItems", "unevaluatedProperties"}
_SAYS_NOTHING = {"title", "description", "default", "examples", "$comment", "deprecated", "readOnly", "writeOnly"}
_SAYS_NOTHING |= {"$schema", "$id", "$anchor", "$dynamicAnchor", "$defs", "definitions", "contentSchema"}

# The units that a keyword adds for each byte of the value.
_PER_BYTE = {
    **dict.fromkeys(("minLength", "maxLength", "properties"), 1),
    **dict.fromkeys(("additionalProperties", "patternProperties", "items", "contains"), 2),
    "format": 10,
    "uniqueItems": 50,
}
_BYTES_PER_UNIT = 8
_MOST = 10**12
_COUNTS = re.compile(r"\{(\d{1,9})(?:,(\d{0,9}))?\}")
_PLAIN_STEP = re.compile(r"[A-Za-z_$][A-Za-z0-9_$-]{0,63}")


class Size(NamedTuple):
    """The cost of checking with a schema: a unit is one check of one keyword, about ten nanoseconds.

    `total` and `per_byte` bound the work: checking a value of n bytes costs at most `total + n * per_byte`. That holds
    unless it is `open`: recursive, or with keywords that sizes set no limit on. `patterns` is the part of its regular
    expressions. `largest` is the highest cost at one place, and `path` is the first place that costs too much.
    """

    total: int
    per_byte: int
    patterns: int
    open: bool
    largest: int
    path: str


Edge = tuple[Kind, dict[str, Any]]


class _Sum:
    """The cost of a node with all nodes below it, and the edges that are not followed yet."""

    __slots__ = ("edges", "here", "kind", "per_byte", "total")

    def __init__(self, kind: Kind, edges: Iterator[Edge]) -> None:
        self.kind, self.edges = kind, edges
        self.here = self.total = self.per_byte = 0

    def add(self, kind: Kind, other: _Sum) -> None:
        """Add the cost at the end of an edge."""
        if kind == "in place":
            self.here = min(_MOST, self.here + other.here)
        self.total = min(_MOST, self.total + other.total)
        self.per_byte = min(_MOST, self.per_byte + (other.total if kind == "each" else other.per_byte))


def size_of(document: Any, *, most_here: int) -> Size:
    """Measure a schema; `path` is that of the first node that costs more than `most_here` at one place."""
    if not isinstance(document, dict):
        return Size(1, 0, 0, False, 1, "")
    walk = _Walk(document)
    root = walk.run(document, most_here)
    return Size(root.total, root.per_byte, walk.patterns, walk.open, walk.largest, walk.heavy or "")


class _Walk:
    """One walk over the nodes of a schema, each of them once."""

    def __init__(self, document: Any) -> None:
        self._targets = _Targets(document)
        self.patterns = 0
        self.open = False
        self.largest = 0
        self.heavy: str | None = None

    def run(self, root: dict[str, Any], most_here: int) -> _Sum:
        """Return the cost of the root. Iterative: references may form chains of thousands."""
        done: dict[int, _Sum | None] = {id(root): None}
        stack = [(id(root), self._begun("in place", root))]
        while True:
            key, node = stack[-1]
            edge = next(node.edges, None)
            if edge is None:
                stack.pop()
                done[key] = node
                self.largest = max(self.largest, node.here)
                if node.here > most_here and self.heavy is None:
                    self.heavy = self._targets.path(key)
                if not stack:
                    return node
                stack[-1][1].add(node.kind, node)
                continue
            kind, child = edge
            if id(child) not in done:
                done[id(child)] = None
                stack.append((id(child), self._begun(kind, child)))
            elif (known := done[id(child)]) is None:
                self.open = True
            else:
                node.add(kind, known)

    def _begun(self, kind: Kind, schema: dict[str, Any]) -> _Sum:
        """Return a node with its own cost."""
        node = _Sum(kind, self._edges(schema))
        node.here = 1 + sum(keyword not in _SAYS_NOTHING for keyword in schema)
        literals = sum(len(orjson.dumps(schema[name])) for name in ("enum", "const", "required") if name in schema)
        literals += len(orjson.dumps(schema["dependentRequired"])) if "dependentRequired" in schema else 0
        patterns = _patterns(schema)
        node.here += literals // _BYTES_PER_UNIT + patterns
        node.total = node.here
        node.per_byte = patterns + sum(_PER_BYTE.get(keyword, 0) for keyword in schema)
        self.patterns = min(_MOST, self.patterns + patterns)
        if not _COSTLY.isdisjoint(schema) or schema.get("format") == "regex":
            self.open = True
        return node

    def _edges(self, schema: dict[str, Any]) -> Iterator[Edge]:
        for keyword, value in schema.items():
            if isinstance(value, dict) and keyword in _ONE:
                yield _ONE[keyword], value
            elif isinstance(value, list) and keyword in _LIST:
                yield from ((_LIST[keyword], one) for one in value if isinstance(one, dict))
            elif isinstance(value, dict) and keyword in _MAP:
                yield from ((_MAP[keyword], one) for one in value.values() if isinstance(one, dict))
            elif keyword in _REFERENCES and isinstance(value, str):
                target = self._targets.find(schema, value)
                if target is None:
                    self.open = True
                else:
                    yield "in place", target


class _Targets:
    """The parts of a document: the place of each, and the references that lead to it."""

    def __init__(self, document: Any) -> None:
        self._places: dict[int, tuple[int, str | int]] = {}
        self._bases: dict[int, str] = {}
        self._resources: dict[str, Any] = {"": document}
        self._anchors: dict[tuple[str, str], Any] = {}
        pending: list[tuple[Any, str]] = [(document, "")]
        while pending:
            value, base = pending.pop()
            if isinstance(value, dict):
                base = self._note(value, base)
            members = value.items() if isinstance(value, dict) else enumerate(value)
            inside = [(name, one) for name, one in members if isinstance(one, dict | list)]
            self._places.update((id(one), (id(value), name)) for name, one in inside)
            pending += [(one, base) for _, one in inside]

    def path(self, key: int) -> str:
        """Return the JSON path of a part from the document on."""
        steps: list[str] = []
        while key in self._places:
            key, name = self._places[key]
            steps.append(f"[{name}]" if isinstance(name, int) else step(name))
        return "".join(reversed(steps))

    def find(self, schema: dict[str, Any], reference: str) -> dict[str, Any] | None:
        """Return the subschema that a reference leads to, if it is one of this document."""
        base = self._bases.get(id(schema), "")
        address, _, fragment = _joined(base, reference).partition("#")
        if address not in self._resources:
            return None
        found = self._resources[address]
        if fragment and not fragment.startswith("/"):
            found = self._anchors.get((address, fragment))
        for part in fragment.split("/")[1:] if fragment.startswith("/") else ():
            found = _member(found, unquote(part).replace("~1", "/").replace("~0", "~"))
        return found if isinstance(found, dict) else None

    def _note(self, schema: dict[str, Any], base: str) -> str:
        """Record the targets of references at a schema; return the base address of the references inside."""
        if isinstance(id_ := schema.get("$id"), str):
            base = _joined(base, id_).rstrip("#")
            self._resources.setdefault(base, schema)
        for keyword in ("$anchor", "$dynamicAnchor"):
            if isinstance(anchor := schema.get(keyword), str):
                self._anchors.setdefault((base, anchor), schema)
        self._bases[id(schema)] = base
        return base


def step(name: str) -> str:
    """Return one step of a JSON path, of a bounded length."""
    return f".{name}" if _PLAIN_STEP.fullmatch(name) else f"[{json_text(name if len(name) <= 64 else name[:63] + '…')}]"


def json_text(text: str) -> str:
    """Return text in quotes."""
    return orjson.dumps(text).decode()


def _patterns(schema: dict[str, Any]) -> int:
    """Return the cost of the regular expressions of a node."""
    texts = [schema["pattern"]] if isinstance(schema.get("pattern"), str) else []
    if isinstance(named := schema.get("patternProperties"), dict):
        texts += named
    return min(_MOST, sum(map(_pattern, texts)))


def _pattern(text: str) -> int:
    """Return the cost of a regular expression: its length, with its repetitions written out."""
    counts = [int(high or low) for low, high in _COUNTS.findall(text)]
    nested = "){" in text
    repeated = 1
    for count in counts:
        repeated = min(_MOST, repeated * max(1, count)) if nested else repeated + count
    return 10 + (len(text) * repeated if nested else len(text) + 5 * repeated)


def _joined(base: str, reference: str) -> str:
    try:
        return urljoin(base, reference)
    except ValueError:
        return reference


def _member(value: Any, part: str) -> Any:
    if isinstance(value, dict):
        return value.get(part)
    if isinstance(value, list) and part.isascii() and part.isdigit() and int(part[:9]) < len(value):
        return value[int(part[:9])]
    return None
