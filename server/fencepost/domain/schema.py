"""JSON Schema 2020-12 over payloads: the only module that knows which library checks them.

Remote and file `$ref`s are refused, and patterns run in linear time (no look-around): a definition is user input.
"""

from __future__ import annotations

from itertools import islice
from typing import Any

import jsonschema_rs
import orjson

from fencepost.errors import invalid_params

# A pattern compiles to at most this many bytes; the library's own default is larger than any honest pattern needs.
_PATTERNS = jsonschema_rs.RegexOptions(size_limit=1 << 20, dfa_size_limit=1 << 20)
_MOST_ERRORS = 20
_LONGEST_MESSAGE = 300
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


class Schema:
    """A compiled schema."""

    def __init__(self, document: Any, *, at: str) -> None:
        """Compile; raise Refusal (`invalid-params` at `at`) when it is not a schema that we run."""
        try:
            self._validator = jsonschema_rs.Draft202012Validator(
                _of_our_dialect(document), offline=True, pattern_options=_PATTERNS, validate_formats=True
            )
        except (jsonschema_rs.ReferencingError, ValueError, TypeError) as error:
            raise invalid_params(f"not a JSON Schema that can be used: {_first_line(error)}", at) from error

    def check(self, payload: bytes | None, *, at: str) -> None:
        """Raise Refusal (`invalid-params`, one entry of `errors` a fault) when the JSON text does not fit."""
        found = islice(self._validator.iter_errors(orjson.loads(payload or b"{}")), _MOST_ERRORS)
        faults = [{"path": at + _json_path(fault.instance_path), "message": _short(fault.message)} for fault in found]
        if faults:
            raise invalid_params(faults[0]["message"], faults[0]["path"], faults)


def _of_our_dialect(document: Any) -> Any:
    if isinstance(document, dict) and document.get("$schema", _DIALECT) != _DIALECT:
        raise ValueError(f"$schema must be {_DIALECT}")
    return document


def _short(message: str) -> str:
    """Cut what repeats a payload in every message about it."""
    return message if len(message) <= _LONGEST_MESSAGE else message[: _LONGEST_MESSAGE - 1] + "…"


def _json_path(parts: list[str | int]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
