"""Values of templates: the lists and maps that a template makes, and arguments that must be of a kind."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from fencepost.notation.text import INT64
from fencepost.vocabularies.machines.templating.lexer import BadTemplate
from fencepost.vocabularies.machines.templating.printing import kind_of

LONGEST = 1 << 20
MOST_ITEMS = 10_000
_MOST_PARTS = 100_000
_DEEPEST = 50
_WHOLE = re.compile(r"[-+]?(?:0[xX][0-9a-fA-F]+|0[oO]?[0-7]*|0[bB][01]+|[1-9][0-9]*)")


class Parts(list[Any]):
    """A list that a template made; how many values it comes to with all that is in it, and how deep that is."""

    def __init__(self, values: list[Any]) -> None:
        super().__init__(values)
        self.parts, self.depth = _limited(values)


class Named(dict[str, Any]):
    """A map that a template made; how many values it comes to with all that is in it, and how deep that is."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__(values)
        self.parts, self.depth = _limited(values.values())


def parts_of(value: Any) -> int:
    """Return how many values a value comes to: a list that holds another one twice comes to twice as many."""
    if isinstance(value, Parts | Named):
        return value.parts
    if isinstance(value, list):
        return 1 + sum(map(parts_of, value))
    return 1 + sum(map(parts_of, value.values())) if isinstance(value, dict) else 1


def text_of(value: Any) -> str:
    """Return a text; refuse what is none."""
    if not isinstance(value, str):
        raise BadTemplate(f"expected text, not {kind_of(value)}")
    return value


def whole_of(value: Any) -> int:
    """Return a whole number; refuse what is none."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadTemplate(f"expected a whole number, not {kind_of(value)}")
    return value


def _limited(values: Collection[Any]) -> tuple[int, int]:
    """Return how many values some come to within another one, and how deep that is; refuse too many or too deep."""
    parts = 1 + sum(map(parts_of, values))
    depth = 1 + max((value.depth for value in values if isinstance(value, Parts | Named)), default=0)
    if parts > _MOST_PARTS:
        raise BadTemplate(f"there are more than {_MOST_PARTS} values in it")
    if depth > _DEEPEST:
        raise BadTemplate(f"it is nested more than {_DEEPEST} levels deep")
    return parts, depth


def list_of(value: Any) -> list[Any]:
    """Return a list; refuse what is none."""
    if not isinstance(value, list):
        raise BadTemplate(f"expected a list, not {kind_of(value)}")
    return value


def map_of(value: Any) -> dict[str, Any]:
    """Return a map; refuse what is none."""
    if not isinstance(value, dict):
        raise BadTemplate(f"expected a map, not {kind_of(value)}")
    return value


def integer_of(value: Any) -> int:
    """Return the whole number that a number, a boolean or the digits of a text mean."""
    if isinstance(value, str) and _WHOLE.fullmatch(value) and len(value) <= 70:
        sign, digits = (value[:1], value[1:]) if value[:1] in "+-" else ("", value)
        octal = len(digits) > 1 and digits[0] == "0" and digits[1].isdigit()
        value = int(sign + ("0o" + digits[1:] if octal else digits), 0)
    if isinstance(value, float) and abs(value) < 2**63:
        value = int(value)
    if not isinstance(value, int) or value not in INT64:
        raise BadTemplate(f"expected a whole number, not {kind_of(value)}")
    return int(value)
