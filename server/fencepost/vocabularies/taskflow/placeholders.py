"""Placeholders in params: `{{stage}}`, `{{stage.task}}`, `{{stage.task.prop}}` and deeper name earlier answers.

A string that is one placeholder becomes the value itself; inside a longer string the value becomes text. Names consist
of letters, digits and `_`, so that other braces stay as they are. The size of each value is counted before it is
inserted: a few characters can name a megabyte thousands of times.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson

from fencepost.domain import lossless_json

_NAME = r"[A-Za-z0-9_]+"
_PLACEHOLDER = re.compile(rf"\{{\{{\s*({_NAME}(?:\.{_NAME})*)\s*\}}\}}")


class UnknownPlaceholder(Exception):
    """A placeholder has no value; the message names it."""


class BudgetExceeded(Exception):
    """The values of placeholders exceed the byte budget."""


class ByteBudget:
    """The number of bytes that placeholders may insert, shared by all params of one decision."""

    def __init__(self, most: int) -> None:
        self._left = most

    def take(self, size: int) -> None:
        """Count bytes; raise BudgetExceeded when they exceed the budget."""
        self._left -= size
        if self._left < 0:
            raise BudgetExceeded


class LazyValues(Mapping[str, Any]):
    """A mapping over JSON texts; each value is parsed on its first use."""

    def __init__(self, texts: Mapping[str, bytes]) -> None:
        self._texts = texts
        self._values: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._values:
            self._values[name] = lossless_json.read(self._texts[name])
        return self._values[name]

    def __contains__(self, name: object) -> bool:
        return name in self._texts

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)

    @property
    def size(self) -> int:
        """The approximate length of the JSON text of all values."""
        return sum(map(len, self._texts.values()))

    @property
    def text(self) -> bytes:
        """The JSON text of all values, an object."""
        return orjson.dumps({name: orjson.Fragment(text) for name, text in self._texts.items()})


def placeholder_paths(params: bytes) -> Iterator[list[str]]:
    """Yield the path of each placeholder in params (JSON text)."""
    if _may_contain_placeholders(params):
        for text in _strings(lossless_json.read(params)):
            for found in _PLACEHOLDER.finditer(text):
                yield found[1].split(".")


def fill(params: bytes, known: Callable[[], Mapping[str, Any]], budget: ByteBudget) -> bytes:
    """Return params (JSON text) with the placeholders replaced; `known` returns the values by name.

    Raises UnknownPlaceholder and BudgetExceeded.
    """
    if not _may_contain_placeholders(params):
        return params
    parsed = lossless_json.read(params)
    if not any(map(_PLACEHOLDER.search, _strings(parsed))):
        return params
    return lossless_json.write(_fill_value(parsed, known(), budget))


def _may_contain_placeholders(params: bytes) -> bool:
    # JSON may write a brace as an escape.
    return b"{{" in params or b"\\u007" in params


def _strings(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list():
            for item in value:
                yield from _strings(item)
        case dict():
            for item in value.values():
                yield from _strings(item)


def _fill_value(value: Any, known: Mapping[str, Any], budget: ByteBudget) -> Any:
    match value:
        case str():
            if whole := _PLACEHOLDER.fullmatch(value):
                return orjson.Fragment(_json(_resolve(whole[1], known), budget))
            return _PLACEHOLDER.sub(lambda found: _as_text(_resolve(found[1], known), budget), value)
        case list():
            return [_fill_value(item, known, budget) for item in value]
        case dict():
            return {key: _fill_value(item, known, budget) for key, item in value.items()}
    return value


def _resolve(path: str, known: Mapping[str, Any]) -> Any:
    value: Any = known
    for name in path.split("."):
        # Python refuses to parse numbers of thousands of digits.
        if isinstance(value, list) and name.isdecimal() and len(name) < 10 and int(name) < len(value):
            value = value[int(name)]
        elif isinstance(value, Mapping) and name in value:
            value = value[name]
        else:
            raise UnknownPlaceholder(f"there is no value for {{{{{path}}}}}")
    return value


def _as_text(value: Any, budget: ByteBudget) -> str:
    if not isinstance(value, str):
        return _json(value, budget).decode()
    budget.take(len(value))
    return value


def _json(value: Any, budget: ByteBudget) -> bytes:
    if isinstance(value, LazyValues):
        budget.take(value.size)
        return value.text
    text = lossless_json.write(value)
    budget.take(len(text))
    return text
