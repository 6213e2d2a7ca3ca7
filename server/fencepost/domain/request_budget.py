"""The budget of a request: limits on suggestions and long checks, shared by all calls of a batch.

Without it, a batch of a thousand calls could use a thousand times the limit of one call. `budgeted()` begins a request;
outside of a request (loops, tests) each use has a new budget.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_MOST_SUGGESTIONS = 10
_CHECK_SECONDS = 10.0


class RequestBudget:
    """The remaining number of suggestions, and the remaining seconds of checks in subprocesses."""

    def __init__(self) -> None:
        self.suggestions = _MOST_SUGGESTIONS
        self.check_seconds = _CHECK_SECONDS

    def take_suggestion(self) -> bool:
        """Count a suggestion; return whether the budget allows it."""
        self.suggestions -= 1
        return self.suggestions >= 0


@contextmanager
def budgeted() -> Iterator[RequestBudget]:
    """Run the block with one budget: that of the request, if it has one."""
    if (budget := _budget.get()) is not None:
        yield budget
        return
    token = _budget.set(RequestBudget())
    try:
        yield current_budget()
    finally:
        _budget.reset(token)


def current_budget() -> RequestBudget:
    """Return the budget of the current request, or a new one."""
    return _budget.get() or RequestBudget()


_budget: ContextVar[RequestBudget | None] = ContextVar("request_budget", default=None)
