"""Delays between retries."""

from __future__ import annotations

import random
from collections.abc import Callable


class Backoff:
    """Exponential back-off with full jitter, in seconds, from `first` to at most `most`.

    A `Retry-After` of the server is followed up to `longest`. The jitter spreads the requests of workers that lost the
    server at the same moment.
    """

    def __init__(
        self,
        first: float = 0.1,
        most: float = 15.0,
        *,
        longest: float = 60.0,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._first = first
        self._most = most
        self._longest = longest
        self._uniform = uniform
        self.failures = 0

    def next(self, retry_after: float | None = None) -> float:
        """Return the delay after one more failure; `retry_after` is the `Retry-After` of the server, in seconds."""
        ceiling = min(self._most, self._first * 2.0 ** min(self.failures, 32))
        self.failures += 1
        # The minimum bounds the request rate when several small random delays follow each other.
        delay = max(self._uniform(0.0, ceiling), self._first / 4)
        if retry_after is None:
            return delay
        return min(retry_after, self._longest) + self._uniform(0.0, self._first * 2)
