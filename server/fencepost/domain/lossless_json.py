"""JSON parsing and writing that preserves the spelling of every number."""

from __future__ import annotations

import json
from typing import Any

import orjson


class _Numeral(float):
    """A number with a fraction or an exponent, and its spelling in the text."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> _Numeral:
        numeral = super().__new__(cls, text)
        numeral.text = text
        return numeral


def read(text: bytes) -> Any:
    """Parse JSON text; its numbers keep their spelling."""
    return json.loads(text, parse_float=_Numeral)


def write(value: Any) -> bytes:
    """Return the JSON text of a value from `read`, or of parts of one."""
    return orjson.dumps(value, default=_as_written)


def _as_written(value: Any) -> orjson.Fragment:
    assert isinstance(value, _Numeral), f"JSON has no {type(value).__name__}"
    return orjson.Fragment(value.text.encode())
