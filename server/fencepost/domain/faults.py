"""What msgspec says of a value that does not fit, as a refusal that names the field."""

from __future__ import annotations

import difflib
import re
from typing import Any, get_args

import msgspec

from fencepost.errors import Refusal, invalid_params

_AT = re.compile(r" - at `(.+)`$")
_UNKNOWN = re.compile(r"^Object contains unknown field `(.*)`$", re.DOTALL)
_MISSING = re.compile(r"^Object missing required field `(.*)`$", re.DOTALL)


def fault_of_struct(message: str, struct: Any) -> Refusal:
    """Turn what msgspec says of a struct, or of a union of some, into a refusal that names the field."""
    at = _AT.search(message)
    path = "$" if at is None else at[1]
    message = message if at is None else message[: at.start()]
    if unknown := _UNKNOWN.match(message):
        near = difflib.get_close_matches(unknown[1], names_of(struct), n=1, cutoff=0.5) if path == "$" else []
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return invalid_params(f"there is no param {unknown[1]!r}{hint}", f"{path}.{unknown[1]}")
    if missing := _MISSING.match(message):
        return invalid_params(f"{missing[1]!r} is missing", f"{path}.{missing[1]}")
    return invalid_params(message, path)


def names_of(struct: Any) -> list[str]:
    """Return the members that a struct, or any of a union, has on the wire."""
    structs = get_args(struct) or (struct,)
    return [field.encode_name for one in structs for field in msgspec.structs.fields(one)]
