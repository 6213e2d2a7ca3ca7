"""Errors on the wire: `{type, message, path?, errors?}`."""

from __future__ import annotations

import secrets
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from fencepost.errors import INTERNAL_ERROR, Refusal, path_of
from fencepost.telemetry import Event, emit

_LONGEST_MESSAGE = 2000
_LONGEST_PATH = 600


class Fault(msgspec.Struct, frozen=True):
    """An error: its type in kebab case, a message, the JSON path of the fault in the request, and further faults."""

    type: str
    message: str
    path: str | UnsetType = UNSET
    errors: list[dict[str, Any]] | UnsetType = UNSET


def error_body(refusal: Refusal, base: str = "$") -> Fault:
    """Convert a refusal; its fields are those of the value at the JSON path `base`."""

    def located(field: str) -> str:
        return _cut(path_of(field, base), _LONGEST_PATH)

    errors: list[dict[str, Any]] | UnsetType = UNSET
    if refusal.errors is not None:
        errors = [{"path": located(error.field), "message": error.message} for error in refusal.errors]
    return Fault(
        type=refusal.kind.type,
        message=_cut(refusal.message, _LONGEST_MESSAGE),
        path=UNSET if refusal.field is None else located(refusal.field),
        errors=errors,
    )


def _cut(text: str, most: int) -> str:
    """Return a message cut to a bounded length: it may quote a megabyte of the request."""
    return text if len(text) <= most else text[: most - 1] + "…"


def report_bug(error: Exception, where: str) -> Refusal:
    """Log an unexpected exception with its traceback, and return the refusal for its caller (`internal-error`)."""
    reference = secrets.token_hex(6)
    emit(Event.CALL_FAILED, error=error, method=where, reference=reference)
    return Refusal(INTERNAL_ERROR, reference=reference)
