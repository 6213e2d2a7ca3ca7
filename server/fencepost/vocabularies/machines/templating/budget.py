"""Limits the work that one rendering may do, counted in steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fencepost.vocabularies.machines.templating.lexer import BadTemplate
from fencepost.vocabularies.machines.templating.values import value_count

_CHARACTERS_PER_STEP = 1000
_VALUES_PER_STEP = 2
# Patterns, and functions that look at each character, are slower than the rest.
_STEPS_PER_CALL = {"regexMatch": 1000, "mustRegexMatch": 1000}
_COST_FACTORS = dict.fromkeys(
    ("lower", "upper", "title", "nospace", "quote", "printf", "trimAll", "trimall", "split", "splitn", "splitList"), 50
)


class Budget:
    """The steps that one rendering has left."""

    def __init__(self, max_steps: int) -> None:
        self._max_steps = max_steps
        self._left = max_steps

    def spend(self, count: int = 1) -> None:
        """Spend some steps; raise BadTemplate when none are left."""
        self._left -= count
        if self._left < 0:
            raise BadTemplate(f"the template is too expensive: it takes at most {self._max_steps} steps")

    def spend_call(self, function: str) -> None:
        """Spend the steps of one function call, without its arguments."""
        self.spend(_STEPS_PER_CALL.get(function, 1))

    def spend_arguments(self, function: str, values: Sequence[Any]) -> None:
        """Spend the steps for the texts, lists and maps that a function iterates over."""
        self.spend(_cost(values) * _COST_FACTORS.get(function, 1))

    def spend_value(self, value: Any) -> None:
        """Spend the steps for the result of a function."""
        self.spend(_cost([value]))


def _cost(values: Sequence[Any]) -> int:
    characters = sum(len(value) for value in values if isinstance(value, str))
    nested = sum(value_count(value) for value in values if isinstance(value, list | dict))
    return characters // _CHARACTERS_PER_STEP + nested // _VALUES_PER_STEP
