"""What stands between `{{` and `}}`: cut into words, with the place of each in the text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

KEYWORDS = ("if", "else", "end", "range", "with")
# Go's language has more than we run; each of these is refused by its name.
UNKNOWN_KEYWORDS = ("define", "template", "block", "break", "continue")

_TRIMMED = " \t\r\n"
_WORD = re.compile(
    r"""(?P<space>[\s]+)
      | (?P<field>(?:\.[A-Za-z_]\w*)+)
      | (?P<variable>\$\w*(?:\.[A-Za-z_]\w*)*)
      | (?P<dot>\.(?![\w]))
      | (?P<name>[A-Za-z_]\w*)
      | (?P<number>[-+]?\d(?:(?<=[eE])[-+]|[\w.])*)
      | (?P<text>"(?:[^"\\\n]|\\.)*")
      | (?P<raw>`[^`]*`)
      | (?P<assign>:=|=)
      | (?P<mark>[|(),])""",
    re.VERBOSE,
)
# What stands in quotes does not end an action, and a comment may hold anything. No two ways lead through the same text:
# the time that this takes grows with its length and no faster.
_ACTION = re.compile(
    r"""\{\{(?P<left>-(?=\s))?
        (?:\s*(?P<comment>/\*.*?\*/)\s*?
         | (?P<inside>(?:[^"`}]|"(?:[^"\\\n]|\\.)*"|`[^`]*`|\}(?!\}))*?))
        (?P<right>(?<=\s)-)?\}\}""",
    re.VERBOSE | re.DOTALL,
)


class BadTemplate(ValueError):
    """A template that cannot be read, or not with this data; its text says why, with line and column."""


class Word(NamedTuple):
    """One word of an action: its kind is the name of its group above."""

    kind: str
    text: str
    at: int


class Piece(NamedTuple):
    """Plain text, or the words of one action; `at` is the offset in the whole text."""

    text: str
    words: list[Word] | None
    at: int


def pieces(text: str) -> Iterator[Piece]:
    """Cut a template into plain text and actions, with the white space gone that `{{-` and `-}}` take away."""
    at, trims = 0, False
    while (begin := text.find("{{", at)) >= 0:
        found = _ACTION.match(text, begin)
        if found is None:
            raise BadTemplate(f"{place(text, begin)}: {{{{ without its }}}}")
        plain = text[at:begin]
        plain = plain.lstrip(_TRIMMED) if trims else plain
        yield Piece(plain.rstrip(_TRIMMED) if found["left"] else plain, None, at)
        if found["comment"] is None:
            yield Piece("", _words(text, found.start("inside"), found["inside"]), begin)
        at, trims = found.end(), found["right"] is not None
    yield Piece(text[at:].lstrip(_TRIMMED) if trims else text[at:], None, at)


def place(text: str, at: int) -> str:
    """Return where an offset is, as people count."""
    return f"line {text.count(chr(10), 0, at) + 1}, column {at - text.rfind(chr(10), 0, at)}"


def unquoted(word: Word, source: str) -> str:
    """Return what a text in quotes means."""
    if word.kind == "raw":
        return word.text[1:-1]
    try:
        text = str(json.loads(word.text))
        text.encode()  # half of a surrogate pair can be written, and is no text
    except ValueError:
        raise BadTemplate(f"{place(source, word.at)}: {word.text} is not text as we read it") from None
    return text


def _words(source: str, offset: int, inside: str) -> list[Word]:
    words, at = [], 0
    while at < len(inside):
        found = _WORD.match(inside, at)
        if found is None:
            raise BadTemplate(f"{place(source, offset + at)}: cannot read {inside[at : at + 10]!r}")
        kind = found.lastgroup or ""
        if kind != "space":
            words.append(Word(kind, found[0], offset + at))
        at = found.end()
    return words
