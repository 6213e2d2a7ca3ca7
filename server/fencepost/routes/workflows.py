"""Plain reads of workflows, as the vendor's own clients use them.

GET /AidboxWorkflow?_count=0&.status=in-progress    their number
GET /AidboxWorkflow/{id}                            one workflow
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from fencepost.domain.listing import Filter
from fencepost.domain.workflow import STATUSES
from fencepost.engine.engine import Engine
from fencepost.errors import WORKFLOW_NOT_FOUND, Refusal
from fencepost.http.queries import ID
from fencepost.resources.workflows import workflow_resource
from fencepost.routes.bundles import Position, answer, search


class WorkflowReads:
    """The handlers of these reads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def search(self, request: Request) -> Response:
        """Answer `GET /AidboxWorkflow`."""
        return await search(request, STATUSES, self._count, self._page)

    async def _count(self, wanted: Filter, seconds: float) -> int | None:
        return await self._engine.workflows.count(wanted, seconds=seconds)

    async def _page(self, wanted: Filter, position: Position, size: int) -> tuple[Sequence[Any], Position]:
        page = await self._engine.workflows.list(
            wanted, sort="created_at", direction="desc", position=position, size=size
        )
        return [workflow_resource(workflow) for workflow in page.workflows], page.position

    async def read(self, request: Request) -> Response:
        """Answer `GET /AidboxWorkflow/{id}`."""
        id = request.path_params["id"]
        # A path may have a NUL, which no id has and Postgres cannot compare.
        if not ID.fullmatch(id):
            raise Refusal(WORKFLOW_NOT_FOUND, id=id[:64])
        return answer(workflow_resource((await self._engine.workflows.get(id)).workflow))
