"""Payloads: JSON text that is passed through unparsed, and compared when somebody says the same again."""

from __future__ import annotations

import orjson


def canonical(value: object) -> bytes:
    """Return the one text of a parsed value; compared as Python values, `1` and `true` would be the same."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def same_payload(one: bytes | None, other: bytes | None) -> bool:
    """Return whether two payloads say the same, whatever the order of their members; an absent one equals null."""
    return one == other or canonical(_parsed(one)) == canonical(_parsed(other))


def _parsed(text: bytes | None) -> object:
    return None if text is None else orjson.loads(text)
