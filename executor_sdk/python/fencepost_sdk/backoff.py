"""How long to wait before trying again."""

from __future__ import annotations

import random
from collections.abc import Callable


class Backoff:
    """Full-jitter exponential delays, in seconds, that do not go below what the server asked for, up to `longest`.

    The jitter spreads a fleet that lost its server at one moment over the whole interval when the server is back.
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
        """Return the delay after one more failure; `retry_after` is the server's wish, in seconds."""
        ceiling = min(self._most, self._first * 2.0 ** min(self.failures, 32))
        self.failures += 1
        # A floor keeps an unlucky run of small draws from hammering a server that refuses at once.
        delay = max(self._uniform(0.0, ceiling), self._first / 4)
        if retry_after is None:
            return delay
        return min(retry_after, self._longest) + self._uniform(0.0, self._first * 2)
