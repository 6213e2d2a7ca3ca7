"""Bundles and search parameters of the plain reads.

Page sizes are bounded, unknown parameters are refused by name, and the next page is a link.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from fencepost.domain.listing import Filter
from fencepost.domain.transitions import OUTCOMES
from fencepost.errors import READ_TOO_LONG, Refusal, invalid_params
from fencepost.wire.pages import read_position, write_position

# Some vocabularies accept any text as an id, but Postgres cannot compare a text with a NUL.
ID = re.compile(r"[^\0]{1,64}")
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


def words(query: QueryParams, *names: str, known: tuple[str, ...] | None = None) -> list[str] | None:
    """Return the values of a comma-separated parameter, under the first of its names that is present."""
    for name in names:
        if name in query:
            words = [word for value in query.getlist(name) for word in value.split(",")]
            for word in words:
                if "\x00" in word:
                    raise invalid_params("a NUL character", name)
                if known is not None and word not in known:
                    raise invalid_params(f"Expected one of {', '.join(known)}; got {word[:40]!r}", name)
            return words
    return None


def number(query: QueryParams, name: str, default: int, most: int) -> int:
    """Return an integer parameter; raise Refusal (`invalid-params`)."""
    text = query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= most):
        raise invalid_params(f"Expected a whole number from 0 to {most}, got {text[:40]!r}", name)
    return int(text)


def refuse_unknown(query: QueryParams, known: set[str]) -> None:
    """Raise Refusal (`invalid-params`) for an unknown parameter."""
    for name in query:
        if name not in known:
            raise invalid_params(
                f"there is no parameter {name[:100]!r}; there are {', '.join(sorted(known))}", name[:100]
            )


def next_page(request: Request, after: tuple[str, int] | None) -> list[dict[str, str]]:
    """Return the link to the page after the cursor `after`."""
    if after is None:
        return []
    return [{"relation": "next", "url": url_with(request, _after=write_position(after))}]


def url_with(request: Request, **changes: str) -> str:
    """Return the URL of a request with other parameters."""
    url = request.url.include_query_params(**changes)
    return f"{url.path}?{url.query}"
