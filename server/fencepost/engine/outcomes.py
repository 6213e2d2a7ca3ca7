"""What became of several calls: of each what it gave, or why it gave nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from typing import TypeVar, cast

from fencepost.errors import UNAVAILABLE, Refusal

T = TypeVar("T")
# In the order of the calls.
Outcomes = Sequence[T | Exception]

# A guard fails, the explanation finds nothing wrong, and so on: somebody changed the task in between each time.
TRIES = 5


async def each(calls: Iterable[Awaitable[T]]) -> Outcomes[T]:
    """Run calls side by side and return the outcome of each."""
    return cast("Outcomes[T]", await asyncio.gather(*calls, return_exceptions=True))


async def in_turn(calls: Iterable[Awaitable[T]]) -> Outcomes[T]:
    """Run calls that seldom have to wait one after the other, which costs less, and return the outcome of each."""
    outcomes: list[T | Exception] = []
    for call in calls:
        try:
            outcomes.append(await call)
        except Exception as error:  # noqa: BLE001 as `each` does: it is the outcome of this call
            outcomes.append(error)
    return outcomes


def contended(what: str) -> Refusal:
    """Return what is said of something that somebody else changed in between, again and again."""
    return Refusal(UNAVAILABLE, retry_after=1, reason=f"{what} keeps changing; try again")
