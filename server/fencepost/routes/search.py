"""Searches for tasks and workflows: their parameters, the total, and a page with a link to the next."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from msgspec import UNSET, UnsetType
from starlette.requests import Request

from fencepost.domain.listing import Filter
from fencepost.domain.transitions import OUTCOMES
from fencepost.errors import READ_TOO_LONG, Refusal, Verbatim
from fencepost.http.parameters import Number, Parameter, Text, Words, url_with
from fencepost.resources.bundles import BundleLink
from fencepost.resources.cursors import read_position, write_position

MOST = 1000
_COUNTED_ALONE = 5.0
_COUNTED_BESIDE = 1.0

Position = tuple[str, int] | None
# Counts the matches of a filter, for at most this many seconds.
Count = Callable[[Filter, float], Awaitable[int | None]]
# Takes a filter, the cursor of the page and its size; returns resources and the cursor of the next page.
Page = Callable[[Filter, Position, int], Awaitable[tuple[Sequence[Any], Position]]]

_COUNT = Number("_count", "page size", default=100, most=MOST)
_AFTER = Text("_after", "cursor of the page, from `link` of the previous page")
_ID = Words("_id", "one of these ids")
_OUTCOMES = [Words(name, "with one of these outcomes", known=OUTCOMES) for name in (".outcome", "outcome")]
_DEFINITION = Words("definition", "of one of these definitions")
_NOT_DEFINITION = Words("definition-not", "of none of these definitions")


class Found(NamedTuple):
    """The result of a search: the total, unless counting takes too long, a page, and the link to the next page."""

    total: int | UnsetType
    page: Sequence[Any]
    link: list[BundleLink] | UnsetType = UNSET


class Search:
    """A search for resources that have one of these statuses."""

    def __init__(self, statuses: tuple[str, ...]) -> None:
        self._statuses = [Words(name, "with one of these statuses", known=statuses) for name in (".status", "status")]
        self.parameters: Sequence[Parameter] = (
            _COUNT, _AFTER, _ID, *self._statuses, *_OUTCOMES, _DEFINITION, _NOT_DEFINITION
        )  # fmt: skip

    async def run(self, request: Request, count: Count, page: Page) -> Found:
        """Return the total, and unless `_count` is 0 a page, newest first; raise Refusal (`read-too-long`).

        The total of a page is omitted if counting takes too long.
        """
        query = request.query_params

        def first(parameters: Sequence[Words]) -> list[str] | None:
            return next((one.read(query) for one in parameters if one.name in query), None)

        wanted = Filter(
            ids=_ID.read(query),
            include=_DEFINITION.read(query),
            exclude=_NOT_DEFINITION.read(query),
            statuses=first(self._statuses),
            outcomes=first(_OUTCOMES),
        )
        size = _COUNT.read(query)
        total = await count(wanted, _COUNTED_ALONE if size == 0 else _COUNTED_BESIDE)
        if size == 0:
            if total is None:
                raise Refusal(READ_TOO_LONG, seconds=f"{_COUNTED_ALONE:g}")
            return Found(total, [])
        found, after = await page(wanted, read_position(_AFTER.read(query), Verbatim("_after")), size)
        link = UNSET if after is None else [BundleLink("next", url_with(request, _after=write_position(after)))]
        return Found(UNSET if total is None else total, found, link)
