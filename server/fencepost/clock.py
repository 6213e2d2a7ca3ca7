"""Time as an argument: every statement takes `now`, and no other code reads a wall clock.

In production this is the clock of the database, so that servers with wrong clocks cannot disagree. Tests use a frozen
clock.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """The source of `now` for statements."""

    def now(self) -> datetime | None:
        """Return the time for statements, or None for the database's clock."""


class DatabaseClock:
    """The clock of the database, for production."""

    def now(self) -> datetime | None:
        """Return None: each statement reads the database's clock."""
        return None


class FrozenClock:
    """A clock that only `advance` moves, for tests."""

    def __init__(self, at: datetime | None = None) -> None:
        self._now = at or datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime | None:
        """Return the frozen time."""
        return self._now

    def advance(self, by: timedelta) -> None:
        """Move the clock forward."""
        self._now += by
