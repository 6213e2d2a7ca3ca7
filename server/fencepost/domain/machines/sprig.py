"""Functions of the Sprig library that templates of v0.10.1 and later may call: those for text, lists, maps and numbers.

What they give is what Sprig gives; where that is an empty text, a zero or a crash for a wrong argument, it is refused.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from fencepost.domain.machines.printing import kind_of, quoted, written
from fencepost.domain.machines.words import BadTemplate
from fencepost.domain.schema import has_pattern
from fencepost.notation.text import INT64

LONGEST = 1 << 20
_MOST_ITEMS = 10_000
_MOST_PARTS = 100_000
_DEEPEST = 50
# What is space for Go; for Python a little more is.
SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
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


def _list_of(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise BadTemplate(f"expected a list, not {kind_of(value)}")
    return value


def _map_of(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadTemplate(f"expected a map, not {kind_of(value)}")
    return value


def _integer(value: Any) -> int:
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


def _sum(*values: Any) -> int:
    return _fits(sum(map(_integer, values)))


def _product(*values: Any) -> int:
    product = 1
    for value in values:
        product = _fits(product * _integer(value))
    return product


def _fits(value: int) -> int:
    if value not in INT64:
        raise BadTemplate("the number has more than 64 bits")
    return value


def _divided(one: Any, other: Any) -> tuple[int, int]:
    """Return quotient and remainder, which has the sign of the first number."""
    first, second = _integer(one), _integer(other)
    if second == 0:
        raise BadTemplate("cannot divide by 0")
    quotient = abs(first) // abs(second) * (1 if (first < 0) == (second < 0) else -1)
    return _fits(quotient), first - quotient * second


def _cut(text: Any, begin: int, end: int) -> str:
    """Return some bytes of a text; refuse half a character."""
    data = text_of(text).encode()
    if not 0 <= begin <= end <= len(data):
        raise BadTemplate(f"bytes {begin} to {end} are not in a text of {len(data)}")
    try:
        return data[begin:end].decode()
    except UnicodeDecodeError:
        raise BadTemplate(f"bytes {begin} to {end} begin or end within a character") from None


def _substr(start: Any, end: Any, text: Any) -> str:
    begin, stop, length = whole_of(start), whole_of(end), len(text_of(text).encode())
    if begin < 0:
        return _cut(text, 0, stop)
    return _cut(text, begin, length if stop < 0 or stop > length else stop)


def _trunc(count: Any, text: Any) -> str:
    number, length = whole_of(count), len(text_of(text).encode())
    if number < 0:
        return _cut(text, max(length + number, 0), length)
    return _cut(text, 0, min(number, length))


def _lower(text: Any) -> str:
    """Return text in lower case, each character by itself and as one."""
    return "".join(char.lower()[0] for char in text_of(text))


def _upper(text: Any) -> str:
    return "".join(char.upper() if len(char.upper()) == 1 else char for char in text_of(text))


def _title(text: Any) -> str:
    out, before = [], " "
    for char in text_of(text):
        inside = before.isalnum() or before == "_" or (ord(before) > 127 and not before.isspace())
        out.append(char if inside or len(char.title()) > 1 else char.title())
        before = char
    return "".join(out)


def _indent(count: Any, text: Any) -> str:
    pad = " " * _count(count, 1000)
    lines = text_of(text)
    if len(lines) + len(pad) * (lines.count("\n") + 1) > LONGEST:
        raise BadTemplate(f"the text is longer than {LONGEST} characters")
    return pad + lines.replace("\n", f"\n{pad}")


def _repeat(count: Any, text: Any) -> str:
    return text_of(text) * _count(count, LONGEST // max(len(text), 1))


def _count(value: Any, most: int) -> int:
    number = whole_of(value)
    if not 0 <= number <= most:
        raise BadTemplate(f"{number} is not from 0 to {most}")
    return number


def _replace(old: Any, new: Any, text: Any) -> str:
    where, what, by = text_of(text), text_of(old), text_of(new)
    places = where.count(what) if what else len(where) + 1
    if len(where) + places * (len(by) - len(what)) > LONGEST:
        raise BadTemplate(f"the text is longer than {LONGEST} characters")
    return where.replace(what, by)


def _shown(values: tuple[Any, ...], form: Callable[[str], str]) -> str:
    return " ".join(form(written(value)) for value in values if value is not None)


def _join(separator: Any, values: Any) -> str:
    several = values if isinstance(values, list) else [values]
    return text_of(separator).join(written(value) for value in several if value is not None)


def _split(separator: Any, text: Any, most: int = -1) -> list[str]:
    where, what = text_of(text), text_of(separator)
    if most == 0:
        return []
    found = where.split(what, most - 1 if most > 0 else -1) if what else list(where)
    if len(found) > _MOST_ITEMS:
        raise BadTemplate(f"there are more than {_MOST_ITEMS} parts")
    return found


def _numbered(parts: list[str]) -> Named:
    return Named({f"_{place}": part for place, part in enumerate(parts)})


def _coalesce(*values: Any) -> Any:
    return next((value for value in values if value), None)


def _ternary(one: Any, other: Any, which: Any) -> Any:
    if not isinstance(which, bool):
        raise BadTemplate(f"expected a boolean, not {kind_of(which)}")
    return one if which else other


def _fail(message: Any) -> Any:
    raise BadTemplate(text_of(message))


def _until(count: Any) -> Parts:
    number = _integer(count)
    if abs(number) > _MOST_ITEMS:
        raise BadTemplate(f"{number} is more than {_MOST_ITEMS}")
    return Parts([*range(number)] if number >= 0 else [*range(0, number, -1)])


def _dict(*pairs: Any) -> Named:
    if len(pairs) % 2:
        raise BadTemplate("expected a value behind each name")
    return Named({text_of(pairs[place]): pairs[place + 1] for place in range(0, len(pairs), 2)})


def _at_end(place: int) -> Callable[[Any], Any]:
    return lambda values: values[place] if _list_of(values) else None


def _uniq(values: Any) -> Parts:
    kept: dict[tuple[type, Any], Any] = {}
    for value in _list_of(values):
        if isinstance(value, list | dict):
            raise BadTemplate(f"cannot compare {kind_of(value)}")
        kept.setdefault((type(value), value), value)
    return Parts([*kept.values()])


def _has(wanted: Any, values: Any) -> bool:
    # True and 1 are two.
    return any(type(value) is type(wanted) and value == wanted for value in _list_of(values))


def _sorted(values: Any) -> Parts:
    return Parts(sorted(written(value) for value in _list_of(values) if value is not None))


def _decoded(text: Any) -> str:
    try:
        return base64.b64decode(text_of(text), validate=True).decode()
    except (binascii.Error, ValueError):
        raise BadTemplate("it is not text in base64") from None


def _matches(pattern: Any, text: Any) -> bool:
    try:
        return has_pattern(text_of(text), text_of(pattern))
    except ValueError as error:
        raise BadTemplate(str(error)) from None


def _extreme(choose: Callable[[list[int]], int]) -> Callable[..., int]:
    return lambda *values: choose([*map(_integer, values)])


def _chained(*lists: Any) -> Parts:
    return Parts([value for values in lists for value in _list_of(values)])


_Function = tuple[Callable[..., Any], int, int]
_TEXT: Mapping[str, _Function] = {
    "lower": (_lower, 1, 1),
    "upper": (_upper, 1, 1),
    "title": (_title, 1, 1),
    "trim": (lambda text: text_of(text).strip(SPACE), 1, 1),
    "trimAll": (lambda chars, text: text_of(text).strip(text_of(chars)) if chars else text_of(text), 2, 2),
    "trimall": (lambda chars, text: text_of(text).strip(text_of(chars)) if chars else text_of(text), 2, 2),
    "trimPrefix": (lambda part, text: text_of(text).removeprefix(text_of(part)), 2, 2),
    "trimSuffix": (lambda part, text: text_of(text).removesuffix(text_of(part)), 2, 2),
    "nospace": (lambda text: "".join(char for char in text_of(text) if char not in SPACE), 1, 1),
    "substr": (_substr, 3, 3),
    "trunc": (_trunc, 2, 2),
    "repeat": (_repeat, 2, 2),
    "replace": (_replace, 3, 3),
    "indent": (_indent, 2, 2),
    "nindent": (lambda count, text: "\n" + _indent(count, text), 2, 2),
    "quote": (lambda *values: _shown(values, quoted), 0, 32),
    "squote": (lambda *values: _shown(values, lambda text: f"'{text}'"), 0, 32),
    "cat": (lambda *values: _shown(values, lambda text: text), 0, 32),
    "toString": (written, 1, 1),
    "join": (_join, 2, 2),
    "split": (lambda separator, text: _numbered(_split(separator, text)), 2, 2),
    "splitn": (lambda separator, most, text: _numbered(_split(separator, text, whole_of(most))), 3, 3),
    "splitList": (lambda separator, text: Parts(_split(separator, text)), 2, 2),
    "sortAlpha": (_sorted, 1, 1),
    "regexMatch": (_matches, 2, 2),
    "mustRegexMatch": (_matches, 2, 2),
    "b64enc": (lambda text: base64.b64encode(text_of(text).encode()).decode(), 1, 1),
    "b64dec": (_decoded, 1, 1),
    "sha1sum": (lambda text: hashlib.sha1(text_of(text).encode(), usedforsecurity=False).hexdigest(), 1, 1),
    "sha256sum": (lambda text: hashlib.sha256(text_of(text).encode()).hexdigest(), 1, 1),
}
_NUMBERS: Mapping[str, _Function] = {
    "int": (_integer, 1, 1),
    "int64": (_integer, 1, 1),
    "atoi": (lambda text: _integer(text_of(text)), 1, 1),
    "add": (_sum, 1, 32),
    "add1": (lambda value: _sum(value, 1), 1, 1),
    "sub": (lambda one, other: _fits(_integer(one) - _integer(other)), 2, 2),
    "mul": (_product, 1, 32),
    "div": (lambda one, other: _divided(one, other)[0], 2, 2),
    "mod": (lambda one, other: _divided(one, other)[1], 2, 2),
    "max": (_extreme(max), 1, 32),
    "min": (_extreme(min), 1, 32),
    "until": (_until, 1, 1),
}
_CHOICES: Mapping[str, _Function] = {
    "default": (lambda otherwise, value: value or otherwise, 2, 2),
    "empty": (lambda value: not value, 1, 1),
    "coalesce": (_coalesce, 1, 32),
    "ternary": (_ternary, 3, 3),
    "fail": (_fail, 1, 1),
}
_LISTS: Mapping[str, _Function] = {
    "list": (lambda *values: Parts([*values]), 0, 32),
    "tuple": (lambda *values: Parts([*values]), 0, 32),
    "first": (_at_end(0), 1, 1),
    "last": (_at_end(-1), 1, 1),
    "rest": (lambda values: Parts(_list_of(values)[1:]), 1, 1),
    "initial": (lambda values: Parts(_list_of(values)[:-1]), 1, 1),
    "reverse": (lambda values: Parts(_list_of(values)[::-1]), 1, 1),
    "append": (lambda values, value: Parts([*_list_of(values), value]), 2, 2),
    "prepend": (lambda values, value: Parts([value, *_list_of(values)]), 2, 2),
    "concat": (_chained, 1, 32),
    "uniq": (_uniq, 1, 1),
    "has": (_has, 2, 2),
    "without": (lambda values, *gone: Parts([one for one in _list_of(values) if not _has(one, [*gone])]), 2, 32),
    "compact": (lambda values: Parts([value for value in _list_of(values) if value]), 1, 1),
    "dict": (_dict, 0, 32),
    "get": (lambda values, name: _map_of(values).get(text_of(name), ""), 2, 2),
    "hasKey": (lambda values, name: text_of(name) in _map_of(values), 2, 2),
}
SPRIG: Mapping[str, _Function] = {**_TEXT, **_NUMBERS, **_CHOICES, **_LISTS}
