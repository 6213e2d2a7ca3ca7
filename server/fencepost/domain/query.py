"""SQL that somebody wrote, with its parameters as `$1` or, as JDBC has it, as `?`.

The text is read once, from its beginning to its end: what a quote or a comment opens goes up to where it closes, or to
the end of the text when nothing closes it, so that reading takes time in proportion to the length.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

from fencepost.errors import SQL_FAILED, Refusal, invalid_params

MOST_CHARACTERS = 100_000
Kind = Literal["code", "name", "text", "escaped", "mark", "number"]

# The beginnings of all parts that are not code. A `$` or an `e` behind a letter belongs to a name.
_BEGIN = re.compile(
    r"--|/\*|'|\"|(?<![\w$])[eE]'|(?<![\w$])\$(?:[^\W\d]\w*)?\$|\?\?|\?|(?<![\w$])\$(?P<number>[0-9]{1,9})(?![0-9])"
)
_COMMENT = re.compile(r"/\*|\*/")
_ESCAPE_OR_END = re.compile(r"\\.|''|'", re.DOTALL)
_LOCKS = re.compile(r"\bpg_(?:try_)?advisory\w*", re.IGNORECASE)


class Token(NamedTuple):
    """A piece of a query: code, a quoted name, what is quoted or commented, `??`, `?`, or `$1`."""

    kind: Kind
    text: str


def numbered(text: str, args: int) -> str:
    """Return a query with its parameters as `$1` and so on; raise Refusal unless there are so many as `args`.

    Each `?` is the next parameter, and `??` is the operator `?`. Both are left as they are in a query that has no
    arguments, or has `$1`. A query that is too long, or that calls for a lock by name, is refused too.
    """
    if len(text) > MOST_CHARACTERS:
        raise invalid_params(f"a query has at most {MOST_CHARACTERS} characters", "$.sql")
    found = list(tokens(text))
    for token in found:
        if token.kind in ("code", "name") and (lock := _LOCKS.search(token.text)):
            raise Refusal(SQL_FAILED, at="$.sql", reason=f"a query may not take locks, as {lock[0]} does")
    if not any(token.kind != "text" and token.text.strip("; \t\r\n") for token in found):
        raise invalid_params("the query is empty", "$.sql")
    numbers = {int(token.text[1:]) for token in found if token.kind == "number"}
    marks = 0 if numbers or not args else sum(token.kind == "mark" for token in found)
    wanted = max(numbers, default=marks)
    if wanted != args or numbers - set(range(1, args + 1)):
        raise invalid_params(f"the query has {wanted} parameters, and there are {args} arguments", "$.sql")
    return "".join(_numbering(found)) if marks else text


def tokens(text: str) -> Iterator[Token]:
    """Yield the pieces of a query, which are the query again when they are joined."""
    place = 0
    while begin := _BEGIN.search(text, place):
        if begin.start() > place:
            yield Token("code", text[place : begin.start()])
        kind, place = _piece(text, begin)
        yield Token(kind, text[begin.start() : place])
    if place < len(text):
        yield Token("code", text[place:])


def _numbering(found: list[Token]) -> Iterator[str]:
    last = 0
    for token in found:
        last += token.kind == "mark"
        yield f"${last}" if token.kind == "mark" else "?" if token.kind == "escaped" else token.text


def _piece(text: str, begin: re.Match[str]) -> tuple[Kind, int]:
    """Return of what kind the piece is that begins there, and where it ends."""
    word, start = begin[0], begin.end()
    match word:
        case "?":
            return "mark", start
        case "??":
            return "escaped", start
        case "--":
            return "text", _behind(text, "\n", start)
        case "/*":
            return "text", _comment_end(text, start)
        # Two quotes within stand for one: the second of them begins a piece of its own, of the same kind.
        case '"':
            return "name", _behind(text, word, start)
        case "'":
            return "text", _behind(text, word, start)
        case "e'" | "E'":
            return "text", _escapes_end(text, start)
        case _ if begin["number"]:
            return "number", start
        case _:
            return "text", _behind(text, word, start)


def _behind(text: str, what: str, start: int) -> int:
    place = text.find(what, start)
    return len(text) if place < 0 else place + len(what)


def _comment_end(text: str, start: int) -> int:
    """Return where a comment ends, whose comments have comments."""
    depth = 1
    for edge in _COMMENT.finditer(text, start):
        depth += 1 if edge[0] == "/*" else -1
        if not depth:
            return edge.end()
    return len(text)


def _escapes_end(text: str, start: int) -> int:
    for part in _ESCAPE_OR_END.finditer(text, start):
        if part[0] == "'":
            return part.end()
    return len(text)
