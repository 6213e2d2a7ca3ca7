"""Searches through all there is, a part at a time: each part takes a turn of its own, and all of them an end in time.

One statement over five million rows would keep its connection for seconds, and a reader who comes with little to find
would wait for the end. Here a search looks at numbers from one to another, wider and wider parts as long as these are
quick, and lets other reads have their turn in between. Once its time is over it says how far it has looked.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from fencepost.domain.ids import seq_of
from fencepost.domain.listing import Direction, Filter, Sort
from fencepost.store.connection import fetch_planned
from fencepost.store.database import Database
from fencepost.store.pages import Row, size_of
from fencepost.store.statements import ordered, statement

Position = tuple[str, int]

_FIRST = 1000
_SMALLEST = 100
_WIDEST = 1 << 40
# Seconds that a part should take.
_SHORT, _LONG = 0.05, 0.2
# Part of the time that a read may take in which a page begins to look at further parts.
SHARE = 0.5


class Found(NamedTuple):
    """Rows of a list, where the next page begins (None behind the last), and how far was looked when time was over."""

    rows: list[Row]
    position: Position | None
    searched_to: str | None = None


class Texts(NamedTuple):
    """The statements of a search: a list, how many, between which numbers all are, and when one was made."""

    rows: str
    total: str
    seq_range: str
    created_at: str


def of_tasks(sort: Sort, direction: Direction) -> Texts:
    """Return the statements of a search for tasks."""
    text = ordered("tasks/list", sort, direction)
    return Texts(text, statement("tasks/count"), statement("tasks/seq_range"), statement("tasks/find_created_at"))


def of_workflows(sort: Sort, direction: Direction) -> Texts:
    """Return the statements of a search for workflows."""
    text = ordered("workflows/list", sort, direction)
    return Texts(
        text, statement("workflows/count"), statement("workflows/seq_range"), statement("workflows/find_created_at")
    )


class Search:
    """A look through the tasks or the workflows that fit a filter."""

    def __init__(
        self, reads: Database, texts: Callable[[Sort, Direction], Texts], wanted: Filter, *, seconds: float
    ) -> None:
        self._reads = reads
        self._texts = texts
        self._filter = wanted
        self._wanted = {**wanted._asdict(), "seqs": [seq for id in wanted.ids or () if (seq := seq_of(id))]}
        self._until = time.monotonic() + seconds
        # The number to go on behind, when time was over before the end.
        self._stopped_at: int | None = None

    async def page(self, sort: Sort, direction: Direction, position: Position | None, size: int) -> Found:
        """Return one page, the first rows behind a position."""
        if sort == "created_at" and _is_sought(self._filter):
            return await self._looked_for(direction, position, size)
        at, seq = position or (None, None)
        params = {**self._wanted, "position": at, "position_seq": seq, "low": None, "high": None}
        page = await self._reads.page(self._texts(sort, direction).rows, params, size=size)
        return Found([*page.items], (page.items[-1][-2], page.items[-1][-1]) if page.more else None)

    async def _looked_for(self, direction: Direction, position: Position | None, size: int) -> Found:
        """Return one page in the order of creation, of rows that no key leads to."""
        at, seq = position or (None, None)
        text, left = self._texts("created_at", direction).rows, self._reads.answer_bytes
        rows: list[Row] = []
        async for low, high in self._parts(direction, seq):
            params = {**self._wanted, "position": at, "position_seq": seq, "low": low, "high": high}
            # One more row tells that there is more, without a look at all that follows.
            page = await self._reads.page(text, params, size=size + 1 - len(rows), most_bytes=left)
            rows += page.items
            left -= sum(map(size_of, page.items))
            if page.more or len(rows) > size or left <= 0:
                rows = rows[:size]
                return Found(rows, (rows[-1][-2], rows[-1][-1]))
        if self._stopped_at is None:
            return Found(rows, None)
        made_at = await self._reads.fetch(self._texts("created_at", direction).created_at, {"seq": self._stopped_at})
        moment = made_at[0][0] if made_at else "1970-01-01T00:00:00.000000Z"
        return Found(rows, (moment, self._stopped_at), moment)

    async def count(self) -> int | None:
        """Return how many there are; None when that was not to be counted in time."""
        if self._filter.ids is not None:
            return await self._counted(None, None)
        total = 0
        async for low, high in self._parts("desc", None):
            total += await self._counted(low, high)
        return total if self._stopped_at is None else None

    async def _counted(self, low: int | None, high: int | None) -> int:
        text, params = self._texts("created_at", "desc").total, {**self._wanted, "low": low, "high": high}
        rows = await self._reads.run(lambda connection: fetch_planned(connection, text, params))
        return int(rows[0][0])

    async def _parts(self, direction: Direction, behind: int | None) -> AsyncIterator[tuple[int, int]]:
        ((lowest, highest),) = await self._reads.fetch(self._texts("created_at", direction).seq_range, {})
        if lowest is None:
            return
        if behind is not None:
            lowest, highest = (behind + 1, highest) if direction == "asc" else (lowest, behind - 1)
        width = _FIRST
        while lowest <= highest:
            begun = time.monotonic()
            if direction == "asc":
                part = lowest, min(highest, lowest + width - 1)
                lowest = part[1] + 1
            else:
                part = max(lowest, highest - width + 1), highest
                highest = part[0] - 1
            yield part
            width = _next_width(width, time.monotonic() - begun)
            if time.monotonic() >= self._until and lowest <= highest:
                self._stopped_at = lowest - 1 if direction == "asc" else highest + 1
                return


def _is_sought(wanted: Filter) -> bool:
    """Return whether rows have to be looked through for those that are wanted: no key leads to them."""
    sought = (wanted.include, wanted.exclude, wanted.statuses, wanted.outcomes, wanted.pattern)
    return wanted.ids is None and any(one is not None for one in sought)


def _next_width(width: int, took: float) -> int:
    if took < _SHORT:
        return min(4 * width, _WIDEST)
    return max(_SMALLEST, int(width * _LONG / took)) if took > _LONG else width
