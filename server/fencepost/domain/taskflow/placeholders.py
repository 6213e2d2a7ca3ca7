"""Placeholders in params: `{{stage}}`, `{{stage.task}}`, `{{stage.task.prop}}` and deeper, for what stages before gave.

A text that is one placeholder becomes the value itself; within a longer text it becomes text. Each name is of letters,
digits and `_`, so that other braces stay what they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from fencepost.domain import verbatim

_NAME = r"[A-Za-z0-9_]+"
_PLACEHOLDER = re.compile(rf"\{{\{{\s*({_NAME}(?:\.{_NAME})*)\s*\}}\}}")


class Unknown(Exception):
    """There is nothing behind a placeholder; its text says which one."""


def places_in(params: bytes) -> Iterator[list[str]]:
    """Yield the path of each placeholder in params, which are JSON text."""
    if _may_hold_some(params):
        for text in _texts(verbatim.read(params)):
            for found in _PLACEHOLDER.finditer(text):
                yield found[1].split(".")


def fill(params: bytes, known: Callable[[], Mapping[str, Any]]) -> bytes:
    """Return params with values for placeholders; `known` gives them, parsed by `verbatim`. Raise Unknown."""
    if not _may_hold_some(params):
        return params
    parsed = verbatim.read(params)
    if not any(map(_PLACEHOLDER.search, _texts(parsed))):
        return params
    return verbatim.write(_filled(parsed, known()))


def _may_hold_some(params: bytes) -> bool:
    # A brace may be written as an escape.
    return b"{{" in params or b"\\u007" in params


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list():
            for item in value:
                yield from _texts(item)
        case dict():
            for item in value.values():
                yield from _texts(item)


def _filled(value: Any, known: Mapping[str, Any]) -> Any:
    match value:
        case str():
            if whole := _PLACEHOLDER.fullmatch(value):
                return _behind(whole[1], known)
            return _PLACEHOLDER.sub(lambda found: _as_text(_behind(found[1], known)), value)
        case list():
            return [_filled(item, known) for item in value]
        case dict():
            return {key: _filled(item, known) for key, item in value.items()}
    return value


def _behind(place: str, known: Mapping[str, Any]) -> Any:
    value: Any = known
    for name in place.split("."):
        # Python refuses to read numbers of thousands of digits.
        if isinstance(value, list) and name.isdecimal() and len(name) < 10 and int(name) < len(value):
            value = value[int(name)]
        elif isinstance(value, Mapping) and name in value:
            value = value[name]
        else:
            raise Unknown(f"there is nothing behind {{{{{place}}}}}")
    return value


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else verbatim.write(value).decode()
