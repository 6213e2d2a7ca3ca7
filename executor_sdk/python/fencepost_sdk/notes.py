"""Notes: what a handler says while it runs, as the server takes it.

A note is worth less than its task: a bad note is dropped, and the task goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

from fencepost_sdk.payloads import printable

# The server's limits for one note.
LONGEST_MESSAGE = 10_000
LONGEST_UNIT = 200


def sayable(note: Mapping[str, Any]) -> dict[str, Any]:
    """Return a note with whole numbers and texts of the length that the server takes; raise for what is no number."""
    if note["notification"] == "progress":
        return _progress(note["progress-current"], note.get("progress-total"), note.get("progress-unit"))
    if "message" in note:
        return {**note, "message": printable(str(note["message"]), LONGEST_MESSAGE)}
    return dict(note)


def _progress(current: Any, total: Any, unit: Any) -> dict[str, Any]:
    """Write a progress: whole numbers as they are, others as percent of their total or, without one, rounded."""
    done, whole = _number(current), None if total is None else _number(total)
    if whole is not None and not (isinstance(done, int) and isinstance(whole, int)):
        done, whole, unit = (int(100 * done / whole), 100, "%") if whole else (round(done), 0, unit)
    note: dict[str, Any] = {"notification": "progress", "progress-current": round(done)}
    if whole is not None:
        note["progress-total"] = whole
    if unit is not None:
        note["progress-unit"] = printable(str(unit), LONGEST_UNIT)
    return note


def _number(value: Any) -> int | float:
    """Return any kind of number, numpy's and Decimal too, as an int if it is whole, else as a float."""
    if isinstance(value, int):
        return int(value)
    if isinstance(value, str | bytes) or not hasattr(type(value), "__float__"):
        raise TypeError(f"a progress is a number, not a {type(value).__qualname__}")
    real = float(value)
    if not isfinite(real):
        raise ValueError(f"a progress is a finite number, not {real}")
    return int(value) if real.is_integer() else real
