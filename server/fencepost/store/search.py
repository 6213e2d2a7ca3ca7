"""Searches through all tasks or workflows, one range of seq at a time, within a time limit.

One statement over five million rows would keep its connection for seconds, and small reads would wait for it. A search
reads one range after another, each as a job of its own, so that other reads run in between. The ranges grow as long as
they are quick. When its time is up, the search returns how far it got.
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
# Seconds that one range should take.
_SHORT, _LONG = 0.05, 0.2
# The part of the time limit of a read in which a page may begin another range.
SHARE = 0.5


class Found(NamedTuple):
    """Rows of a page, the position of the next page (None after the last), and the time reached when time was up."""

    rows: list[Row]
    position: Position | None
    searched_to: str | None = None


class Texts(NamedTuple):
    """The statements of a search: the list, the count, the range of seq, and the creation time at a seq."""

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
    """A search for the tasks or the workflows that match a filter."""

    def __init__(
        self, reads: Database, texts: Callable[[Sort, Direction], Texts], wanted: Filter, *, seconds: float
    ) -> None:
        self._reads = reads
        self._texts = texts
        self._filter = wanted
        self._wanted = {**wanted._asdict(), "seqs": [seq for id in wanted.ids or () if (seq := seq_of(id))]}
        self._until = time.monotonic() + seconds
        # The seq after which the next page begins, when time was up before the end.
        self._stopped_at: int | None = None

    async def page(self, sort: Sort, direction: Direction, position: Position | None, size: int) -> Found:
        """Return one page: the first rows after a position."""
        if sort == "created_at" and _is_sought(self._filter):
            return await self._looked_for(direction, position, size)
        at, seq = position or (None, None)
        params = {**self._wanted, "position": at, "position_seq": seq, "low": None, "high": None}
        page = await self._reads.page(self._texts(sort, direction).rows, params, size=size)
        return Found([*page.items], (page.items[-1][-2], page.items[-1][-1]) if page.more else None)

    async def _looked_for(self, direction: Direction, position: Position | None, size: int) -> Found:
        """Return one page by creation time, for a filter that no index serves."""
        at, seq = position or (None, None)
        text, left = self._texts("created_at", direction).rows, self._reads.answer_bytes
        rows: list[Row] = []
        async for low, high in self._parts(direction, seq):
            params = {**self._wanted, "position": at, "position_seq": seq, "low": low, "high": high}
            # One row more tells whether there is a next page, without reading the rest.
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
        """Return the number of matches; None when the count was not complete in time."""
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
    """Return whether a filter needs a search through all rows, because no index serves it."""
    sought = (wanted.include, wanted.exclude, wanted.statuses, wanted.outcomes, wanted.pattern)
    return wanted.ids is None and any(one is not None for one in sought)


def _next_width(width: int, took: float) -> int:
    if took < _SHORT:
        return min(4 * width, _WIDEST)
    return max(_SMALLEST, int(width * _LONG / took)) if took > _LONG else width
