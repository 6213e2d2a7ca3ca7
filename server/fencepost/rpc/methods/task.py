"""`awf.task/*` for users: creating, looking, cancelling, retrying."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
import orjson
from msgspec import UNSET, Meta, UnsetType

from fencepost.domain.definition import Name
from fencepost.domain.listing import Direction, Filter
from fencepost.engine.tasks import NewTask
from fencepost.errors import invalid_params
from fencepost.rpc.methods.executor import TaskId, TaskResult
from fencepost.rpc.params import object_text, time_text
from fencepost.rpc.registry import Context, Registry
from fencepost.wire.pages import read_position, write_position
from fencepost.wire.resources import (
    AidboxTask,
    AidboxTaskLog,
    JsonObject,
    TaskSettings,
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
    id: (
        Annotated[
            str, Meta(pattern=r"^[A-Za-z0-9.-]{1,64}\Z", description="1 to 64 of `A-Za-z0-9.-`; a UUID when absent")
        ]
        | None
    ) = None
    label: Annotated[str, Meta(max_length=1000)] | None = None
    params: JsonObject | UnsetType = UNSET
    execute_at: Annotated[str, Meta(description="ISO-8601, UTC when it names no zone; at once when absent")] | None = (
        None
    )


class IdParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which task."""

    id: TaskId


class StatusParams(IdParams, frozen=True, forbid_unknown_fields=True):
    """Which task, and what to tell beside it."""

    include_settings: bool = msgspec.field(name="include-settings?", default=False)
    include_log: bool = msgspec.field(name="include-log?", default=False)


class StatusResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """A task, and beside it what was asked for."""

    resource: AidboxTask
    settings: TaskSettings | UnsetType = UNSET
    log: list[AidboxTaskLog] | UnsetType = UNSET


class ListFilter(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Which tasks; every member that is given must fit."""

    include_definitions: Annotated[list[Name], Meta(max_length=1000)] | None = None
    exclude_definitions: Annotated[list[Name], Meta(max_length=1000)] | None = None
    status: Status | list[Status] | None = None
    outcome: OutcomeName | list[OutcomeName] | None = None
    ilike: (
        Annotated[str, Meta(max_length=1000, description="part of id, label, definition or params, whatever the case")]
        | None
    ) = None


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


@task_methods.method(
    "awf.task/create-and-execute", batched=True, example={"definition": "demo/resize", "params": {"width": 320}}
)
async def create_and_execute(context: Context, params: CreateParams) -> TaskResult:
    """Create a task: ready, or waiting while `executeAt` is ahead. The same `id` and content again is the same task."""
    new = NewTask(
        definition=params.definition,
        id=params.id,
        label=params.label,
        params=object_text(params.params, "$.params"),
        execute_at=time_text(params.execute_at, "$.executeAt"),
        requester=orjson.dumps({"resourceType": "Client", "id": context.caller}),
        caller=context.caller,
    )
    return TaskResult(task_resource(await context.engine.tasks.create(new)))


@task_methods.method(
    "awf.task/status", batched=True, example={"id": "c578a224-c1fa-44c1-bc7a-9d2e624b872b", "include-log?": True}
)
async def status(context: Context, params: StatusParams) -> StatusResult:
    """Tell how a task stands, on request with its settings and its log."""
    held = await context.engine.tasks.get(params.id)
    return StatusResult(
        resource=task_resource(held),
        settings=settings_resource(held) if params.include_settings else UNSET,
        log=[log_resource(entry) for entry in await context.engine.tasks.log(params.id)]
        if params.include_log
        else UNSET,
    )


@task_methods.method("awf.task/cancel", batched=True, example={"id": "c578a224-c1fa-44c1-bc7a-9d2e624b872b"})
async def cancel(context: Context, params: IdParams) -> TaskResult:
    """End a live task as canceled, at once; its worker is told with its next notification."""
    return TaskResult(task_resource(await context.engine.tasks.cancel(params.id, caller=context.caller)))


@task_methods.method("awf.task/retry", batched=True, example={"id": "c578a224-c1fa-44c1-bc7a-9d2e624b872b"})
async def retry(context: Context, params: IdParams) -> TaskResult:
    """Run a done task that did not succeed once more: done → ready, same id, with a fresh allowance of retries."""
    return TaskResult(task_resource(await context.engine.tasks.retry(params.id, caller=context.caller)))


@task_methods.method(
    "awf.task/list",
    example={"filter": {"status": "done", "outcome": "failed"}, "sort": {"createdAt": "desc"}, "limit": 20},
)
async def list_(context: Context, params: ListParams) -> ListResult:
    """List tasks page by page, newest first unless `sort` says otherwise."""
    sort, direction = _order(params.sort)
    tasks, position = await context.engine.tasks.list(
        _filter(params.filter),
        sort=sort,
        direction=direction,
        position=read_position(params.after, "$.after"),
        size=params.limit,
    )
    return ListResult([task_resource(held) for held in tasks], UNSET if position is None else write_position(position))


def _order(sort: ListSort) -> tuple[Literal["created_at", "updated_at"], Direction]:
    if sort.created_at and sort.last_updated:
        raise invalid_params("sort by 'createdAt' or by 'lastUpdated', not both", "$.sort")
    if sort.last_updated:
        return "updated_at", sort.last_updated
    return "created_at", sort.created_at or "desc"


def _filter(wanted: ListFilter) -> Filter:
    return Filter(
        include=wanted.include_definitions,
        exclude=wanted.exclude_definitions,
        statuses=_several(wanted.status),
        outcomes=_several(wanted.outcome),
        pattern=None if wanted.ilike is None else _part(wanted.ilike),
    )


def _several(value: str | Sequence[str] | None) -> Sequence[str] | None:
    return [value] if isinstance(value, str) else value


def _part(text: str) -> str:
    """Return the pattern of a text that stands anywhere."""
    literally = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{literally}%"
