"""What the methods of people share: who acts on which task, and the answers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from fencepost.domain.listing import Portion
from fencepost.domain.times import time_text
from fencepost.rpc.registry import Context
from fencepost.vocabularies.people.commands import Actor
from fencepost.vocabularies.people.resources import AnyEvent, WFTask, event_resource, task_resource
from fencepost.vocabularies.people.statuses import User
from fencepost.vocabularies.people.store.command_transaction import Executed
from fencepost.vocabularies.people.task import PeopleTask, Place
from fencepost.wire.pages import read_position, write_position

TaskId = Annotated[str, Meta(min_length=1, max_length=64, description="id of a people's task")]
ListCode = Annotated[str, Meta(min_length=1, max_length=64, description="code of a task list")]
ByUser = Annotated[User, Meta(description="who acts; the caller unless it is said")]
Limit = Annotated[int, Meta(ge=1, le=10_000)]
After = Annotated[str, Meta(max_length=200, description="`next` of the page before")]
Confirm = Annotated[bool, Meta(description="process the event at once; a draft waits for its confirm method")]

TASK = "5b0e7f14-6d0a-8a51-8002-000000000017"


class UserParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Who acts."""

    user: ByUser | None = None


class TaskParams(UserParams, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Which task, and who acts."""

    id: TaskId


class TaskResult(msgspec.Struct, frozen=True):
    """A task."""

    resource: WFTask


class TasksPage(msgspec.Struct, frozen=True, omit_defaults=True):
    """One page of tasks; `next` is there while there are more."""

    resources: list[WFTask]
    next: str | UnsetType = UNSET


class EventResult(msgspec.Struct, frozen=True):
    """The event that was recorded or processed, null when nothing had to change; and the task as it stands."""

    event: AnyEvent | None
    resource: WFTask


def user_of(context: Context, params: UserParams) -> str:
    """Return who acts: the user that the caller names, else the caller."""
    return params.user or context.caller


def actor_of(context: Context, params: UserParams) -> Actor:
    """Return the user who acts, and the client that calls for them."""
    return Actor(user_of(context, params), context.caller)


def event_result(executed: Executed) -> EventResult:
    """Write the event of a command, null when it recorded none, and the task."""
    task, events = executed.task, executed.events
    return EventResult(event_resource(task, events[0]) if events else None, task_resource(task))


def read_place(word: str | None) -> Place | None:
    """Return the place behind the `next` of a page."""
    team, _, position = (word or "").partition(":")
    found = read_position(word and position, "$.after")
    return None if found is None else Place(team, *found)


def page_of(found: Portion[PeopleTask]) -> TasksPage:
    """Write a page of tasks in the order of teams and due dates."""
    return TasksPage([task_resource(task) for task in found.items], _word_for(found) if found.more else UNSET)


def _word_for(found: Portion[PeopleTask]) -> str:
    place = found.items[-1].place
    return f"{place.team}:{write_position((place.due_date_time, place.seq))}"


def moment_text(text: str | None, at: str) -> str | None:
    """Return a time as resources have it, so that it can be compared; raise Refusal when it is none."""
    told = time_text(text, at)
    if told is None:
        return None
    return datetime.fromisoformat(told).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
