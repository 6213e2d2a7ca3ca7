"""Splits a template into plain text and actions (`{{ … }}`), and actions into tokens."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

KEYWORDS = ("if", "else", "end", "range", "with")
# Keywords of Go that are not supported; each gets an error of its own.
UNKNOWN_KEYWORDS = ("define", "template", "block", "break", "continue")

_TRIMMED = " \t\r\n"
_TOKEN = re.compile(
    r"""(?P<space>[\s]+)
      | (?P<field>(?:\.[A-Za-z_]\w*)+)
      | (?P<variable>\$\w*(?:\.[A-Za-z_]\w*)*)
      | (?P<dot>\.(?![\w]))
      | (?P<name>[A-Za-z_]\w*)
      | (?P<number>[-+]?\d(?:(?<=[eE])[-+]|[\w.])*)
      | (?P<text>"(?:[^"\\\n]|\\.)*")
      | (?P<raw>`[^`]*`)
      | (?P<assign>:=|=)
      | (?P<punctuation>[|(),])""",
    re.VERBOSE,
)
# Quotes and comments may contain `}}`. The alternatives are disjoint, so that the regex does not backtrack: its time is
# linear in the length of the text.
_ACTION = re.compile(
    r"""\{\{(?P<left>-(?=\s))?
        (?:\s*(?P<comment>/\*.*?\*/)\s*?
         | (?P<inside>(?:[^"`}]|"(?:[^"\\\n]|\\.)*"|`[^`]*`|\}(?!\}))*?))
        (?P<right>(?<=\s)-)?\}\}""",
    re.VERBOSE | re.DOTALL,
)


class BadTemplate(ValueError):
    """A template that cannot be parsed or rendered; the message has the reason, with line and column."""


class Token(NamedTuple):
    """One token of an action; `kind` is a group name of the pattern above, `at` the offset in the whole text."""

    kind: str
    text: str
    at: int


class Segment(NamedTuple):
    """Plain text (`tokens` is None), or the tokens of one action; `at` is the offset in the whole text."""

    text: str
    tokens: list[Token] | None
    at: int


def segments(text: str) -> Iterator[Segment]:
    """Split a template into plain text and actions; `{{-` and `-}}` trim white space. Raises BadTemplate."""
    at, trims = 0, False
    while (begin := text.find("{{", at)) >= 0:
        found = _ACTION.match(text, begin)
        if found is None:
            raise BadTemplate(f"{location(text, begin)}: {{{{ without a closing }}}}")
        plain = text[at:begin]
        plain = plain.lstrip(_TRIMMED) if trims else plain
        yield Segment(plain.rstrip(_TRIMMED) if found["left"] else plain, None, at)
        if found["comment"] is None:
            yield Segment("", _tokens(text, found.start("inside"), found["inside"]), begin)
        at, trims = found.end(), found["right"] is not None
    yield Segment(text[at:].lstrip(_TRIMMED) if trims else text[at:], None, at)


def location(text: str, at: int) -> str:
    """Return an offset as line and column, both counted from 1."""
    return f"line {text.count(chr(10), 0, at) + 1}, column {at - text.rfind(chr(10), 0, at)}"


def unquoted(token: Token, source: str) -> str:
    """Return the text of a quoted token; raise BadTemplate for a bad escape."""
    if token.kind == "raw":
        return token.text[1:-1]
    try:
        text = str(json.loads(token.text))
        text.encode()  # refuses half of a surrogate pair
    except ValueError:
        raise BadTemplate(f"{location(source, token.at)}: {token.text} is not a valid string") from None
    return text


def _tokens(source: str, offset: int, inside: str) -> list[Token]:
    tokens, at = [], 0
    while at < len(inside):
        found = _TOKEN.match(inside, at)
        if found is None:
            raise BadTemplate(f"{location(source, offset + at)}: cannot read {inside[at : at + 10]!r}")
        kind = found.lastgroup or ""
        if kind != "space":
            tokens.append(Token(kind, found[0], offset + at))
        at = found.end()
    return tokens
