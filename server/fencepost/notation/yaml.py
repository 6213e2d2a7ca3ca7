"""Converts YAML bodies to JSON text.

It reads the core schema of YAML 1.2 as plain data: null, booleans, numbers, text, lists, and maps with text keys (`1:`
and `"1":` are the same key). Dates, `no`, `on` and anything in quotes are text. It refuses tags (except `!!str`),
anchors, aliases, the merge key `<<` (unquoted; `"<<"` is an ordinary key), keys that are lists or maps, duplicate keys,
a second document (null ones do not count), `.inf` and `.nan`, and all values that are refused in JSON. A JSON body is
returned unchanged.

The parser is libyaml, used by its events, so that aliases cannot multiply objects. It reads flow style by the rules of
YAML 1.1, which forbid `{at: 12:30}` and `{include-log?: true}`. If it fails on such a rule, a body that is short enough
is parsed again by the parser in Python, which is twenty times slower.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import reduce
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
# Each with the hint for a body that is too long for the second parser.
_STALE_RULES = {
    "found unexpected ':'": _IN_FLOW,
    "did not find expected ',' or '}'": _IN_FLOW,
    "did not find expected ',' or ']'": _IN_FLOW,
    # JSON writers escape a character as two halves of a surrogate pair.
    "found invalid Unicode character escape code": "",
    # YAML 1.2 accepts a document after `...` without a `---` of its own.
    "did not find expected <document start>": "",
}
_DEPTH, _NODES = 64, 100_000
_SECOND_READING = 4096  # characters: 40 ms at worst

# Characters that YAML forbids, and line breaks of 1.1 that 1.2 does not have: the parsers would change them silently.
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
    """Return a YAML body as JSON; raise BadText, with line and column in its message, if it is refused.

    A scalar, a list and a map count as one node each, keys do not. An empty document is null. With `plain`, scalars
    except null stay text, for callers that parse numbers themselves.
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
        # The scanner in Python is slowest with open brackets, so their number is bounded too.
        if len(body) > _SECOND_READING or body.count("[") + body.count("{") > max_depth:
            raise
    return orjson.dumps(_Reading(_events(body), max_depth, max_nodes, plain=plain).document())


def documents(text: bytes) -> list[bytes]:
    """Return each document of a YAML stream as JSON, without the empty ones; raise BadText as `to_json` does.

    For trusted files only: the slow second parser runs for a file of any length.
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
    # The parser compares each directive with all earlier ones, and tags are not supported anyway.
    if body.startswith("%TAG") or "\n%TAG" in body:
        raise BadText("%TAG is not read")
    if found := _UNFIT.search(body):
        line, column = body.count("\n", 0, found.start()) + 1, found.start() - body.rfind("\n", 0, found.start())
        raise BadText(f"line {line}, column {column}: the character U+{ord(found[0]):04X} must be escaped")


class _StaleRule(BadText):
    """An error by a rule of YAML 1.1 that YAML 1.2 has dropped."""


def _as_json(body: str, max_depth: int) -> bytes | None:
    """Return a body unchanged if it is JSON, else None."""
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
    """Converts one stream of parser events; keeps the current path for error messages."""

    def __init__(
        self, next_event: _NextEvent, max_depth: int = _DEPTH, max_nodes: int = _NODES, *, plain: bool = False
    ) -> None:
        self._plain = plain
        self._next = next_event
        self._max_depth = max_depth
        self._nodes_left = self._max_nodes = max_nodes
        self._path: list[str | int] = []

    def document(self) -> object:
        """Return the only document of the stream; null if there is none."""
        return next(iter(self.documents(most=1)), None)

    def documents(self, most: int | None = None) -> list[object]:
        """Return the documents that are not null; depth and number of values are bounded for each."""
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
            # The parser in Python raises the last three for an escape beyond Unicode or an unknown version.
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
                self._refuse(event, f"the key {shown(key)} occurs twice in one map")
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
        return reduce(step, self._path, "")


def _is_null(event: Any) -> bool:
    """Return whether a value is null; so is that of an empty document, or of one with only a comment."""
    return isinstance(event, ScalarEvent) and event.value in _NULLS and not (event.style or event.tag or event.anchor)


def _place(mark: Any) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}" if mark else "at its end"


def _meaning(text: str) -> object:
    """Return the value of a plain scalar in the core schema; raise ValueError if it is refused."""
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
