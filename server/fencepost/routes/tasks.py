"""Plain reads of tasks, as the vendor's own clients use them: bundles of AidboxTask and AidboxTaskLog.

GET /AidboxTask?_count=0&.status=ready&definition-not=…    their number
GET /AidboxTask/{id}                                       one task
GET /AidboxTaskLog?subject={id}                            its log, newest last
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from fencepost.domain.listing import Direction, Filter, LogPlace
from fencepost.domain.task import TaskWithSettings
from fencepost.domain.transitions import STATUSES
from fencepost.engine.engine import Engine
from fencepost.errors import TASK_NOT_FOUND, WORKFLOW_NOT_FOUND, Refusal
from fencepost.http.queries import ID, number, refuse_unknown, url_with, words
from fencepost.resources.tasks import log_resource, task_resource
from fencepost.resources.workflows import workflow_log
from fencepost.routes.bundles import MOST, Bundle, Position, answer, search

_DIRECTIONS: dict[str, Direction] = {"_lastUpdated": "asc", "-_lastUpdated": "desc"}


class TaskReads:
    """The handlers of these reads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def search(self, request: Request) -> Response:
        """Answer `GET /AidboxTask`."""
        return await search(request, STATUSES, self._count, self._page)

    async def _count(self, wanted: Filter, seconds: float) -> int | None:
        return await self._engine.tasks.count(wanted, seconds=seconds)

    async def _page(self, wanted: Filter, position: Position, size: int) -> tuple[Sequence[Any], Position]:
        tasks, page = await self._engine.tasks.list(
            wanted, sort="created_at", direction="desc", position=position, size=size
        )
        return [task_resource(found) for found in tasks], page.position

    async def read(self, request: Request) -> Response:
        """Answer `GET /AidboxTask/{id}`."""
        return answer(task_resource(await self._get(request.path_params["id"])))

    async def log(self, request: Request) -> Response:
        """Answer `GET /AidboxTaskLog?subject={id}`."""
        query = request.query_params
        refuse_unknown(query, {"subject", "_count", "_after", "_sort"})
        subject = query.get("subject", "").removeprefix("AidboxTask/")
        if subject.startswith("AidboxWorkflow/"):
            return await self._workflow_log(subject.removeprefix("AidboxWorkflow/"))
        found = await self._get(subject)
        size = number(query, "_count", MOST, MOST)
        direction = _DIRECTIONS[(words(query, "_sort", known=tuple(_DIRECTIONS)) or ["_lastUpdated"])[0]]
        after = number(query, "_after", 0, 2**31 - 1) or None
        total = await self._engine.tasks.count_log(found.task)
        if size == 0:
            return answer(Bundle(total=total, entry=[], type="searchset"))
        entries, more = await self._engine.tasks.log(found.task, LogPlace(after, direction, size))
        link = [{"relation": "next", "url": url_with(request, _after=str(entries[-1].version))}] if more else []
        entry = [{"resource": log_resource(one)} for one in entries]
        return answer(Bundle(total=total, entry=entry, type="searchset", link=link))

    async def _workflow_log(self, id: str) -> Response:
        if not ID.fullmatch(id):
            raise Refusal(WORKFLOW_NOT_FOUND, id=id[:64])
        found = await self._engine.workflows.get(id)
        entry = [{"resource": one} for one in workflow_log(found.workflow, found.steps)]
        return answer(Bundle(total=len(entry), entry=entry, type="searchset"))

    async def _get(self, id: str) -> TaskWithSettings:
        # A path may have a NUL, which no id has and Postgres cannot compare.
        if not ID.fullmatch(id):
            raise Refusal(TASK_NOT_FOUND, id=id[:64])
        return await self._engine.tasks.get(id)
