"""YAML at the door: a body becomes JSON text.

Read is the core schema of YAML 1.2 as plain data: null, booleans, numbers and text, lists, and maps whose keys are text
as it is written (`1:` and `"1":` are one key). Dates, `no` and `on` are text; whatever is quoted is text. Refused are
tags (but `!!str`), anchors, aliases, the merge key `<<` (written plain; `"<<"` is a key like any other), keys that are
lists or maps, duplicate keys, a second document (null ones do not count), `.inf` and `.nan`, and what JSON text may not
hold either.
A body that is JSON passes as it is.

The parser is libyaml, by its events: no object is built that a bomb could multiply. It is an old one and reads flow
style by the rules of YAML 1.1, which forbid `{at: 12:30}` and `{include-log?: true}`. When it stumbles over that, a
body short enough for the parser in Python, which is twenty times slower, gets a second reading.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

import orjson
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    MappingEndEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from fencepost.notation.json import check
from fencepost.notation.text import INT64, BadText, number, shown, sound, step

try:
    from ruamel.yaml.cyaml import CParser  # type: ignore[attr-defined]  # it comes from whichever extension is there
except ImportError:
    CParser = None

FAST = CParser is not None
"""Whether libyaml is there. Without it every body is read in Python: worth a line in the log at start."""

_NextEvent = Callable[[], Any]

_IN_FLOW = "; if text inside of [ ] or { } holds : or ?, quote it"
# Each with the hint for a body that is too long for a second reading.
_STALE_RULES = {
    "found unexpected ':'": _IN_FLOW,
    "did not find expected ',' or '}'": _IN_FLOW,
    "did not find expected ',' or ']'": _IN_FLOW,
    # Both halves of a surrogate pair, which JSON writers escape.
    "found invalid Unicode character escape code": "",
    # YAML 1.2 takes a document behind `...` without a `---` of its own.
    "did not find expected <document start>": "",
}
_DEPTH, _NODES = 64, 100_000
_SECOND_READING = 4096  # characters: 40 ms at worst

# What YAML does not print, and the line breaks that 1.1 knows and 1.2 does not: the parsers would change them silently.
_UNFIT = re.compile("[^\t\n\r -~\u00a0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")

_NULLS = ("", "~", "null", "Null", "NULL")
_WORDS = {
    **dict.fromkeys(_NULLS),
    **dict.fromkeys(["true", "True", "TRUE"], True),
    **dict.fromkeys(["false", "False", "FALSE"], False),
}
_DECIMAL = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_STR = "tag:yaml.org,2002:str"


def to_json(text: bytes, *, max_depth: int = _DEPTH, max_nodes: int = _NODES, plain: bool = False) -> bytes:
    """Return a YAML body as JSON; raise BadText, with line and column in its message, for what we do not take.

    A scalar, a list and a map count as one node each, keys do not. An empty document is null. With `plain` every scalar
    but null stays the text that it is written as, for those who know by themselves what is a number.
    """
    body = _decoded(text)
    if not plain and (raw := _as_json(body, max_depth)):
        return raw
    _refuse_unfit(body)
    if CParser is None:
        return orjson.dumps(_Reading(_events(body), max_depth, max_nodes, plain=plain).document())
    try:
        return orjson.dumps(_Reading(_fast_events(body), max_depth, max_nodes, plain=plain).document())
    except _StaleRule:
        # The scanner in Python is at its worst with open brackets, so their number is bounded as well.
        if len(body) > _SECOND_READING or body.count("[") + body.count("{") > max_depth:
            raise
    return orjson.dumps(_Reading(_events(body), max_depth, max_nodes, plain=plain).document())


def documents(text: bytes) -> list[bytes]:
    """Return each document of a YAML stream as JSON, without the empty ones; raise BadText as `to_json` does.

    This is for files of our own side: a file of any length that breaks a rule of YAML 1.1 alone gets a second reading.
    """
    body = _decoded(text)
    if raw := _as_json(body, _DEPTH):
        return [raw]
    _refuse_unfit(body)
    if CParser is not None:
        with suppress(_StaleRule):
            return [*map(orjson.dumps, _Reading(CParser(body).get_event).documents())]
    return [*map(orjson.dumps, _Reading(_events(body)).documents())]


def _decoded(text: bytes) -> str:
    try:
        return text.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise BadText(f"not UTF-8: byte 0x{text[error.start]:02x} at offset {error.start}") from None


def _refuse_unfit(body: str) -> None:
    # The parser compares each of these with all before it, and we read no tags.
    if body.startswith("%TAG") or "\n%TAG" in body:
        raise BadText("%TAG is not read")
    if found := _UNFIT.search(body):
        line, column = body.count("\n", 0, found.start()) + 1, found.start() - body.rfind("\n", 0, found.start())
        raise BadText(f"line {line}, column {column}: the character U+{ord(found[0]):04X} can only stand escaped")


class _StaleRule(BadText):
    """A refusal by a rule of YAML 1.1 that 1.2 has dropped."""


def _as_json(body: str, max_depth: int) -> bytes | None:
    """Return a body that is JSON as it is written; None for any other."""
    if (bare := body.strip(" \t\r\n"))[:1] not in ("{", "["):
        return None
    try:
        orjson.loads(raw := bare.encode())
    except orjson.JSONDecodeError:
        return None
    check(raw, max_depth=max_depth)
    return raw


def _fast_events(body: str) -> _NextEvent:
    next_event: _NextEvent = CParser(body).get_event
    return next_event


def _events(body: str) -> _NextEvent:
    events: Iterator[Any] = YAML(typ="safe", pure=True).parse(body)
    return events.__next__


class _Reading:
    """One reading of one stream; keeps the path to where it stands, for refusals."""

    def __init__(
        self, next_event: _NextEvent, max_depth: int = _DEPTH, max_nodes: int = _NODES, *, plain: bool = False
    ) -> None:
        self._plain = plain
        self._next = next_event
        self._max_depth = max_depth
        self._nodes_left = self._max_nodes = max_nodes
        self._path: list[str | int] = []

    def document(self) -> object:
        """Return the one document of the stream; null when there is none."""
        return next(iter(self.documents(most=1)), None)

    def documents(self, most: int | None = None) -> list[object]:
        """Return the documents of the stream that are not null; depth and number of values are bounded for each."""
        found: list[object] = []
        with self._explaining():
            self._next()
            while not isinstance(self._next(), StreamEndEvent):
                self._nodes_left = self._max_nodes
                event = self._next()
                if not _is_null(event):
                    if len(found) == most:
                        self._refuse(event, "a body is one document, and a second one begins")
                    found.append(self._value(event, 1))
                self._next()
        return found

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            refusal = _StaleRule if error.problem in _STALE_RULES else BadText
            hint = _STALE_RULES.get(error.problem, "")
            raise refusal(f"not YAML: {_place(mark)}: {error.problem}{hint}", self._where()) from None
        except BadText:
            raise
        except (YAMLError, ValueError, OverflowError, AssertionError) as error:
            # The last three leak from the parser in Python: an escape beyond Unicode, a version it does not know.
            raise BadText(f"not YAML: {error}", self._where()) from None

    def _value(self, event: Any, depth: int) -> object:
        self._nodes_left -= 1
        if self._nodes_left < 0:
            self._refuse(event, "too many values")
        if isinstance(event, ScalarEvent):
            return self._scalar(event)
        self._plain_data(event)
        if depth > self._max_depth:
            self._refuse(event, f"nested more than {self._max_depth} levels deep")
        return self._list(depth) if isinstance(event, SequenceStartEvent) else self._map(depth)

    def _list(self, depth: int) -> list[object]:
        items: list[object] = []
        while not isinstance(event := self._next(), SequenceEndEvent):
            self._path.append(len(items))
            items.append(self._value(event, depth + 1))
            self._path.pop()
        return items

    def _map(self, depth: int) -> dict[str, object]:
        entries: dict[str, object] = {}
        while not isinstance(event := self._next(), MappingEndEvent):
            key = self._key(event)
            if key in entries:
                self._refuse(event, f"the key {shown(key)} stands twice in one map")
            self._path.append(key)
            entries[key] = self._value(self._next(), depth + 1)
            self._path.pop()
        return entries

    def _key(self, event: Any) -> str:
        self._plain_data(event)
        if not isinstance(event, ScalarEvent):
            self._refuse(event, "a key must be text, not a list or a map")
        if event.value == "<<" and not event.style:
            self._refuse(event, "merge keys are not read: write the keys out")
        return self._text(event)

    def _scalar(self, event: Any) -> object:
        self._plain_data(event)
        if event.style or event.tag or (self._plain and event.value not in _NULLS):
            return self._text(event)
        try:
            return _meaning(event.value)
        except ValueError as error:
            self._refuse(event, str(error))

    def _text(self, event: Any) -> str:
        try:
            return sound(event.value)
        except ValueError as error:
            self._refuse(event, str(error))

    def _plain_data(self, event: Any) -> None:
        if isinstance(event, AliasEvent):
            self._refuse(event, "aliases are not read: write the value out")
        if event.anchor is not None:
            self._refuse(event, "anchors are not read")
        if event.tag is not None and not (isinstance(event, ScalarEvent) and str(event.tag) == _STR):
            self._refuse(event, "tags are not read")

    def _refuse(self, event: Any, sentence: str) -> NoReturn:
        raise BadText(f"{_place(event.start_mark)}: {sentence}", self._where())

    def _where(self) -> str:
        path = "$"
        for key in self._path:
            path = step(path, key)
        return path


def _is_null(event: Any) -> bool:
    """Tell whether a value is null: that of a document with nothing in it, or with a comment only, is."""
    return isinstance(event, ScalarEvent) and event.value in _NULLS and not (event.style or event.tag or event.anchor)


def _place(mark: Any) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}" if mark else "at its end"


def _meaning(text: str) -> object:
    """Return what a plain scalar means in the core schema; ValueError when we do not take that."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] in "+-.0123456789":
        if _DECIMAL.fullmatch(text):
            return number(text)
        if _BASED.fullmatch(text):
            if len(text) > 64 or (whole := int(text, 0)) not in INT64:
                raise ValueError("an integer must lie between -2**63 and 2**63-1")
            return whole
        if _NOT_FINITE.fullmatch(text):
            raise ValueError("a number must be finite")
    return sound(text)
