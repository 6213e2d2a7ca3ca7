"""Results of a batch: a value or an exception for each call, in order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from typing import TypeVar, cast

from fencepost.errors import UNAVAILABLE, Refusal

T = TypeVar("T")
# In the order of the calls.
Outcomes = Sequence[T | Exception]

# Attempts at a guarded statement: each time its guard failed, yet the row that was read afterwards allowed the change,
# so another transaction had changed it in between.
TRIES = 5


async def gather(calls: Iterable[Awaitable[T]]) -> Outcomes[T]:
    """Run calls concurrently and return the outcome of each."""
    return cast("Outcomes[T]", await asyncio.gather(*calls, return_exceptions=True))


async def sequentially(calls: Iterable[Awaitable[T]]) -> Outcomes[T]:
    """Run calls one after the other and return the outcome of each: cheaper when they seldom wait."""
    outcomes: list[T | Exception] = []
    for call in calls:
        try:
            outcomes.append(await call)
        except Exception as error:  # noqa: BLE001 as `gather` does: it is the outcome of this call
            outcomes.append(error)
    return outcomes


def too_contended(what: str) -> Refusal:
    """Return the refusal (`unavailable`) of a call that lost against concurrent changes `TRIES` times."""
    return Refusal(UNAVAILABLE, retry_after=1, reason=f"{what} keeps changing; try again")
