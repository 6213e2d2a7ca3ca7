"""`awf.task/*` for clients: create, status, list, cancel and retry."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from fencepost.domain.definition import Name
from fencepost.domain.ids import ChosenId
from fencepost.domain.listing import Direction, Filter, LogPlace
from fencepost.domain.payload import object_text
from fencepost.domain.task import TaskWithSettings
from fencepost.domain.task_overrides import TaskOverrides, overrides_text
from fencepost.domain.times import time_text
from fencepost.engine.context import Context
from fencepost.engine.outcomes import Outcomes, gather
from fencepost.engine.tasks import NewTask
from fencepost.errors import TASK_NOT_FOUND, Refusal, invalid_params
from fencepost.resources.cursors import read_position, write_position
from fencepost.resources.tasks import (
    AidboxTask,
    AidboxTaskLog,
    TaskSettings,
    log_resource,
    settings_resource,
    task_resource,
)
from fencepost.resources.values import JsonObject, Time
from fencepost.rpc.methods.executor import IncludeResource, TaskId, TaskResult, all_short, changed_tasks
from fencepost.rpc.methods.polls import wait_seconds
from fencepost.rpc.registry import Registry

task_methods = Registry()

Status = Literal["waiting", "ready", "requested", "in-progress", "done"]
OutcomeName = Literal["succeeded", "failed", "canceled"]

Label = Annotated[str, Meta(max_length=1000)]
ExecuteAt = Annotated[str, Meta(description="ISO-8601, UTC unless it has a zone; by default at once")]


class NewTaskParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """A new task."""

    definition: Name
    id: Annotated[ChosenId, Meta(description="1 to 64 letters, digits, `.` or `-`; by default a UUID")] | None = None
    label: Label | None = None
    params: JsonObject | UnsetType = UNSET
    execute_at: ExecuteAt | None = None
    settings: Annotated[TaskOverrides, Meta(description="override those of the definition")] | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Raise Refusal unless params are an object and the time is valid; convert the time to UTC."""
        object_text(self.params, "params")
        if self.execute_at is not None:
            msgspec.structs.force_setattr(self, "execute_at", time_text(self.execute_at, "executeAt"))

    def new_task(self, caller: str) -> NewTask:
        """Return the task for the engine."""
        return NewTask(
            self.definition,
            self.id,
            self.label,
            object_text(self.params, "params"),
            self.execute_at,
            caller,
            overrides_text(self.settings),
        )


