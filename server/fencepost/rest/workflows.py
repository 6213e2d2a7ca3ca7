"""The reads of workflows that the vendor's own clients make.

GET /AidboxWorkflow?_count=0&.status=in-progress    how many
GET /AidboxWorkflow/{id}                            one
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from fencepost.domain.listing import Filter
from fencepost.domain.transitions import OUTCOMES
from fencepost.domain.workflow import STATUSES
from fencepost.engine.engine import Engine
from fencepost.errors import WORKFLOW_NOT_FOUND, Refusal
from fencepost.rest.bundles import DEFAULT, ID, MOST, SEARCH, Bundle, answer, next_page, number, refuse_unknown, words
from fencepost.wire.pages import read_position
from fencepost.wire.workflows import workflow_resource


class WorkflowReads:
    """The handlers of the reads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def search(self, request: Request) -> Response:
        """Answer `GET /AidboxWorkflow`."""
        query = request.query_params
        refuse_unknown(query, SEARCH)
        wanted = Filter(
            ids=words(query, "_id"),
            include=words(query, "definition"),
            exclude=words(query, "definition-not"),
            statuses=words(query, ".status", "status", known=STATUSES),
            outcomes=words(query, ".outcome", "outcome", known=OUTCOMES),
        )
        size = number(query, "_count", DEFAULT, MOST)
        total = await self._engine.workflows.count(wanted)
        if size == 0:
            return answer(Bundle(total=total, entry=[], type="searchset"))
        page = await self._engine.workflows.list(
            wanted,
            sort="created_at",
            direction="desc",
            position=read_position(query.get("_after"), "_after"),
            size=size,
        )
        entry = [{"resource": workflow_resource(workflow)} for workflow in page.workflows]
        return answer(Bundle(total=total, entry=entry, type="searchset", link=next_page(request, page.position)))

    async def read(self, request: Request) -> Response:
        """Answer `GET /AidboxWorkflow/{id}`."""
        id = request.path_params["id"]
        # A path may hold what no id does and Postgres cannot even compare: a NUL.
        if not ID.fullmatch(id):
            raise Refusal(WORKFLOW_NOT_FOUND, id=id[:64])
        return answer(workflow_resource((await self._engine.workflows.get(id)).workflow))
