"""The functions that a template may call, and how its values are written as text: as Go does both."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from fencepost.domain.machines.words import BadTemplate

_NUMBERED = re.compile(r"/dev/nvme")
_LETTERED = re.compile(r"/dev/(?:sd|vd|xvd|hd)")
_VERB = re.compile(r"%(?P<flags>[-+0 ]?[0-9]{0,3}(?:\.[0-9]{1,3})?)(?P<verb>[a-zA-Z%])")
_PRINTED: Mapping[str, str] = {"s": "s", "v": "s", "d": "d", "q": "s", "t": "s", "x": "x", "f": "f"}


def written(value: Any) -> str:
    """Return a value as text; null is refused, which Go would write as `<no value>`."""
    match value:
        case None:
            raise BadTemplate("the value is null")
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case float():
            return str(int(value)) if value.is_integer() and abs(value) < 1e21 else repr(value)
        case list():
            return f"[{' '.join(map(written, value))}]"
        case dict():
            return f"map[{' '.join(f'{key}:{written(value[key])}' for key in sorted(value))}]"
    return str(value)


def is_true(value: Any) -> bool:
    """Return whether `if` takes a value for true: not for false, 0, null, and what is empty."""
    return bool(value)


def index(value: Any, *keys: Any) -> Any:
    """Return what stands at the keys, one below the other; null where a map has no such key."""
    for key in keys:
        match value, key:
            case dict(), str():
                value = value.get(key)
            case ((list() | str()), int()) if not isinstance(key, bool):
                if not 0 <= key < len(value):
                    raise BadTemplate(f"index {key} is out of range: there are {len(value)}")
                value = value[key]
            case _:
                raise BadTemplate(f"cannot look up {key!r} in {kind_of(value)}")
    return value


def kind_of(value: Any) -> str:
    """Return what a value is, for people."""
    kinds: Mapping[type, str] = {dict: "a map", list: "a list", str: "text", bool: "a boolean"}
    return "null" if value is None else kinds.get(type(value), "a number")


def format_partition(device: Any, partition: Any) -> str:
    """Return the path of a partition of a disk; of a disk that it does not know, the disk."""
    path, number = _text(device), _whole(partition)
    if _NUMBERED.match(path):
        return f"{path}p{number}"
    return f"{path}{number}" if _LETTERED.match(path) else path


def printf(form: Any, *values: Any) -> str:
    """Return text with values in it, by `%s %v %d %q %t %x %f`."""
    left = [*values]

    def verb(found: re.Match[str]) -> str:
        if found["verb"] == "%":
            return "%"
        if found["verb"] not in _PRINTED:
            raise BadTemplate(f"printf does not know %{found['verb']}")
        if not left:
            raise BadTemplate(f"printf has no value for {found[0]}")
        value = left.pop(0)
        if found["verb"] == "q":
            return json.dumps(_text(value), ensure_ascii=False)
        shown = value if found["verb"] in "dxf" else written(value)
        try:
            return f"%{found['flags']}{_PRINTED[found['verb']]}" % shown
        except (TypeError, OverflowError):
            raise BadTemplate(f"{found[0]} is not for {kind_of(value)}") from None

    text = _VERB.sub(verb, _text(form))
    if left:
        raise BadTemplate("printf has more values than places")
    return text


def _equal(first: Any, *others: Any) -> bool:
    for value in (first, *others):
        if isinstance(value, list | dict):
            raise BadTemplate(f"cannot compare {kind_of(value)}")
    return any(type(first) is type(other) and first == other for other in others)


def _less(one: Any, other: Any) -> bool:
    if isinstance(one, bool | list | dict | None) or isinstance(one, str) != isinstance(other, str):
        raise BadTemplate(f"cannot compare {kind_of(one)} with {kind_of(other)}")
    try:
        return bool(one < other)
    except TypeError:
        raise BadTemplate(f"cannot compare {kind_of(one)} with {kind_of(other)}") from None


def _length(value: Any) -> int:
    if not isinstance(value, str | list | dict):
        raise BadTemplate(f"{kind_of(value)} has no length")
    return len(value.encode()) if isinstance(value, str) else len(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise BadTemplate(f"expected text, not {kind_of(value)}")
    return value


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadTemplate(f"expected a whole number, not {kind_of(value)}")
    return value


# By name: the function, and how many arguments it takes, at least and at most.
FUNCTIONS: Mapping[str, tuple[Callable[..., Any], int, int]] = {
    "contains": (lambda text, part: _text(part) in _text(text), 2, 2),
    "hasPrefix": (lambda text, part: _text(text).startswith(_text(part)), 2, 2),
    "hasSuffix": (lambda text, part: _text(text).endswith(_text(part)), 2, 2),
    "formatPartition": (format_partition, 2, 2),
    "index": (index, 1, 32),
    "len": (_length, 1, 1),
    "not": (lambda value: not is_true(value), 1, 1),
    "eq": (_equal, 2, 32),
    "ne": (lambda one, other: not _equal(one, other), 2, 2),
    "lt": (_less, 2, 2),
    "le": (lambda one, other: not _less(other, one), 2, 2),
    "gt": (lambda one, other: _less(other, one), 2, 2),
    "ge": (lambda one, other: not _less(one, other), 2, 2),
    "print": (lambda *values: "".join(map(written, values)), 0, 32),
    "printf": (printf, 1, 32),
}
# These two do not look at all that they are given.
LAZY = ("and", "or")
