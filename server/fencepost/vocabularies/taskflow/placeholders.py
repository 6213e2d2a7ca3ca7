"""Placeholders in params: `{{stage}}`, `{{stage.task}}`, `{{stage.task.prop}}` and deeper, for what stages before gave.

A text that is one placeholder becomes the value itself; within a longer text it becomes text. Each name is of letters,
digits and `_`, so that other braces stay what they are. The values of placeholders are counted before a text is put
together: a few letters can name a megabyte thousands of times.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson

from fencepost.domain import verbatim

_NAME = r"[A-Za-z0-9_]+"
_PLACEHOLDER = re.compile(rf"\{{\{{\s*({_NAME}(?:\.{_NAME})*)\s*\}}\}}")


class Unknown(Exception):
    """There is nothing behind a placeholder; its text says which one."""


class TooMuch(Exception):
    """More would be filled in than there is room for."""


class Room:
    """How many bytes may be filled in; all params of one decision share it."""

    def __init__(self, most: int) -> None:
        self._left = most

    def take(self, size: int) -> None:
        """Count bytes; raise TooMuch when there is no room for them."""
        self._left -= size
        if self._left < 0:
            raise TooMuch


class Texts(Mapping[str, Any]):
    """Values by name behind their JSON texts, each of which is read when it is first asked for."""

    def __init__(self, texts: Mapping[str, bytes]) -> None:
        self._texts = texts
        self._values: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._values:
            self._values[name] = verbatim.read(self._texts[name])
        return self._values[name]

    def __contains__(self, name: object) -> bool:
        return name in self._texts

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)

    @property
    def size(self) -> int:
        """About how long the JSON text of all of them is."""
        return sum(map(len, self._texts.values()))

    @property
    def text(self) -> bytes:
        """The JSON text of all of them."""
        return orjson.dumps({name: orjson.Fragment(text) for name, text in self._texts.items()})


def places_in(params: bytes) -> Iterator[list[str]]:
    """Yield the path of each placeholder in params, which are JSON text."""
    if _may_hold_some(params):
        for text in _texts(verbatim.read(params)):
            for found in _PLACEHOLDER.finditer(text):
                yield found[1].split(".")


def fill(params: bytes, known: Callable[[], Mapping[str, Any]], room: Room) -> bytes:
    """Return params with values for placeholders; `known` gives them, parsed by `verbatim`. Raise Unknown, TooMuch."""
    if not _may_hold_some(params):
        return params
    parsed = verbatim.read(params)
    if not any(map(_PLACEHOLDER.search, _texts(parsed))):
        return params
    return verbatim.write(_filled(parsed, known(), room))


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


def _filled(value: Any, known: Mapping[str, Any], room: Room) -> Any:
    match value:
        case str():
            if whole := _PLACEHOLDER.fullmatch(value):
                return orjson.Fragment(_json(_behind(whole[1], known), room))
            return _PLACEHOLDER.sub(lambda found: _as_text(_behind(found[1], known), room), value)
        case list():
            return [_filled(item, known, room) for item in value]
        case dict():
            return {key: _filled(item, known, room) for key, item in value.items()}
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


def _as_text(value: Any, room: Room) -> str:
    if not isinstance(value, str):
        return _json(value, room).decode()
    room.take(len(value))
    return value


def _json(value: Any, room: Room) -> bytes:
    if isinstance(value, Texts):
        room.take(value.size)
        return value.text
    text = verbatim.write(value)
    room.take(len(text))
    return text
