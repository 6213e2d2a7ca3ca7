"""Functions of templates: those of Go's text/template, of Tinkerbell, and of Sprig (sprig.py)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any

from fencepost.vocabularies.machines.templating.formatting import go_print, go_println, printf, type_name
from fencepost.vocabularies.machines.templating.lexer import BadTemplate
from fencepost.vocabularies.machines.templating.sprig import SPRIG
from fencepost.vocabularies.machines.templating.values import int_of, text_of

_NUMBERED = re.compile(r"/dev/nvme")
_LETTERED = re.compile(r"/dev/(?:sd|vd|xvd|hd)")


def is_true(value: Any) -> bool:
    """Return whether `if` treats a value as true: false, 0, null, and empty texts, lists and maps are not."""
    return bool(value)


def index(value: Any, *keys: Any) -> Any:
    """Return the value below nested keys; null for a key that a map does not have."""
    for key in keys:
        match value, key:
            case dict(), str():
                value = value.get(key)
            case ((list() | str()), int()) if not isinstance(key, bool):
                # Go indexes the bytes of a text, and returns a number.
                several = value.encode() if isinstance(value, str) else value
                if not 0 <= key < len(several):
                    raise BadTemplate(f"index {key} is out of range: there are {len(several)}")
                value = several[key]
            case _:
                raise BadTemplate(f"cannot look up {key!r} in {type_name(value)}")
    return value


def format_partition(device: Any, partition: Any) -> str:
    """Return the path of a partition; for a kind of disk that it does not know, the path of the disk."""
    path, number = text_of(device), int_of(partition)
    if _NUMBERED.match(path):
        return f"{path}p{number}"
    return f"{path}{number}" if _LETTERED.match(path) else path


def _prefix_length(netmask: Any) -> str:
    """Return the number of bits in an IPv4 netmask, such as 24."""
    try:
        return str(ipaddress.IPv4Network(f"0.0.0.0/{ipaddress.IPv4Address(text_of(netmask))}").prefixlen)
    except ValueError:
        raise BadTemplate(f"{netmask[:40]!r} is not an IPv4 netmask") from None


def _equal(first: Any, *others: Any) -> bool:
    for value in (first, *others):
        if isinstance(value, list | dict):
            raise BadTemplate(f"cannot compare {type_name(value)}")
        if None not in (value, first) and type_name(value) != type_name(first):
            raise BadTemplate(f"cannot compare {type_name(first)} with {type_name(value)}")
    return any(first == other for other in others)


def _less(one: Any, other: Any) -> bool:
    if isinstance(one, bool | list | dict | None) or type_name(one) != type_name(other):
        raise BadTemplate(f"cannot compare {type_name(one)} with {type_name(other)}")
    return bool(one < other)


def _length(value: Any) -> int:
    if not isinstance(value, str | list | dict):
        raise BadTemplate(f"{type_name(value)} has no length")
    return len(value.encode()) if isinstance(value, str) else len(value)


# By name: the function, and its minimum and maximum number of arguments.
FUNCTIONS: Mapping[str, tuple[Callable[..., Any], int, int]] = {
    **SPRIG,
    # These three take the text first; the parser reorders the arguments of a template (expressions.py).
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
    "print": (go_print, 0, 32),
    "println": (go_println, 0, 32),
    "printf": (printf, 1, 32),
}
# These search one text in the other. Sprig takes the searched part first, Go's own functions take it last.
SEARCHES = ("contains", "hasPrefix", "hasSuffix")
# These stop evaluating their arguments once the result is known.
LAZY = ("and", "or")
