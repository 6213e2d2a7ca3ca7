"""Suggestions for unknown names: the nearest known name.

Their cost is bounded: in the lengths of names, in the names that are compared letter by letter, and in the suggestions
of one request. A name is suggested if at most one letter in three of its last part differs, or if it begins with the
unknown name.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from itertools import islice, takewhile

from fencepost.domain.request_budget import current_budget

_LONGEST = 200
_MOST_NAMES = 5_000
_SHORTEST_BEGINNING = 3
_MOST_COMPARED = 50
_MOST_WRONG = 3


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the nearest known name; None when none is near, or the request's budget is used up."""
    if not 0 < len(name) <= _LONGEST or not current_budget().take_suggestion():
        return None
    wanted, names = name.casefold(), list(islice(known, _MOST_NAMES))
    best, found = _wrong_at_most(wanted) + 1, None
    for other in _candidates(wanted, names, best - 1):
        distance = _distance(wanted, other.casefold(), best - 1)
        if distance < best:
            best, found = distance, other
    return found or _longer(wanted, names)


def hint(name: str, known: Iterable[str]) -> str:
    """Return the end of a sentence that suggests the nearest name, or nothing."""
    near = nearest(name, known)
    return "" if near is None else f"; did you mean {near!r}?"


def shortened(name: str) -> str:
    """Return a name for a message, cut if it is longer than any valid name."""
    return name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"


def _wrong_at_most(name: str) -> int:
    if len(name) < _SHORTEST_BEGINNING:
        return 0
    # Only the last part counts: the parts before a slash are mostly right.
    return min(_MOST_WRONG, max(len(name) > _SHORTEST_BEGINNING, (len(name.rpartition("/")[2]) + 2) // 3))


def _candidates(name: str, names: list[str], most: int) -> list[str]:
    """Return the names that can be near: they contain at least one of more parts than there are wrong letters."""
    size = max(1, len(name) // (2 * most + 1))
    parts = [name[start : start + size] for start in range(0, len(name), size)]

    def unlike(other: str) -> tuple[int, int]:
        folded = other.casefold()
        return len([part for part in parts if part not in folded]), abs(len(folded) - len(name))

    near = [other for other in names if abs(len(other) - len(name)) <= most]
    return heapq.nsmallest(_MOST_COMPARED, near, key=unlike)


def _longer(name: str, names: list[str]) -> str | None:
    """Return the shortest name that begins with `name`, or has a part after a slash that does."""
    if len(name) < _SHORTEST_BEGINNING:
        return None
    behind = f"/{name}"
    longer = [other for other in names if (folded := other.casefold()).startswith(name) or behind in folded]
    return min(longer, key=lambda other: (len(other), other), default=None)


def _distance(one: str, other: str, most: int) -> int:
    """Return the number of letters that are wrong, missing, too many or swapped with the next, `most` + 1 at most.

    Only the differing middle is compared, and there only positions at most `most` letters apart.
    """
    one, other = _without_common(one, other)
    before, last = dict[int, int](), {column: column for column in range(most + 1)}
    for row, letter in enumerate(one, 1):
        line: dict[int, int] = {0: row} if row <= most else {}
        for column in range(max(1, row - most), min(len(other), row + most) + 1):
            cost = last.get(column - 1, most + 1) + (letter != other[column - 1])
            cost = min(cost, last.get(column, most + 1) + 1, line.get(column - 1, most + 1) + 1)
            if row > 1 < column and letter == other[column - 2] and one[row - 2] == other[column - 1]:
                cost = min(cost, before.get(column - 2, most + 1) + 1)
            line[column] = cost
        if min(line.values(), default=most + 1) > most:
            return most + 1
        before, last = last, line
    return min(last.get(len(other), most + 1), most + 1)


def _without_common(one: str, other: str) -> tuple[str, str]:
    """Return two texts without their common prefix and suffix."""
    begin = _common(one, other)
    one, other = one[begin:], other[begin:]
    end = _common(reversed(one), reversed(other))
    return one[: len(one) - end], other[: len(other) - end]


def _common(one: Iterable[str], other: Iterable[str]) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
