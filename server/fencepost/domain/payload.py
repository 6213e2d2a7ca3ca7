"""Payloads: JSON text that is passed through unparsed, and compared when a call is repeated."""

from __future__ import annotations

import orjson
from msgspec import UNSET, Raw, UnsetType

from fencepost.errors import invalid_params


def canonical(value: object) -> bytes:
    """Return the canonical text of a parsed value; as Python values, `1` and `true` would be equal."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def same_payload(one: bytes | None, other: bytes | None) -> bool:
    """Return whether two payloads are equal in any order of their members; an absent one equals null."""
    return one == other or canonical(_parsed(one)) == canonical(_parsed(other))


def _parsed(text: bytes | None) -> object:
    return None if text is None else orjson.loads(text)


def object_text(raw: Raw | UnsetType, at: str, *, array: bool = False) -> bytes | None:
    """Return a payload's text, None for an absent one or null; raise Refusal unless it is an object, or an `array`."""
    if raw is UNSET:
        return None
    text = bytes(raw).strip()
    if text[:1] == b"{":
        return text
    if text == b"null":
        return None
    if not (array and text[:1] == b"["):
        raise invalid_params("Expected `object`", at)
    return text
