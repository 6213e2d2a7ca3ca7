"""Plain reads of workflows, as the vendor's own clients use them.

GET /AidboxWorkflow?_count=0&.status=in-progress    their number
GET /AidboxWorkflow/{id}                            one workflow
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request

from fencepost.domain.listing import Filter
from fencepost.domain.workflow import STATUSES
from fencepost.engine.context import Context
from fencepost.errors import READ_TOO_LONG, WORKFLOW_NOT_FOUND, Refusal
from fencepost.http.parameters import ID
from fencepost.http.routes import Routes
from fencepost.resources.bundles import WorkflowEntry, Workflows
from fencepost.resources.workflows import AidboxWorkflow, workflow_resource
from fencepost.routes.search import Position, Search

workflow_routes = Routes()

_SEARCH = Search(STATUSES)


@workflow_routes.route("GET", "/AidboxWorkflow", parameters=_SEARCH.parameters, errors=(READ_TOO_LONG,))
async def search_workflows(context: Context, request: Request) -> Workflows:
    """Search workflows, newest first."""
    workflows = context.engine.workflows

    async def count(wanted: Filter, seconds: float) -> int | None:
        return await workflows.count(wanted, seconds=seconds)

    async def page(wanted: Filter, position: Position, size: int) -> tuple[Sequence[Any], Position]:
        page = await workflows.list(wanted, sort="created_at", direction="desc", position=position, size=size)
        return [workflow_resource(workflow) for workflow in page.workflows], page.position

    found = await _SEARCH.run(request, count, page)
    return Workflows(type="searchset", total=found.total, entry=[*map(WorkflowEntry, found.page)], link=found.link)


@workflow_routes.route("GET", "/AidboxWorkflow/{id}", errors=(WORKFLOW_NOT_FOUND,))
async def read_workflow(context: Context, request: Request) -> AidboxWorkflow:
    """Read one workflow."""
    id = request.path_params["id"]
    # A path may have a NUL, which no id has and Postgres cannot compare.
    if not ID.fullmatch(id):
        raise Refusal(WORKFLOW_NOT_FOUND, id=id[:64])
    return workflow_resource((await context.engine.workflows.get(id)).workflow)
