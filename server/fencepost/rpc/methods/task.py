"""`awf.task/*` for users: creating, looking, cancelling, retrying."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Annotated, Literal

import msgspec
import orjson
from msgspec import UNSET, Meta, UnsetType

from fencepost.domain.definition import Name
from fencepost.domain.ids import ChosenId
from fencepost.domain.listing import Direction, Filter, LogPlace
from fencepost.domain.payload import object_text
from fencepost.domain.task import HeldTask
from fencepost.domain.terms import TaskTerms, terms_text
from fencepost.domain.times import time_text
from fencepost.engine.outcomes import Outcomes, each
from fencepost.engine.tasks import NewTask
from fencepost.errors import invalid_params
from fencepost.rpc.methods.executor import IncludeResource, TaskId, TaskResult, all_short, changed_tasks
from fencepost.rpc.registry import Context, Registry
from fencepost.wire.pages import read_position, write_position
from fencepost.wire.resources import (
    AidboxTask,
    AidboxTaskLog,
    JsonObject,
    TaskSettings,
    Time,
    log_resource,
    settings_resource,
    task_resource,
)

task_methods = Registry()

Status = Literal["waiting", "ready", "requested", "in-progress", "done"]
OutcomeName = Literal["succeeded", "failed", "canceled"]


class CreateParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """What shall be done."""

    definition: Name
    id: Annotated[ChosenId, Meta(description="1 to 64 letters, digits, `.` or `-`; a UUID when absent")] | None = None
    label: Annotated[str, Meta(max_length=1000)] | None = None
    params: JsonObject | UnsetType = UNSET
    execute_at: Annotated[str, Meta(description="ISO-8601, UTC when it names no zone; at once when absent")] | None = (
        None
    )
    settings: Annotated[TaskTerms, Meta(description="instead of what its definition says")] | UnsetType = UNSET
    include_resource: IncludeResource = msgspec.field(name="include-resource?", default=True)

    def __post_init__(self) -> None:
        """Refuse params that are no object and a time that is none; write the time in UTC."""
        object_text(self.params, "$.params")
        if self.execute_at is not None:
            msgspec.structs.force_setattr(self, "execute_at", time_text(self.execute_at, "$.executeAt"))


class IdParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which task."""

    id: TaskId


class StatusParams(IdParams, frozen=True, forbid_unknown_fields=True):
    """Which task, and what to tell beside it."""

    include_settings: bool = msgspec.field(name="include-settings?", default=False)
    include_log: bool = msgspec.field(name="include-log?", default=False)
    log_sort: Annotated[Direction, Meta(description="the oldest entries first, or the newest")] = msgspec.field(
        name="log-sort", default="asc"
    )
    log_limit: Annotated[int, Meta(ge=1, le=1000)] = msgspec.field(name="log-limit", default=1000)
    log_after: Annotated[str, Meta(pattern="^[1-9][0-9]{0,8}$", description="`log-next` of the page before")] | None = (
        msgspec.field(name="log-after", default=None)
    )


class StatusResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """A task, and beside it what was asked for."""

    resource: AidboxTask
    settings: TaskSettings | UnsetType = UNSET
    log: list[AidboxTaskLog] | UnsetType = UNSET
    log_next: str | UnsetType = msgspec.field(name="log-next", default=UNSET)


SOUGHT = "part of id, label, definition, params, result, error or reason, as they read and whatever the case"
SearchedTo = Annotated[
    Time, Meta(description="there when the search ended before its end: all up to what was made then was looked at")
]


