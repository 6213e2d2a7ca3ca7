"""Bounds on the hints and the long checks of one request, counted over all of its calls.

An array of a thousand calls can ask a thousand times for what one call may have once. `allowed()` begins a request;
outside of one (loops, tests) each use has an allowance of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_MOST_HINTS = 10
_CHECK_SECONDS = 10.0


class Allowance:
    """The rest of a request's bounds: hints to nearest names, and seconds for checks in a process of their own."""

    def __init__(self) -> None:
        self.hints = _MOST_HINTS
        self.check_seconds = _CHECK_SECONDS

    def take_hint(self) -> bool:
        """Count a hint; return whether there was one left."""
        self.hints -= 1
        return self.hints >= 0


@contextmanager
def allowed() -> Iterator[Allowance]:
    """Give what runs inside one allowance together."""
    token = _allowance.set(Allowance())
    try:
        yield allowance()
    finally:
        _allowance.reset(token)


def allowance() -> Allowance:
    """Return that of the request that is being answered, or a new one."""
    return _allowance.get() or Allowance()


_allowance: ContextVar[Allowance | None] = ContextVar("allowance", default=None)
