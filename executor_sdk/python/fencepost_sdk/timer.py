"""A timer of the event loop that can be set to an earlier time."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

# A timer that fires so many seconds late means that a handler has blocked the event loop.
LATE_AFTER = 1.0


class Timer:
    """Calls `fire` at the earliest time that it was set to; calls `late` with the delay in seconds when it was blocked.

    Times are those of the event loop.
    """

    def __init__(self, fire: Callable[[], None], late: Callable[[float], None] | None = None) -> None:
        self._fire = fire
        self._late = late
        self._handle: asyncio.TimerHandle | None = None
        self._at = math.inf

    def set(self, at: float) -> None:
        """Fire at `at`, or earlier if an earlier time is set."""
        if at < self._at:
            self.cancel()
            self._at = at
            loop = asyncio.get_running_loop()
            self._handle = loop.call_at(at, self._expired, max(at, loop.time()))

    def cancel(self) -> None:
        """Forget the time that was set."""
        if self._handle is not None:
            self._handle.cancel()
        self._handle = None
        self._at = math.inf

    def _expired(self, expected: float) -> None:
        late = asyncio.get_running_loop().time() - expected
        self.cancel()
        if self._late is not None and late > LATE_AFTER:
            self._late(late)
        self._fire()
