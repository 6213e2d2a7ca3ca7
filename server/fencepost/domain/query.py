"""SQL of callers, with its parameters as `$1` or, as in JDBC, as `?`.

The text is scanned once. A string or a comment that is not closed reaches to the end of the text, so the scan takes
time in proportion to the length.
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
    """A piece of a query: code, a quoted name, a string or a comment, `??`, `?`, or `$1`."""

    kind: Kind
    text: str


def numbered(text: str, args: int) -> str:
    """Return a query with its parameters as `$1` and so on.

    Each `?` is the next parameter, and `??` is the operator `?`. Both stay unchanged in a query without arguments, or
    with `$1`. Raises Refusal: `invalid-params` for an empty or long query and when the number of parameters is not
    `args`, `sql-failed` for a query that names an advisory lock function.
    """
    if len(text) > MOST_CHARACTERS:
        raise invalid_params(f"a query has at most {MOST_CHARACTERS} characters", "sql")
    found = list(tokens(text))
    for token in found:
        if token.kind in ("code", "name") and (lock := _LOCKS.search(token.text)):
            raise Refusal(SQL_FAILED, field="sql", reason=f"a query may not take locks, as {lock[0]} does")
    if not any(token.kind != "text" and token.text.strip("; \t\r\n") for token in found):
        raise invalid_params("the query is empty", "sql")
    numbers = {int(token.text[1:]) for token in found if token.kind == "number"}
    marks = 0 if numbers or not args else sum(token.kind == "mark" for token in found)
    wanted = max(numbers, default=marks)
    if wanted != args or numbers - set(range(1, args + 1)):
        raise invalid_params(f"the query has {wanted} parameters, and there are {args} arguments", "sql")
    return "".join(_numbering(found)) if marks else text


def tokens(text: str) -> Iterator[Token]:
    """Yield the pieces of a query; joined, they are the query."""
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
    """Return the kind of the piece that begins there, and the position of its end."""
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
        # A doubled quote is an escaped one: its second half begins another piece of the same kind.
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
    """Return the position of the end of a comment; comments can nest."""
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
