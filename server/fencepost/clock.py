"""Time as an argument: every statement takes `now`, and nobody else reads a wall clock.

In production the database's own clock is used, so that servers with wrong clocks cannot disagree; a frozen
clock is for tests.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What the statements take as `now`."""

    def now(self) -> datetime | None:
        """Return the time that statements shall use, or None for the database's own."""


class DatabaseClock:
    """The clock of production: the database's."""

    def now(self) -> datetime | None:
        """Return None: each statement reads the database's clock."""
        return None


class FrozenClock:
    """A clock that moves when told to; for tests."""

    def __init__(self, at: datetime | None = None) -> None:
        self._now = at or datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime | None:
        """Return the frozen time."""
        return self._now

    def advance(self, by: timedelta) -> None:
        """Move the clock forward."""
        self._now += by
