"""Times as callers write them."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_text(text: str) -> str:
    """Return an ISO-8601 time in UTC, which is also what a time without a zone is in; raise ValueError for others."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        # Postgres knows zones up to 15:59:59 only, so the caller's own does not go there.
        return moment.astimezone(UTC).isoformat()
    except OverflowError as error:
        raise ValueError(text) from error
