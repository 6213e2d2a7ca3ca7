"""Plain reads of tasks, as the vendor's own clients use them: bundles of AidboxTask and AidboxTaskLog.

GET /AidboxTask?_count=0&.status=ready&definition-not=…    their number
GET /AidboxTask/{id}                                       one task
GET /AidboxTaskLog?subject={id}                            its log, newest last
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import UNSET
from starlette.requests import Request

from fencepost.domain.listing import Direction, Filter, LogPlace
from fencepost.domain.task import TaskWithSettings
from fencepost.domain.transitions import STATUSES
from fencepost.engine.context import Context
from fencepost.errors import READ_TOO_LONG, TASK_NOT_FOUND, WORKFLOW_NOT_FOUND, Refusal
from fencepost.http.parameters import ID, Number, Text, Words, url_with
from fencepost.http.routes import Routes
from fencepost.resources.bundles import BundleLink, TaskEntry, TaskLogEntry, TaskLogs, Tasks
from fencepost.resources.tasks import AidboxTask, log_resource, task_resource
from fencepost.resources.workflows import workflow_log
from fencepost.routes.search import MOST, Position, Search

task_routes = Routes()

_SEARCH = Search(STATUSES)
_DIRECTIONS: dict[str, Direction] = {"_lastUpdated": "asc", "-_lastUpdated": "desc"}
_SUBJECT = Text(
    "subject",
    "id of a task, with or without `AidboxTask/`, or of a workflow with `AidboxWorkflow/`",
    required=True,
)
_COUNT = Number("_count", "page size", default=MOST, most=MOST)
_AFTER = Number("_after", "`versionId` of the last entry of the previous page; 0 for the first page")
_SORT = Words("_sort", "order of the entries; by default the oldest first", known=tuple(_DIRECTIONS))


@task_routes.route("GET", "/AidboxTask", parameters=_SEARCH.parameters, errors=(READ_TOO_LONG,))
async def search_tasks(context: Context, request: Request) -> Tasks:
    """Search tasks, newest first."""
    tasks = context.engine.tasks

    async def count(wanted: Filter, seconds: float) -> int | None:
        return await tasks.count(wanted, seconds=seconds)

    async def page(wanted: Filter, position: Position, size: int) -> tuple[Sequence[Any], Position]:
        found, page = await tasks.list(wanted, sort="created_at", direction="desc", position=position, size=size)
        return [task_resource(one) for one in found], page.position

    found = await _SEARCH.run(request, count, page)
    return Tasks(type="searchset", total=found.total, entry=[*map(TaskEntry, found.page)], link=found.link)


@task_routes.route("GET", "/AidboxTask/{id}", errors=(TASK_NOT_FOUND,))
async def read_task(context: Context, request: Request) -> AidboxTask:
    """Read one task."""
    return task_resource(await _get(context, request.path_params["id"]))


@task_routes.route(
    "GET",
    "/AidboxTaskLog",
    parameters=(_SUBJECT, _COUNT, _AFTER, _SORT),
    errors=(TASK_NOT_FOUND, WORKFLOW_NOT_FOUND),
)
async def read_task_log(context: Context, request: Request) -> TaskLogs:
    """Read the log of a task or of a workflow, oldest first.

    The log of a workflow has one page.
    """
    query, tasks = request.query_params, context.engine.tasks
    subject = (_SUBJECT.read(query) or "").removeprefix("AidboxTask/")
    if subject.startswith("AidboxWorkflow/"):
        return await _workflow_log(context, subject.removeprefix("AidboxWorkflow/"))
    found = await _get(context, subject)
    size = _COUNT.read(query)
    direction = _DIRECTIONS[(_SORT.read(query) or ["_lastUpdated"])[0]]
    after = _AFTER.read(query) or None
    total = await tasks.count_log(found.task)
    if size == 0:
        return TaskLogs(type="searchset", total=total, entry=[])
    entries, more = await tasks.log(found.task, LogPlace(after, direction, size))
    link = [BundleLink("next", url_with(request, _after=str(entries[-1].version)))] if more else UNSET
    entry = [TaskLogEntry(log_resource(one)) for one in entries]
    return TaskLogs(type="searchset", total=total, entry=entry, link=link)


async def _workflow_log(context: Context, id: str) -> TaskLogs:
    if not ID.fullmatch(id):
        raise Refusal(WORKFLOW_NOT_FOUND, id=id[:64])
    found = await context.engine.workflows.get(id)
    entry = [TaskLogEntry(one) for one in workflow_log(found.workflow, found.steps)]
    return TaskLogs(type="searchset", total=len(entry), entry=entry)


async def _get(context: Context, id: str) -> TaskWithSettings:
    # A path may have a NUL, which no id has and Postgres cannot compare.
    if not ID.fullmatch(id):
        raise Refusal(TASK_NOT_FOUND, id=id[:64])
    return await context.engine.tasks.get(id)
