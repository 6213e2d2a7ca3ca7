"""The cost of evaluating a template, counted in steps: it bounds every rendering."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fencepost.vocabularies.machines.templating.lexer import BadTemplate
from fencepost.vocabularies.machines.templating.values import parts_of

_CHARACTERS_A_STEP = 1000
_PARTS_A_STEP = 2
# A pattern takes long, for a function; and so do those that look at each character.
_CALLS = {"regexMatch": 1000, "mustRegexMatch": 1000}
_BY_CHARACTER = dict.fromkeys(
    ("lower", "upper", "title", "nospace", "quote", "printf", "trimAll", "trimall", "split", "splitn", "splitList"), 50
)


class Steps:
    """The steps that one rendering has left."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._left = most

    def take(self, count: int = 1) -> None:
        """Count; raise BadTemplate when it was too much."""
        self._left -= count
        if self._left < 0:
            raise BadTemplate(f"there is too much to do: a template takes at most {self._most} steps")

    def take_call(self, function: str) -> None:
        """Count a call of a function, without its arguments."""
        self.take(_CALLS.get(function, 1))

    def take_arguments(self, function: str, values: Sequence[Any]) -> None:
        """Count the texts, lists and maps that a function goes through."""
        self.take(_length(values) * _BY_CHARACTER.get(function, 1))

    def take_value(self, value: Any) -> None:
        """Count a value that was made."""
        self.take(_length([value]))


def _length(values: Sequence[Any]) -> int:
    texts = sum(len(value) for value in values if isinstance(value, str))
    parts = sum(parts_of(value) for value in values if isinstance(value, list | dict))
    return texts // _CHARACTERS_A_STEP + parts // _PARTS_A_STEP