class CreateParams(NewTaskParams, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """A new task, and the form of the answer."""

    include_resource: IncludeResource = msgspec.field(name="include-resource?", default=True)


class IdParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The id of a task."""

    id: TaskId


class StatusParams(IdParams, frozen=True, forbid_unknown_fields=True):
    """The id of a task, and optional parts of the answer."""

    wait: Annotated[int, Meta(ge=0, le=2**53, description="wait up to so many ms until the task is done")] = 0
    include_settings: bool = msgspec.field(name="include-settings?", default=False)
    include_log: bool = msgspec.field(name="include-log?", default=False)
    log_sort: Annotated[Direction, Meta(description="order of the log: oldest or newest entries first")] = (
        msgspec.field(name="log-sort", default="asc")
    )
    log_limit: Annotated[int, Meta(ge=1, le=1000)] = msgspec.field(name="log-limit", default=1000)
    log_after: (
        Annotated[str, Meta(pattern="^[1-9][0-9]{0,8}$", description="`log-next` of the previous page")] | None
    ) = msgspec.field(name="log-after", default=None)


class StatusResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """A task, and the requested parts."""

    resource: AidboxTask
    settings: TaskSettings | UnsetType = UNSET
    log: list[AidboxTaskLog] | UnsetType = UNSET
    log_next: str | UnsetType = msgspec.field(name="log-next", default=UNSET)


SOUGHT = "text in id, label, definition, params, result, error or reason, as stored; ignores case"
SearchedTo = Annotated[
    Time, Meta(description="present if the search stopped early: tasks were searched up to this time of creation")
]


class ListFilter(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """A filter of tasks; all given members must match."""

    include_definitions: Annotated[list[Name], Meta(max_length=1000)] | None = None
    exclude_definitions: Annotated[list[Name], Meta(max_length=1000)] | None = None
    status: Status | list[Status] | None = None
    outcome: OutcomeName | list[OutcomeName] | None = None
    ilike: Annotated[str, Meta(max_length=1000, description=SOUGHT)] | None = None


class ListSort(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The sort order, by one of two times."""

    created_at: Direction | None = None
    last_updated: Direction | None = None


class ListParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A page of tasks."""

    filter: ListFilter = ListFilter()
    sort: ListSort = ListSort()
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    after: Annotated[str, Meta(max_length=200, description="`next` of the previous page")] | None = None


class ListResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """One page of tasks; `next` is present if there are more."""

    resources: list[AidboxTask]
    next: str | UnsetType = UNSET
    searched_to: SearchedTo | UnsetType = msgspec.field(name="searchedTo", default=UNSET)


def made_anew(call: CreateParams) -> bool:
    """Return whether a task is new, so that the answer is no larger than its call; an existing task may be."""
    return call.id is None or not call.include_resource


@task_methods.batched(
    "awf.task/create-and-execute",
    example={"definition": "demo/resize", "params": {"width": 320}},
    small=made_anew,
    together=64,
    # Checks against the schema of one definition do not hold up tasks of others.
    gathered=lambda params: params.definition,
)
async def create_and_execute(context: Context, calls: Sequence[CreateParams]) -> Outcomes[TaskResult]:
    """Create a task: ready, or waiting until `executeAt`. Idempotent for the same `id` and content."""
    news = [call.new_task(context.caller) for call in calls]
    return changed_tasks(calls, await context.engine.tasks.create(news, short=all_short(calls)))


@task_methods.batched("awf.task/status", example={"id": "c578a224-c1fa-44c1-bc7a-9d2e624b872b", "include-log?": True})
async def status(context: Context, calls: Sequence[StatusParams]) -> Outcomes[StatusResult]:
    """Get a task, optionally with its settings and its log."""
    return await gather(_status(context, call) for call in calls)


@task_methods.batched("awf.task/cancel", example={"id": "c578a224-c1fa-44c1-bc7a-9d2e624b872b"})
async def cancel(context: Context, calls: Sequence[IdParams]) -> Outcomes[TaskResult]:
    """Cancel a live task at once; its worker learns it from its next heartbeat."""
    return await gather(_one(context.engine.tasks.cancel(call.id, caller=context.caller)) for call in calls)


@task_methods.batched("awf.task/retry", example={"id": "c578a224-c1fa-44c1-bc7a-9d2e624b872b"})
async def retry(context: Context, calls: Sequence[IdParams]) -> Outcomes[TaskResult]:
    """Retry a done task that did not succeed: done → ready, same id, with all retries again."""
    return await gather(_one(context.engine.tasks.retry(call.id, caller=context.caller)) for call in calls)


@task_methods.method(
    "awf.task/list",
    example={"filter": {"status": "done", "outcome": "failed"}, "sort": {"createdAt": "desc"}, "limit": 20},
)
async def list_(context: Context, params: ListParams) -> ListResult:
    """List tasks page by page, by default newest first."""
    sort, direction = order(params.sort)
    tasks, page = await context.engine.tasks.list(
        _filter(params.filter),
        sort=sort,
        direction=direction,
        position=read_position(params.after, "after"),
        size=params.limit,
    )
    following = UNSET if page.position is None else write_position(page.position)
    return ListResult([task_resource(found) for found in tasks], following, page.searched_to or UNSET)


async def _status(context: Context, params: StatusParams) -> StatusResult:
    if params.wait:
        found = await ended_task(context, params.id, wait_seconds(context, params.wait, "wait"))
    else:
        found = await context.engine.tasks.get(params.id)
    result = StatusResult(task_resource(found), settings_resource(found) if params.include_settings else UNSET)
    if not params.include_log:
        return result
    place = LogPlace(int(params.log_after) if params.log_after else None, params.log_sort, params.log_limit)
    entries, more = await context.engine.tasks.log(found.task, place)
    log = [log_resource(entry) for entry in entries]
    return msgspec.structs.replace(result, log=log, log_next=log[-1].version_id if more else UNSET)


async def ended_task(context: Context, id: str, seconds: float) -> TaskWithSettings:
    """Wait for the end of a task; return it as it is then, or after `seconds`. Raises Refusal (`task-not-found`)."""
    task = await context.engine.task_waits.wait(id, seconds)
    if task is None:
        raise Refusal(TASK_NOT_FOUND, field="id", id=id)
    return await context.engine.definitions.with_settings(task)


async def _one(changing: Awaitable[TaskWithSettings]) -> TaskResult:
    return TaskResult(resource=task_resource(await changing))


def order(sort: ListSort) -> tuple[Literal["created_at", "updated_at"], Direction]:
    """Return the sort order of a list, by default newest first."""
    if sort.created_at and sort.last_updated:
        raise invalid_params("sort by 'createdAt' or by 'lastUpdated', not both", "sort")
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
    """Return one value as a list of one."""
    return [value] if isinstance(value, str) else value


def part(text: str) -> str:
    """Return the SQL pattern for a text at any position."""
    literally = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{literally}%"