class ListFilter(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Which tasks; every member that is given must fit."""

    include_definitions: Annotated[list[Name], Meta(max_length=1000)] | None = None
    exclude_definitions: Annotated[list[Name], Meta(max_length=1000)] | None = None
    status: Status | list[Status] | None = None
    outcome: OutcomeName | list[OutcomeName] | None = None
    ilike: Annotated[str, Meta(max_length=1000, description=SOUGHT)] | None = None


class ListSort(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """One of the two times, and which way."""

    created_at: Direction | None = None
    last_updated: Direction | None = None


class ListParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which page of which tasks."""

    filter: ListFilter = ListFilter()
    sort: ListSort = ListSort()
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    after: Annotated[str, Meta(max_length=200, description="`next` of the page before")] | None = None


class ListResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """One page of tasks; `next` is there while there are more."""

    resources: list[AidboxTask]
    next: str | UnsetType = UNSET
    searched_to: SearchedTo | UnsetType = msgspec.field(name="searchedTo", default=UNSET)


def made_anew(call: CreateParams) -> bool:
    """Return whether the answer to a create holds no more than the call itself, as one that was made before may."""
    return call.id is None or not call.include_resource


@task_methods.batched(
    "awf.task/create-and-execute",
    example={"definition": "demo/resize", "params": {"width": 320}},
    small=made_anew,
    together=64,
)
async def create_and_execute(context: Context, calls: Sequence[CreateParams]) -> Outcomes[TaskResult]:
    """Create a task: ready, or waiting while `executeAt` is ahead. The same `id` and content again is the same task."""
    requester = orjson.dumps({"resourceType": "Client", "id": context.caller})
    news = [
        NewTask(
            call.definition,
            call.id,
            call.label,
            object_text(call.params, "$.params"),
            call.execute_at,
            requester,
            context.caller,
            terms_text(call.settings),
        )
        for call in calls
    ]
    return changed_tasks(calls, await context.engine.tasks.create(news, short=all_short(calls)))


@task_methods.batched("awf.task/status", example={"id": "c578a224-c1fa-44c1-bc7a-9d2e624b872b", "include-log?": True})
async def status(context: Context, calls: Sequence[StatusParams]) -> Outcomes[StatusResult]:
    """Tell how a task stands, on request with its settings and its log."""
    return await each(_status(context, call) for call in calls)


@task_methods.batched("awf.task/cancel", example={"id": "c578a224-c1fa-44c1-bc7a-9d2e624b872b"})
async def cancel(context: Context, calls: Sequence[IdParams]) -> Outcomes[TaskResult]:
    """End a live task as canceled, at once; its worker is told with its next notification."""
    return await each(_one(context.engine.tasks.cancel(call.id, caller=context.caller)) for call in calls)


@task_methods.batched("awf.task/retry", example={"id": "c578a224-c1fa-44c1-bc7a-9d2e624b872b"})
async def retry(context: Context, calls: Sequence[IdParams]) -> Outcomes[TaskResult]:
    """Run a done task that did not succeed once more: done → ready, same id, with a fresh allowance of retries."""
    return await each(_one(context.engine.tasks.retry(call.id, caller=context.caller)) for call in calls)


@task_methods.method(
    "awf.task/list",
    example={"filter": {"status": "done", "outcome": "failed"}, "sort": {"createdAt": "desc"}, "limit": 20},
)
async def list_(context: Context, params: ListParams) -> ListResult:
    """List tasks page by page, newest first unless `sort` says otherwise."""
    sort, direction = order(params.sort)
    tasks, page = await context.engine.tasks.list(
        _filter(params.filter),
        sort=sort,
        direction=direction,
        position=read_position(params.after, "$.after"),
        size=params.limit,
    )
    following = UNSET if page.position is None else write_position(page.position)
    return ListResult([task_resource(held) for held in tasks], following, page.searched_to or UNSET)


async def _status(context: Context, params: StatusParams) -> StatusResult:
    held = await context.engine.tasks.get(params.id)
    result = StatusResult(task_resource(held), settings_resource(held) if params.include_settings else UNSET)
    if not params.include_log:
        return result
    place = LogPlace(int(params.log_after) if params.log_after else None, params.log_sort, params.log_limit)
    entries, more = await context.engine.tasks.log(held.task, place)
    log = [log_resource(entry) for entry in entries]
    return msgspec.structs.replace(result, log=log, log_next=log[-1].version_id if more else UNSET)


async def _one(changing: Awaitable[HeldTask]) -> TaskResult:
    return TaskResult(resource=task_resource(await changing))


def order(sort: ListSort) -> tuple[Literal["created_at", "updated_at"], Direction]:
    """Return by what a list is sorted, newest first when nobody says."""
    if sort.created_at and sort.last_updated:
        raise invalid_params("sort by 'createdAt' or by 'lastUpdated', not both", "$.sort")
    if sort.last_updated:
        return "updated_at", sort.last_updated
    return "created_at", sort.created_at or "desc"


def _filter(wanted: ListFilter) -> Filter:
    return Filter(
        include=wanted.include_definitions,
        exclude=wanted.exclude_definitions,
        statuses=several(wanted.status),
        outcomes=several(wanted.outcome),
        pattern=None if wanted.ilike is None else part(wanted.ilike),
    )


def several(value: str | Sequence[str] | None) -> Sequence[str] | None:
    """Return one word as several."""
    return [value] if isinstance(value, str) else value


def part(text: str) -> str:
    """Return the pattern of a text that stands anywhere."""
    literally = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{literally}%"
