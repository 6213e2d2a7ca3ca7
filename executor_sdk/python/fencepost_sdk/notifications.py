"""Notifications: heartbeats and progress of a handler, in the form that the server takes.

A notification matters less than its task: an invalid one is dropped, and the task goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

from fencepost_sdk.payloads import printable

# The server's limits for one notification, in characters.
MAX_MESSAGE = 10_000
MAX_UNIT = 200


def to_wire(notification: Mapping[str, Any]) -> dict[str, Any]:
    """Return a notification with whole numbers and with texts within the server's limits.

    Raises TypeError for a progress that is not a number, and ValueError for one that is not finite.
    """
    if notification["notification"] == "progress":
        return _progress(
            notification["progress-current"], notification.get("progress-total"), notification.get("progress-unit")
        )
    if "message" in notification:
        return {**notification, "message": printable(str(notification["message"]), MAX_MESSAGE)}
    return dict(notification)


def _progress(current: Any, total: Any, unit: Any) -> dict[str, Any]:
    """Encode a progress: whole numbers as they are, others as percent of their total or, without a total, rounded."""
    done, whole = _number(current), None if total is None else _number(total)
    if whole is not None and not (isinstance(done, int) and isinstance(whole, int)):
        done, whole, unit = (int(100 * done / whole), 100, "%") if whole else (round(done), 0, unit)
    notification: dict[str, Any] = {"notification": "progress", "progress-current": round(done)}
    if whole is not None:
        notification["progress-total"] = whole
    if unit is not None:
        notification["progress-unit"] = printable(str(unit), MAX_UNIT)
    return notification


def _number(value: Any) -> int | float:
    """Return a number of any type, such as Decimal or NumPy's, as an int if it is whole, else as a float."""
    if isinstance(value, int):
        return int(value)
    if isinstance(value, str | bytes) or not hasattr(type(value), "__float__"):
        raise TypeError(f"a progress must be a number, not a {type(value).__qualname__}")
    real = float(value)
    if not isfinite(real):
        raise ValueError(f"a progress must be a finite number, not {real}")
    return int(value) if real.is_integer() else real
