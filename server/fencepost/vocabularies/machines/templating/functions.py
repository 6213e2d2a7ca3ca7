"""The functions that a template may call: those of Go's text/template, of Tinkerbell, and of Sprig (sprig.py)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any

from fencepost.vocabularies.machines.templating.lexer import BadTemplate
from fencepost.vocabularies.machines.templating.printing import kind_of, printed, printed_line, printf
from fencepost.vocabularies.machines.templating.sprig import SPRIG
from fencepost.vocabularies.machines.templating.values import text_of, whole_of

_NUMBERED = re.compile(r"/dev/nvme")
_LETTERED = re.compile(r"/dev/(?:sd|vd|xvd|hd)")


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
                # Of text, Go gives the byte there, which is a number.
                several = value.encode() if isinstance(value, str) else value
                if not 0 <= key < len(several):
                    raise BadTemplate(f"index {key} is out of range: there are {len(several)}")
                value = several[key]
            case _:
                raise BadTemplate(f"cannot look up {key!r} in {kind_of(value)}")
    return value


def format_partition(device: Any, partition: Any) -> str:
    """Return the path of a partition of a disk; of a disk that it does not know, the disk."""
    path, number = text_of(device), whole_of(partition)
    if _NUMBERED.match(path):
        return f"{path}p{number}"
    return f"{path}{number}" if _LETTERED.match(path) else path


def _prefix_length(netmask: Any) -> str:
    """Return how many bits an IPv4 netmask has, such as 24."""
    try:
        return str(ipaddress.IPv4Network(f"0.0.0.0/{ipaddress.IPv4Address(text_of(netmask))}").prefixlen)
    except ValueError:
        raise BadTemplate(f"{netmask[:40]!r} is no IPv4 netmask") from None


def _equal(first: Any, *others: Any) -> bool:
    for value in (first, *others):
        if isinstance(value, list | dict):
            raise BadTemplate(f"cannot compare {kind_of(value)}")
        if None not in (value, first) and kind_of(value) != kind_of(first):
            raise BadTemplate(f"cannot compare {kind_of(first)} with {kind_of(value)}")
    return any(first == other for other in others)


def _less(one: Any, other: Any) -> bool:
    if isinstance(one, bool | list | dict | None) or kind_of(one) != kind_of(other):
        raise BadTemplate(f"cannot compare {kind_of(one)} with {kind_of(other)}")
    return bool(one < other)


def _length(value: Any) -> int:
    if not isinstance(value, str | list | dict):
        raise BadTemplate(f"{kind_of(value)} has no length")
    return len(value.encode()) if isinstance(value, str) else len(value)


# By name: the function, and how many arguments it takes, at least and at most.
FUNCTIONS: Mapping[str, tuple[Callable[..., Any], int, int]] = {
    **SPRIG,
    # The text is the first argument of these three, with either order in the template (expressions.py).
    "contains": (lambda text, part: text_of(part) in text_of(text), 2, 2),
    "hasPrefix": (lambda text, part: text_of(text).startswith(text_of(part)), 2, 2),
    "hasSuffix": (lambda text, part: text_of(text).endswith(text_of(part)), 2, 2),
    "formatPartition": (format_partition, 2, 2),
    "netmaskToPrefixLength": (_prefix_length, 1, 1),
    "index": (index, 1, 32),
    "len": (_length, 1, 1),
    "not": (lambda value: not is_true(value), 1, 1),
    "eq": (_equal, 2, 32),
    "ne": (lambda one, other: not _equal(one, other), 2, 2),
    "lt": (_less, 2, 2),
    "le": (lambda one, other: not _less(other, one), 2, 2),
    "gt": (lambda one, other: _less(other, one), 2, 2),
    "ge": (lambda one, other: not _less(one, other), 2, 2),
    "print": (printed, 0, 32),
    "println": (printed_line, 0, 32),
    "printf": (printf, 1, 32),
}
# Of what they are given, one text is looked for in the other. Sprig has it first, Go's own functions have it last.
SEARCHES = ("contains", "hasPrefix", "hasSuffix")
# These two do not look at all that they are given.
LAZY = ("and", "or")
