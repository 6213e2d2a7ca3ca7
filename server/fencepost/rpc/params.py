"""Reading the params of a call: their struct decides, and every fault names its field."""

from __future__ import annotations

import difflib
import re
from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from fencepost.errors import Refusal, invalid_params
from fencepost.rpc.registry import Method
from fencepost.wire.times import utc_text

_AT = re.compile(r" - at `(.+)`$")
_UNKNOWN = re.compile(r"^Object contains unknown field `(.*)`$", re.DOTALL)
_MISSING = re.compile(r"^Object missing required field `(.*)`$", re.DOTALL)


def read_params(method: Method, text: bytes | memoryview) -> Any:
    """Decode the params of a call of `method`; raise Refusal (`invalid-params`)."""
    try:
        return method.decoder.decode(text)
    except msgspec.ValidationError as error:
        raise fault_of_struct(str(error), method.params) from None


def fault_of_struct(message: str, struct: type[msgspec.Struct]) -> Refusal:
    """Turn what msgspec says of a struct into a refusal that names the field and the nearest known one."""
    at = _AT.search(message)
    path = "$" if at is None else at[1]
    message = message if at is None else message[: at.start()]
    if unknown := _UNKNOWN.match(message):
        near = difflib.get_close_matches(unknown[1], _names(struct), n=1, cutoff=0.5) if path == "$" else []
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return invalid_params(f"there is no param {unknown[1]!r}{hint}", f"{path}.{unknown[1]}")
    if missing := _MISSING.match(message):
        return invalid_params(f"{missing[1]!r} is missing", f"{path}.{missing[1]}")
    return invalid_params(message, path)


def object_text(raw: Raw | UnsetType, at: str) -> bytes | None:
    """Return a payload's text, None for an absent one or null; raise Refusal unless it is an object."""
    if raw is UNSET:
        return None
    text = bytes(raw).strip()
    if text == b"null":
        return None
    if not text.startswith(b"{"):
        raise invalid_params("Expected `object`", at)
    return text


def time_text(text: str | None, at: str) -> str | None:
    """Return an ISO-8601 time with its zone, UTC where it names none; raise Refusal when it is not a time."""
    if text is None:
        return None
    try:
        return utc_text(text)
    except ValueError:
        raise invalid_params(f"Expected a date-time such as 2026-05-03T13:30:43Z, got {text[:40]!r}", at) from None


def _names(struct: type[msgspec.Struct]) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(struct)]
