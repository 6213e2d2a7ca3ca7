"""Values of templates: lists and maps made by a template, and type checks of function arguments."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from fencepost.notation.text import INT64
from fencepost.vocabularies.machines.templating.formatting import type_name
from fencepost.vocabularies.machines.templating.lexer import BadTemplate

MAX_TEXT = 1 << 20  # characters
MAX_ITEMS = 10_000
_MAX_VALUES = 100_000
_MAX_DEPTH = 50
_INTEGER = re.compile(r"[-+]?(?:0[xX][0-9a-fA-F]+|0[oO]?[0-7]*|0[bB][01]+|[1-9][0-9]*)")


class BoundedList(list[Any]):
    """A list made by a template, with its number of nested values and its depth; raises BadTemplate if too large."""

    def __init__(self, values: list[Any]) -> None:
        super().__init__(values)
        self.value_count, self.depth = _measured(values)


class BoundedMap(dict[str, Any]):
    """A map made by a template, with its number of nested values and its depth; raises BadTemplate if too large."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__(values)
        self.value_count, self.depth = _measured(values.values())


def value_count(value: Any) -> int:
    """Return the number of nested values, including itself; a value that occurs twice counts twice."""
    if isinstance(value, BoundedList | BoundedMap):
        return value.value_count
    if isinstance(value, list):
        return 1 + sum(map(value_count, value))
    return 1 + sum(map(value_count, value.values())) if isinstance(value, dict) else 1


def text_of(value: Any) -> str:
    """Return a text; raise BadTemplate for any other type."""
    if not isinstance(value, str):
        raise BadTemplate(f"expected text, not {type_name(value)}")
    return value


def int_of(value: Any) -> int:
    """Return a whole number; raise BadTemplate for any other type."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadTemplate(f"expected a whole number, not {type_name(value)}")
    return value


def _measured(values: Collection[Any]) -> tuple[int, int]:
    """Return the value count and the depth of a collection of these values; raise BadTemplate above the limits."""
    count = 1 + sum(map(value_count, values))
    depth = 1 + max((value.depth for value in values if isinstance(value, BoundedList | BoundedMap)), default=0)
    if count > _MAX_VALUES:
        raise BadTemplate(f"there are more than {_MAX_VALUES} values in it")
    if depth > _MAX_DEPTH:
        raise BadTemplate(f"it is nested more than {_MAX_DEPTH} levels deep")
    return count, depth


def list_of(value: Any) -> list[Any]:
    """Return a list; raise BadTemplate for any other type."""
    if not isinstance(value, list):
        raise BadTemplate(f"expected a list, not {type_name(value)}")
    return value


def map_of(value: Any) -> dict[str, Any]:
    """Return a map; raise BadTemplate for any other type."""
    if not isinstance(value, dict):
        raise BadTemplate(f"expected a map, not {type_name(value)}")
    return value


def to_int(value: Any) -> int:
    """Convert a number, a boolean or a text of digits to a whole number of 64 bits; raise BadTemplate otherwise."""
    if isinstance(value, str) and _INTEGER.fullmatch(value) and len(value) <= 70:
        sign, digits = (value[:1], value[1:]) if value[:1] in "+-" else ("", value)
        octal = len(digits) > 1 and digits[0] == "0" and digits[1].isdigit()
        value = int(sign + ("0o" + digits[1:] if octal else digits), 0)
    if isinstance(value, float) and abs(value) < 2**63:
        value = int(value)
    if not isinstance(value, int) or value not in INT64:
        raise BadTemplate(f"expected a whole number, not {type_name(value)}")
    return int(value)
