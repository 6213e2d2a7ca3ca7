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


def payload_text(raw: Raw | UnsetType) -> bytes | None:
    """Return a payload's text, None for an absent one or null."""
    text = b"null" if raw is UNSET else bytes(raw).strip()
    return None if text == b"null" else text


def object_text(raw: Raw | UnsetType, field: str) -> bytes | None:
    """Return the text of an object, None for an absent one or null; raise Refusal (`invalid-params`) otherwise."""
    text = payload_text(raw)
    require_object(text, field)
    return text


def require_object(text: bytes | None, field: str) -> None:
    """Raise Refusal (`invalid-params`) unless a payload is an object or absent."""
    if text is not None and text[:1] != b"{":
        raise invalid_params("Expected `object`", field)
