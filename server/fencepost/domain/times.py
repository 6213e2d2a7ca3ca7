"""Times as callers write them."""

from __future__ import annotations

from datetime import UTC, datetime

from fencepost.errors import invalid_params


def utc_text(text: str) -> str:
    """Return an ISO-8601 time in UTC, which is also the default zone; raise ValueError when it is not a time."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        # Postgres accepts offsets up to 15:59:59 only, so it never gets the caller's.
        return moment.astimezone(UTC).isoformat()
    except OverflowError as error:
        raise ValueError(text) from error


def time_text(text: str | None, field: str) -> str | None:
    """Return an ISO-8601 time in UTC, the default zone; raise Refusal (`invalid-params`) when it is not a time."""
    if text is None:
        return None
    try:
        return utc_text(text)
    except ValueError:
        raise invalid_params(f"Expected a date-time such as 2026-05-03T13:30:43Z, got {text[:40]!r}", field) from None
