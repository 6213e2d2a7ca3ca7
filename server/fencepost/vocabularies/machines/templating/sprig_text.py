"""Functions of the Sprig library for text."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from fencepost.domain.schema import has_pattern
from fencepost.vocabularies.machines.templating.formatting import format_value, quote
from fencepost.vocabularies.machines.templating.lexer import BadTemplate
from fencepost.vocabularies.machines.templating.values import (
    MAX_ITEMS,
    MAX_TEXT,
    BoundedList,
    BoundedMap,
    int_of,
    list_of,
    text_of,
)

# White space as Go defines it; Python's `strip` removes more.
SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))

Function = tuple[Callable[..., Any], int, int]
"""A function, and its minimum and maximum number of arguments."""


def _cut(text: Any, begin: int, end: int) -> str:
    """Return a slice of a text by byte offsets; raise BadTemplate if it would split a character."""
    data = text_of(text).encode()
    if not 0 <= begin <= end <= len(data):
        raise BadTemplate(f"bytes {begin} to {end} are not in a text of {len(data)}")
    try:
        return data[begin:end].decode()
    except UnicodeDecodeError:
        raise BadTemplate(f"bytes {begin} to {end} begin or end within a character") from None


def _substr(start: Any, end: Any, text: Any) -> str:
    begin, stop, length = int_of(start), int_of(end), len(text_of(text).encode())
    if begin < 0:
        return _cut(text, 0, stop)
    return _cut(text, begin, length if stop < 0 or stop > length else stop)


def _trunc(count: Any, text: Any) -> str:
    number, length = int_of(count), len(text_of(text).encode())
    if number < 0:
        return _cut(text, max(length + number, 0), length)
    return _cut(text, 0, min(number, length))


def _lower(text: Any) -> str:
    """Return text in lower case, character by character, so that its length stays the same."""
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
    if len(lines) + len(pad) * (lines.count("\n") + 1) > MAX_TEXT:
        raise BadTemplate(f"the text is longer than {MAX_TEXT} characters")
    return pad + lines.replace("\n", f"\n{pad}")


def _repeat(count: Any, text: Any) -> str:
    return text_of(text) * _count(count, MAX_TEXT // max(len(text), 1))


def _count(value: Any, most: int) -> int:
    number = int_of(value)
    if not 0 <= number <= most:
        raise BadTemplate(f"{number} is not from 0 to {most}")
    return number


def _replace(old: Any, new: Any, text: Any) -> str:
    where, what, by = text_of(text), text_of(old), text_of(new)
    places = where.count(what) if what else len(where) + 1
    if len(where) + places * (len(by) - len(what)) > MAX_TEXT:
        raise BadTemplate(f"the text is longer than {MAX_TEXT} characters")
    return where.replace(what, by)


def _shown(values: tuple[Any, ...], form: Callable[[str], str]) -> str:
    return " ".join(form(format_value(value)) for value in values if value is not None)


def _join(separator: Any, values: Any) -> str:
    several = values if isinstance(values, list) else [values]
    return text_of(separator).join(format_value(value) for value in several if value is not None)


def _split(separator: Any, text: Any, most: int = -1) -> list[str]:
    where, what = text_of(text), text_of(separator)
    if most == 0:
        return []
    found = where.split(what, most - 1 if most > 0 else -1) if what else list(where)
    if len(found) > MAX_ITEMS:
        raise BadTemplate(f"there are more than {MAX_ITEMS} parts")
    return found


def _numbered(parts: list[str]) -> BoundedMap:
    return BoundedMap({f"_{place}": part for place, part in enumerate(parts)})


def _sorted(values: Any) -> BoundedList:
    return BoundedList(sorted(format_value(value) for value in list_of(values) if value is not None))


def _decoded(text: Any) -> str:
    try:
        return base64.b64decode(text_of(text), validate=True).decode()
    except (binascii.Error, ValueError):
        raise BadTemplate("the argument is not text in base64") from None


def _matches(pattern: Any, text: Any) -> bool:
    try:
        return has_pattern(text_of(text), text_of(pattern))
    except ValueError as error:
        raise BadTemplate(str(error)) from None


TEXT: Mapping[str, Function] = {
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
    "quote": (lambda *values: _shown(values, quote), 0, 32),
    "squote": (lambda *values: _shown(values, lambda text: f"'{text}'"), 0, 32),
    "cat": (lambda *values: _shown(values, lambda text: text), 0, 32),
    "toString": (format_value, 1, 1),
    "join": (_join, 2, 2),
    "split": (lambda separator, text: _numbered(_split(separator, text)), 2, 2),
    "splitn": (lambda separator, most, text: _numbered(_split(separator, text, int_of(most))), 3, 3),
    "splitList": (lambda separator, text: BoundedList(_split(separator, text)), 2, 2),
    "sortAlpha": (_sorted, 1, 1),
    "regexMatch": (_matches, 2, 2),
    "mustRegexMatch": (_matches, 2, 2),
    "b64enc": (lambda text: base64.b64encode(text_of(text).encode()).decode(), 1, 1),
    "b64dec": (_decoded, 1, 1),
    "sha1sum": (lambda text: hashlib.sha1(text_of(text).encode(), usedforsecurity=False).hexdigest(), 1, 1),
    "sha256sum": (lambda text: hashlib.sha256(text_of(text).encode()).hexdigest(), 1, 1),
}
