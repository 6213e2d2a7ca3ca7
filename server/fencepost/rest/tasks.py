"""The reads that the vendor's own clients make: bundles of AidboxTask and AidboxTaskLog.

GET /AidboxTask?_count=0&.status=ready&definition-not=…    how many
GET /AidboxTask/{id}                                       one
GET /AidboxTaskLog?subject={id}                            what happened to it
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from fencepost.domain.listing import Filter
from fencepost.domain.task import HeldTask
from fencepost.domain.transitions import OUTCOMES, STATUSES
from fencepost.engine.engine import Engine
from fencepost.errors import TASK_NOT_FOUND, Refusal, invalid_params
from fencepost.wire.pages import read_position, write_position
from fencepost.wire.resources import log_resource, task_resource

_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
_MOST = 1000
_DEFAULT = 100
_SEARCH = {"_count", "_after", "_id", ".status", "status", ".outcome", "outcome", "definition", "definition-not"}


class Bundle(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, tag_field="resourceType", tag="Bundle"):
    """One page of what a search found; `link` leads to the next."""

    total: int
    entry: list[dict[str, Any]]
    type: str
    link: list[dict[str, str]] = []


class TaskReads:
    """The handlers of the reads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def search(self, request: Request) -> Response:
        """Answer `GET /AidboxTask`."""
        query = request.query_params
        _refuse_unknown(query, _SEARCH)
        wanted = Filter(
            ids=_words(query, "_id"),
            include=_words(query, "definition"),
            exclude=_words(query, "definition-not"),
            statuses=_words(query, ".status", "status", known=STATUSES),
            outcomes=_words(query, ".outcome", "outcome", known=OUTCOMES),
        )
        size = _number(query, "_count", _DEFAULT, _MOST)
        total = await self._engine.tasks.count(wanted)
        if size == 0:
            return _json(Bundle(total=total, entry=[], type="searchset"))
        position = read_position(query.get("_after"), "_after")
        tasks, after = await self._engine.tasks.list(
            wanted, sort="created_at", direction="desc", position=position, size=size
        )
        entry = [{"resource": task_resource(held)} for held in tasks]
        return _json(Bundle(total=total, entry=entry, type="searchset", link=_next(request, after)))

    async def read(self, request: Request) -> Response:
        """Answer `GET /AidboxTask/{id}`."""
        return _json(task_resource(await self._get(request.path_params["id"])))

    async def log(self, request: Request) -> Response:
        """Answer `GET /AidboxTaskLog?subject={id}`."""
        query = request.query_params
        _refuse_unknown(query, {"subject", "_count", "_after"})
        subject = query.get("subject", "").removeprefix("AidboxTask/")
        held = await self._get(subject)
        size = _number(query, "_count", _MOST, _MOST)
        after = _number(query, "_after", 0, 2**31 - 1)
        entries = await self._engine.tasks.log(subject, after=after, size=size) if size else []
        more = len(entries) == size and size > 0 and entries[-1].version < held.task.version
        link = [{"relation": "next", "url": _url(request, _after=str(entries[-1].version))}] if more else []
        entry = [{"resource": log_resource(one)} for one in entries]
        return _json(Bundle(total=held.task.version, entry=entry, type="searchset", link=link))

    async def _get(self, id: str) -> HeldTask:
        # A path may hold what no id does and Postgres cannot even compare: a NUL.
        if not _ID.fullmatch(id):
            raise Refusal(TASK_NOT_FOUND, id=id[:64])
        return await self._engine.tasks.get(id)


def _json(value: Any) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")


def _words(query: QueryParams, *names: str, known: tuple[str, ...] | None = None) -> list[str] | None:
    """Return the words of a comma-separated parameter under the first of its names that is there."""
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


def _number(query: QueryParams, name: str, default: int, most: int) -> int:
    text = query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= most):
        raise invalid_params(f"Expected a whole number from 0 to {most}, got {text[:40]!r}", name)
    return int(text)


def _refuse_unknown(query: QueryParams, known: set[str]) -> None:
    for name in query:
        if name not in known:
            raise invalid_params(
                f"there is no parameter {name[:100]!r}; there are {', '.join(sorted(known))}", name[:100]
            )


def _next(request: Request, after: tuple[str, int] | None) -> list[dict[str, str]]:
    if after is None:
        return []
    return [{"relation": "next", "url": _url(request, _after=write_position(after))}]


def _url(request: Request, **changes: str) -> str:
    url = request.url.include_query_params(**changes)
    return f"{url.path}?{url.query}"
