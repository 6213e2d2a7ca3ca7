"""Functions of the Sprig library for text, lists, maps and numbers, which templates of v0.10.1 and later may call.

Results are those of Sprig, except for wrong arguments: where Sprig returns an empty text or a zero, or crashes, these
raise BadTemplate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fencepost.notation.text import INT64
from fencepost.vocabularies.machines.templating.formatting import type_name
from fencepost.vocabularies.machines.templating.lexer import BadTemplate
from fencepost.vocabularies.machines.templating.sprig_text import TEXT, Function
from fencepost.vocabularies.machines.templating.values import (
    MAX_ITEMS,
    BoundedList,
    BoundedMap,
    list_of,
    map_of,
    text_of,
    to_int,
)


def _sum(*values: Any) -> int:
    return _fits(sum(map(to_int, values)))


def _product(*values: Any) -> int:
    product = 1
    for value in values:
        product = _fits(product * to_int(value))
    return product


def _fits(value: int) -> int:
    if value not in INT64:
        raise BadTemplate("the number has more than 64 bits")
    return value


def _divided(one: Any, other: Any) -> tuple[int, int]:
    """Return quotient and remainder; the remainder has the sign of the first number."""
    first, second = to_int(one), to_int(other)
    if second == 0:
        raise BadTemplate("cannot divide by 0")
    quotient = abs(first) // abs(second) * (1 if (first < 0) == (second < 0) else -1)
    return _fits(quotient), first - quotient * second


def _coalesce(*values: Any) -> Any:
    return next((value for value in values if value), None)


def _ternary(one: Any, other: Any, which: Any) -> Any:
    if not isinstance(which, bool):
        raise BadTemplate(f"expected a boolean, not {type_name(which)}")
    return one if which else other


def _fail(message: Any) -> Any:
    raise BadTemplate(text_of(message))


def _until(count: Any) -> BoundedList:
    number = to_int(count)
    if abs(number) > MAX_ITEMS:
        raise BadTemplate(f"{number} is more than {MAX_ITEMS}")
    return BoundedList([*range(number)] if number >= 0 else [*range(0, number, -1)])


def _dict(*pairs: Any) -> BoundedMap:
    if len(pairs) % 2:
        raise BadTemplate("expected a value after each name")
    return BoundedMap({text_of(pairs[place]): pairs[place + 1] for place in range(0, len(pairs), 2)})


def _at_end(place: int) -> Callable[[Any], Any]:
    return lambda values: values[place] if list_of(values) else None


def _uniq(values: Any) -> BoundedList:
    kept: dict[tuple[type, Any], Any] = {}
    for value in list_of(values):
        if isinstance(value, list | dict):
            raise BadTemplate(f"cannot compare {type_name(value)}")
        kept.setdefault((type(value), value), value)
    return BoundedList([*kept.values()])


def _has(wanted: Any, values: Any) -> bool:
    # In Python True equals 1, in Sprig it does not.
    return any(type(value) is type(wanted) and value == wanted for value in list_of(values))


def _extreme(choose: Callable[[list[int]], int]) -> Callable[..., int]:
    return lambda *values: choose([*map(to_int, values)])


def _chained(*lists: Any) -> BoundedList:
    return BoundedList([value for values in lists for value in list_of(values)])


_NUMBERS: Mapping[str, Function] = {
    "int": (to_int, 1, 1),
    "int64": (to_int, 1, 1),
    "atoi": (lambda text: to_int(text_of(text)), 1, 1),
    "add": (_sum, 1, 32),
    "add1": (lambda value: _sum(value, 1), 1, 1),
    "sub": (lambda one, other: _fits(to_int(one) - to_int(other)), 2, 2),
    "mul": (_product, 1, 32),
    "div": (lambda one, other: _divided(one, other)[0], 2, 2),
    "mod": (lambda one, other: _divided(one, other)[1], 2, 2),
    "max": (_extreme(max), 1, 32),
    "min": (_extreme(min), 1, 32),
    "until": (_until, 1, 1),
}
_CHOICES: Mapping[str, Function] = {
    "default": (lambda otherwise, value: value or otherwise, 2, 2),
    "empty": (lambda value: not value, 1, 1),
    "coalesce": (_coalesce, 1, 32),
    "ternary": (_ternary, 3, 3),
    "fail": (_fail, 1, 1),
}
_LISTS: Mapping[str, Function] = {
    "list": (lambda *values: BoundedList([*values]), 0, 32),
    "tuple": (lambda *values: BoundedList([*values]), 0, 32),
    "first": (_at_end(0), 1, 1),
    "last": (_at_end(-1), 1, 1),
    "rest": (lambda values: BoundedList(list_of(values)[1:]), 1, 1),
    "initial": (lambda values: BoundedList(list_of(values)[:-1]), 1, 1),
    "reverse": (lambda values: BoundedList(list_of(values)[::-1]), 1, 1),
    "append": (lambda values, value: BoundedList([*list_of(values), value]), 2, 2),
    "prepend": (lambda values, value: BoundedList([value, *list_of(values)]), 2, 2),
    "concat": (_chained, 1, 32),
    "uniq": (_uniq, 1, 1),
    "has": (_has, 2, 2),
    "without": (lambda values, *gone: BoundedList([one for one in list_of(values) if not _has(one, [*gone])]), 2, 32),
    "compact": (lambda values: BoundedList([value for value in list_of(values) if value]), 1, 1),
    "dict": (_dict, 0, 32),
    "get": (lambda values, name: map_of(values).get(text_of(name), ""), 2, 2),
    "hasKey": (lambda values, name: text_of(name) in map_of(values), 2, 2),
}
SPRIG: Mapping[str, Function] = {**TEXT, **_NUMBERS, **_CHOICES, **_LISTS}
