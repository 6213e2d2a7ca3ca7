"""SQL that somebody wrote, with its parameters as `$1` or, as JDBC has it, as `?`."""

from __future__ import annotations

import re

from fencepost.errors import invalid_params

# What stands between quotes or in a comment is no parameter, whatever it looks like.
_TOKEN = re.compile(
    r"""
    (?P<text>
        \b[eE]'(?:[^'\\]|\\.|'')*'          # with escapes
        | '(?:[^']|'')*' | "(?:[^"]|"")*"
        | --[^\n]* | /\*.*?\*/
        | \$(?P<tag>[A-Za-z_]\w*|)\$.*?\$(?P=tag)\$
    )
    | (?P<escaped>\?\?) | (?P<mark>\?) | \$(?P<number>[0-9]+)
    """,
    re.VERBOSE | re.DOTALL,
)


def numbered(text: str, args: int) -> str:
    """Return a query with its parameters as `$1` and so on; raise Refusal unless there are so many as `args`.

    Each `?` is the next parameter, and `??` is the operator `?`. Both are left as they are in a query that has no
    arguments, or has `$1`.
    """
    tokens = list(_TOKEN.finditer(text))
    numbers = {int(token["number"]) for token in tokens if token["number"]}
    marks = 0 if numbers or not args else sum(token["mark"] is not None for token in tokens)
    wanted = max(numbers, default=marks)
    if wanted != args or numbers - set(range(1, args + 1)):
        raise invalid_params(f"the query has {wanted} parameters, and there are {args} arguments", "$.sql")
    return _TOKEN.sub(_Numbering(), text) if marks else text


class _Numbering:
    """Gives each `?` the next number."""

    def __init__(self) -> None:
        self._last = 0

    def __call__(self, token: re.Match[str]) -> str:
        if token["escaped"]:
            return "?"
        if not token["mark"]:
            return token[0]
        self._last += 1
        return f"${self._last}"
