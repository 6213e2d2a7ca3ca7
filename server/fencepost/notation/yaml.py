"""YAML at the door: a body becomes JSON text, a JSON answer becomes YAML.

Read is the core schema of YAML 1.2 as plain data: null, booleans, numbers and text, lists, and maps whose keys are text
as it is written (`1:` and `"1":` are one key). Dates, `no` and `on` are text; whatever is quoted is text. Refused are
tags (but `!!str`), anchors, aliases, the merge key `<<` (written plain; `"<<"` is a key like any other), keys that are
lists or maps, duplicate keys, a second document, `.inf` and `.nan`, and what JSON text may not hold either.
A body that is JSON passes as it is.

The parser is libyaml, by its events: no object is built that a bomb could multiply. It is an old one and reads flow
style by the rules of YAML 1.1, which forbid `{at: 12:30}` and `{include-log?: true}`. When it stumbles over that, a
body short enough for the parser in Python, which is twenty times slower, gets a second reading.
"""

import re
from collections.abc import Callable, Iterator
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

_STALE_RULES = {
    "found unexpected ':'",
    "did not find expected ',' or '}'",
    "did not find expected ',' or ']'",
    "found invalid Unicode character escape code",  # both halves of a surrogate pair, which JSON writers escape
}
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


def to_json(text: bytes, *, max_depth: int = 64, max_nodes: int = 100_000, plain: bool = False) -> bytes:
    """Return a YAML body as JSON; raise BadText, with line and column in its message, for what we do not take.

    A scalar, a list and a map count as one node each, keys do not. An empty document is null. With `plain` every scalar
    but null stays the text that it is written as, for those who know by themselves what is a number.
    """
    try:
        body = text.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise BadText(f"not UTF-8: byte 0x{text[error.start]:02x} at offset {error.start}") from None
    if not plain and (bare := body.strip(" \t\r\n"))[:1] in ("{", "[") and _is_json(raw := bare.encode()):
        check(raw, max_depth=max_depth)
        return raw
    if found := _UNFIT.search(body):
        line, column = body.count("\n", 0, found.start()) + 1, found.start() - body.rfind("\n", 0, found.start())
        raise BadText(f"line {line}, column {column}: the character U+{ord(found[0]):04X} can only stand escaped")
    if CParser is None:
        return orjson.dumps(_Reading(_events(body), max_depth, max_nodes, plain=plain).document())
    try:
        return orjson.dumps(_Reading(CParser(body).get_event, max_depth, max_nodes, plain=plain).document())
    except _StaleRule:
        # The scanner in Python is at its worst with open brackets, so their number is bounded as well.
        if len(body) > _SECOND_READING or body.count("[") + body.count("{") > max_depth:
            raise
    return orjson.dumps(_Reading(_events(body), max_depth, max_nodes, plain=plain).document())


class _StaleRule(BadText):
    """A refusal by a rule of YAML 1.1 that 1.2 has dropped."""


def _is_json(raw: bytes) -> bool:
    try:
        orjson.loads(raw)
    except orjson.JSONDecodeError:
        return False
    return True


def _events(body: str) -> _NextEvent:
    events: Iterator[Any] = YAML(typ="safe", pure=True).parse(body)
    return events.__next__


class _Reading:
    """One reading of one document; keeps the path to where it stands, for refusals."""

    def __init__(self, next_event: _NextEvent, max_depth: int, max_nodes: int, *, plain: bool) -> None:
        self._plain = plain
        self._next = next_event
        self._max_depth = max_depth
        self._nodes_left = max_nodes
        self._path: list[str | int] = []

    def document(self) -> object:
        try:
            self._next()
            if isinstance(self._next(), StreamEndEvent):
                return None
            value = self._value(self._next(), 1)
            self._next()
            event = self._next()
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            refusal = _StaleRule if error.problem in _STALE_RULES else BadText
            hint = "; if text inside of [ ] or { } holds : or ?, quote it" if refusal is _StaleRule else ""
            raise refusal(f"not YAML: {_place(mark)}: {error.problem}{hint}", self._where()) from None
        except BadText:
            raise
        except (YAMLError, ValueError, OverflowError, AssertionError) as error:
            # The last three leak from the parser in Python: an escape beyond Unicode, a version it does not know.
            raise BadText(f"not YAML: {error}", self._where()) from None
        if not isinstance(event, StreamEndEvent):
            self._refuse(event, "a body is one document, and a second one begins")
        return value

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


# What stands without quotes must be text to every reader, of YAML 1.1 too: so it begins with a letter, `_` or `/`,
# unless it is a UUID (no number has four hyphens).
_BARE = re.compile(
    r"[A-Za-z_/][A-Za-z0-9_./?@+(),-]*(?: [A-Za-z0-9_./@+()][A-Za-z0-9_./?@+(),-]*)*"
    r"|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
)
_LONGEST_BARE = 100
_LONGEST_KEY = 1000  # characters; a parser need not look further than 1024 for the colon
_NOT_TEXT = {"y", "yes", "n", "no", "on", "off", "true", "false", "null", "nan", "inf", "infinity"}
# Parsers refuse these unescaped, or take them for line breaks or for a byte order mark.
_TO_ESCAPE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def from_json(text: bytes) -> bytes:
    """Return JSON as YAML in block style, ending with a newline."""
    lines: list[str] = []
    _write(lines, "", orjson.loads(text), "")
    lines.append("")
    return "\n".join(lines).encode()


def _write(lines: list[str], lead: str, value: object, indent: str) -> None:
    """Add the lines of a value: `lead` begins the first one, `indent` the others."""
    match value:
        case dict() if value:
            for key, item in value.items():
                name = _written(key)
                if len(name) > _LONGEST_KEY:
                    lines.append(f"{lead}? {name}")
                    lead, name = indent, ""
                if isinstance(item, dict | list) and item:
                    lines.append(f"{lead}{name}:")
                    _write(lines, f"{indent}  ", item, f"{indent}  ")
                else:
                    lines.append(f"{lead}{name}: {_written(item)}")
                lead = indent
        case list() if value:
            for item in value:
                _write(lines, f"{lead}- ", item, f"{indent}  ")
                lead = indent
        case _:
            lines.append(f"{lead}{_written(value)}")


def _written(value: object) -> str:
    """Return a scalar, an empty map or an empty list."""
    match value:
        case str():
            if len(value) <= _LONGEST_BARE and _BARE.fullmatch(value) and value.lower() not in _NOT_TEXT:
                return value
            quoted = orjson.dumps(value).decode()
            return _TO_ESCAPE.sub(lambda found: f"\\u{ord(found[0]):04x}", quoted)
        case float():
            # YAML 1.1 wants a point and a signed exponent, or it reads text.
            mantissa, e, exponent = repr(value).partition("e")
            return f"{mantissa if '.' in mantissa else f'{mantissa}.0'}{e}{exponent}"
        case _:
            return orjson.dumps(value).decode()
