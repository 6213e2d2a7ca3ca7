"""JSON that is taken apart and put together again with every number as it was written."""

from __future__ import annotations

import json
from typing import Any

import orjson


class _Numeral(float):
    """A number with a fraction or an exponent, and how it was written."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> _Numeral:
        numeral = super().__new__(cls, text)
        numeral.text = text
        return numeral


def read(text: bytes) -> Any:
    """Return what JSON text means; its numbers remember how they were written."""
    return json.loads(text, parse_float=_Numeral)


def write(value: Any) -> bytes:
    """Return the JSON text of what `read` gave, or of parts of it."""
    return orjson.dumps(value, default=_as_written)


def _as_written(value: Any) -> orjson.Fragment:
    assert isinstance(value, _Numeral), f"JSON has no {type(value).__name__}"
    return orjson.Fragment(value.text.encode())
