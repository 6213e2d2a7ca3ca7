"""Params and results that the methods of people share."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from fencepost.domain.listing import Portion
from fencepost.domain.times import time_text
from fencepost.engine.context import Context
from fencepost.resources.cursors import read_position, write_position
from fencepost.vocabularies.people.commands import Actor
from fencepost.vocabularies.people.resources import AnyEvent, WFTask, event_resource, task_resource
from fencepost.vocabularies.people.statuses import User
from fencepost.vocabularies.people.store.command_transaction import Executed
from fencepost.vocabularies.people.task import PageKey, PeopleTask

TaskId = Annotated[str, Meta(min_length=1, max_length=64, description="id of a people task")]
ListCode = Annotated[str, Meta(min_length=1, max_length=64, description="code of a task list")]
ByUser = Annotated[User, Meta(description="the user who acts; by default the caller")]
Limit = Annotated[int, Meta(ge=1, le=10_000)]
After = Annotated[str, Meta(max_length=200, description="`next` of the previous page")]
Confirm = Annotated[bool, Meta(description="process the event at once; otherwise it is a draft until it is confirmed")]

TASK = "5b0e7f14-6d0a-8a51-8002-000000000017"


class UserParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """The user who acts."""

    user: ByUser | None = None


class TaskParams(UserParams, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """The task, and the user who acts."""

    id: TaskId


class TaskResult(msgspec.Struct, frozen=True):
    """A task."""

    resource: WFTask


class TasksPage(msgspec.Struct, frozen=True, omit_defaults=True):
    """One page of tasks; `next` is present while there are more."""

    resources: list[WFTask]
    next: str | UnsetType = UNSET


class EventResult(msgspec.Struct, frozen=True):
    """The event that was recorded or processed, null when nothing had to change; and the task."""

    event: AnyEvent | None
    resource: WFTask


def user_of(context: Context, params: UserParams) -> str:
    """Return the user that the caller names, else the caller."""
    return params.user or context.caller


def actor_of(context: Context, params: UserParams) -> Actor:
    """Return the user who acts, and the client that calls for them."""
    return Actor(user_of(context, params), context.caller)


def event_result(executed: Executed) -> EventResult:
    """Return the result of a command: its first event, null when it recorded none, and the task."""
    task, events = executed.task, executed.events
    return EventResult(event_resource(task, events[0]) if events else None, task_resource(task))


def read_page_key(word: str | None) -> PageKey | None:
    """Return the position in the `next` of a page; raise Refusal (`invalid-params` for `after`) for another text."""
    team, _, position = (word or "").partition(":")
    found = read_position(word and position, "after")
    return None if found is None else PageKey(team, *found)


def page_of(found: Portion[PeopleTask]) -> TasksPage:
    """Return the result for a page of tasks that is ordered by team and due date."""
    return TasksPage([task_resource(task) for task in found.items], _next_after(found) if found.more else UNSET)


def _next_after(found: Portion[PeopleTask]) -> str:
    key = found.items[-1].page_key
    return f"{key.team}:{write_position((key.due_date_time, key.seq))}"


def normalized_time(text: str | None, field: str) -> str | None:
    """Return a time in the format of resources: UTC with microseconds; raise Refusal (`invalid-params`) for `field`."""
    checked = time_text(text, field)
    if checked is None:
        return None
    return datetime.fromisoformat(checked).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
