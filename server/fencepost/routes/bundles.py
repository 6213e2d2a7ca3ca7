"""Bundles: pages of resources, with a link to the next page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from fencepost.domain.listing import Filter
from fencepost.domain.transitions import OUTCOMES
from fencepost.errors import READ_TOO_LONG, Refusal
from fencepost.http.queries import number, refuse_unknown, url_with, words
from fencepost.resources.cursors import read_position, write_position

MOST = 1000
DEFAULT = 100
_COUNTED_ALONE = 5.0
_COUNTED_BESIDE = 1.0
# Parameters of a search for tasks or workflows.
SEARCH = {"_count", "_after", "_id", ".status", "status", ".outcome", "outcome", "definition", "definition-not"}


Position = tuple[str, int] | None
# Counts the matches of a filter, for at most this many seconds.
Count = Callable[[Filter, float], Awaitable[int | None]]
# Takes a filter, the cursor of the page and its size; returns resources and the cursor of the next page.
Page = Callable[[Filter, Position, int], Awaitable[tuple[Sequence[Any], Position]]]


class Bundle(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, tag_field="resourceType", tag="Bundle"):
    """One page of a search result; `link` has the URL of the next."""

    entry: list[dict[str, Any]]
    type: str
    total: int | UnsetType = UNSET
    link: list[dict[str, str]] = []


async def search(request: Request, statuses: tuple[str, ...], count: Count, page: Page) -> Response:
    """Answer a search: the total, and unless `_count` is 0 a page, newest first.

    The total is omitted from a page if counting would take too long.
    """
    query = request.query_params
    refuse_unknown(query, SEARCH)
    wanted = Filter(
        ids=words(query, "_id"),
        include=words(query, "definition"),
        exclude=words(query, "definition-not"),
        statuses=words(query, ".status", "status", known=statuses),
        outcomes=words(query, ".outcome", "outcome", known=OUTCOMES),
    )
    size = number(query, "_count", DEFAULT, MOST)
    total = await count(wanted, _COUNTED_ALONE if size == 0 else _COUNTED_BESIDE)
    if size == 0:
        if total is None:
            raise Refusal(READ_TOO_LONG, seconds=f"{_COUNTED_ALONE:g}")
        return answer(Bundle(total=total, entry=[], type="searchset"))
    found, after = await page(wanted, read_position(query.get("_after"), "_after"), size)
    entry = [{"resource": one} for one in found]
    return answer(
        Bundle(total=UNSET if total is None else total, entry=entry, type="searchset", link=next_page(request, after))
    )


def answer(value: Any) -> Response:
    """Return the response with a resource or a bundle."""
    return Response(msgspec.json.encode(value), media_type="application/json")


def next_page(request: Request, after: tuple[str, int] | None) -> list[dict[str, str]]:
    """Return the link to the page after the cursor `after`."""
    if after is None:
        return []
    return [{"relation": "next", "url": url_with(request, _after=write_position(after))}]
