"""Commands on people tasks, and the rules that say which events a command records. Nothing here does I/O.

`decide` gets the locked task. The caller records the events as drafts or processes them at once; `validate` checks the
values that they lead to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from fencepost.domain.payload import same_payload
from fencepost.errors import Refusal
from fencepost.vocabularies.people.errors import (
    NOT_A_MEMBER,
    PEOPLE_TASK_AUTOMATIC,
    PEOPLE_TASK_COMPLETED,
    PEOPLE_TASK_TAKEN,
    USER_NEEDED,
)
from fencepost.vocabularies.people.statuses import ACTIVE, CLOSED, STATUS_NAMES, allowed_statuses, lacks_user
from fencepost.vocabularies.people.streams import CurrentValues, Stream
from fencepost.vocabularies.people.task import CoreTask, PeopleTask


class Actor(NamedTuple):
    """The user who acts, and the client that calls for them."""

    user: str
    caller: str


class Member(NamedTuple):
    """A user with the teams that they belong to."""

    user: str
    teams: frozenset[str]


class NewEvent(NamedTuple):
    """An event to record; `values` are those of `streams.TaskEvent`."""

    stream: Stream
    values: tuple[str | None, ...]


@dataclass(frozen=True)
class Claim:
    """Assign a pending task to the actor. Idempotent for its assignee."""


@dataclass(frozen=True)
class Unclaim:
    """Return a task to its team."""


@dataclass(frozen=True)
class Transfer:
    """Hand a task to a team or one of its users. A manual task without a user becomes pending again."""

    team: str
    user: str | None


@dataclass(frozen=True)
class TransferIfRequired:
    """Record a transfer where team or user differ. Without a `team` the task stays with its own."""

    team: str | None
    user: str | None


@dataclass(frozen=True)
class ChangeStatusIfRequired:
    """Record a status where it differs. An active status needs a user."""

    status: str


@dataclass(frozen=True)
class ChangeStatus:
    """Record any status, to free a stuck task. The outcome is not validated."""

    status: str


@dataclass(frozen=True)
class PlanIfRequired:
    """Record a plan where priority or due date differ. None keeps the present value."""

    priority: str | None
    due_date_time: str | None


@dataclass(frozen=True)
class Complete:
    """Complete a task with a result (JSON text). An unassigned task is first assigned to the actor.

    Idempotent for its assignee, with the same result.
    """

    result: bytes | None = None


@dataclass(frozen=True)
class Cancel:
    """Cancel a task that is not completed."""


Command = (
    Claim
    | Unclaim
    | Transfer
    | TransferIfRequired
    | ChangeStatusIfRequired
    | ChangeStatus
    | PlanIfRequired
    | Complete
    | Cancel
)


def decide(command: Command, task: PeopleTask, member: Member) -> Sequence[NewEvent]:
    """Return the events that a command records, none when the task is already as it asks.

    Raises Refusal: `not-a-member`, `people-task-automatic`, `people-task-taken`, `people-task-completed`,
    `user-needed`.
    """
    match command:
        case Claim():
            return _claim(task, member)
        case Unclaim():
            return _unclaim(task, member)
        case Transfer(team, user):
            return _transfer(task, team, user)
        case TransferIfRequired(team, user):
            return _transferred(task.current, team or task.current.team, user)
        case ChangeStatusIfRequired(status):
            if status != task.current.status and lacks_user(status, task.current.user):
                raise _user_needed(status)
            return _changed(task, status)
        case ChangeStatus(status):
            return _changed(task, status)
        case PlanIfRequired(priority, due_date_time):
            return _planned(task.current, priority, due_date_time)
        case Complete(result):
            return _complete(task, member, result)
        case Cancel():
            if task.current.status == "CO":
                _check_open(task)
            return _changed(task, "CA")


def validate(task: PeopleTask, after: CurrentValues, member: Member) -> None:
    """Refuse values that a task must not get; `member` recorded the event that brings them.

    Raises Refusal: `user-needed`, `not-a-member`.
    """
    before = task.current
    if (before.status, before.user) == (after.status, after.user):
        return
    if lacks_user(after.status, after.user):
        raise _user_needed(after.status)
    if after.status == "CO" and before.status != "CO" and after.team not in member.teams:
        raise Refusal(NOT_A_MEMBER, field="user", user=member.user, team=after.team)


# `recreate` makes a new core task: one that is done is never reopened.
CoreTransition = Literal["claim", "start", "success", "release", "cancel", "recreate"]

_TRANSITION_TO: dict[str, CoreTransition] = {"PE": "release", "AS": "claim", "CO": "success", "CA": "cancel"}


def core_transitions(task: PeopleTask, after: CurrentValues) -> Sequence[CoreTransition]:
    """Return the transitions that bring the core task to a state that fits the status `after`.

    Raises Refusal (`people-task-automatic`) for a lease on an automatic task: nothing here would renew it.
    """
    transitions = _transitions(task.core, after.status)
    if task.fields.flow == "A" and {"claim", "start"} & {*transitions}:
        raise Refusal(PEOPLE_TASK_AUTOMATIC, field="id", id=task.id)
    return transitions


def _transitions(core: CoreTask, status: str) -> Sequence[CoreTransition]:
    if status in allowed_statuses(core.status, core.outcome):
        return ()
    if core.status == "done" or (core.status == "waiting" and status != "CA"):
        new = core._replace(status="ready", outcome=None)
        return (*(() if core.status == "done" else ("cancel",)), "recreate", *_transitions(new, status))
    if status == "AS" and core.status == "in-progress":
        return ("release", "claim")
    return (_TRANSITION_TO.get(status, "start"),)


def _claim(task: PeopleTask, member: Member) -> Sequence[NewEvent]:
    current = task.current
    _check_member(task, member)
    if (current.status, current.user) == ("AS", member.user):
        return ()
    if task.fields.flow == "A":
        raise Refusal(PEOPLE_TASK_AUTOMATIC, field="id", id=task.id)
    if current.status != "PE" or current.user not in (None, member.user):
        assignment = "unassigned" if current.user is None else f"assigned to {current.user!r}"
        raise Refusal(
            PEOPLE_TASK_TAKEN, field="id", id=task.id, status=STATUS_NAMES[current.status], assignment=assignment
        )
    return (*_transferred(current, current.team, member.user), NewEvent("status", ("AS",)))


def _unclaim(task: PeopleTask, member: Member) -> Sequence[NewEvent]:
    current = task.current
    _check_open(task)
    if current.user != member.user:
        _check_member(task, member)
    back = (NewEvent("status", ("PE",)),) if current.status != "PE" and task.fields.flow == "M" else ()
    return (*_transferred(current, current.team, None), *back)


def _transfer(task: PeopleTask, team: str, user: str | None) -> Sequence[NewEvent]:
    current = task.current
    _check_open(task)
    loses_user = user is None and current.status in ACTIVE and task.fields.flow == "M"
    events = _transferred(current, team, user)
    return (*events, NewEvent("status", ("PE",))) if events and loses_user else events


def _complete(task: PeopleTask, member: Member, result: bytes | None) -> Sequence[NewEvent]:
    current = task.current
    _check_member(task, member)
    if (current.status, current.user) == ("CO", member.user) and same_payload(task.result, result):
        return ()
    _check_open(task)
    assigned = _transferred(current, current.team, member.user) if current.user is None else ()
    return (*assigned, NewEvent("status", ("CO",)))


def _changed(task: PeopleTask, status: str) -> Sequence[NewEvent]:
    return () if status == task.current.status else (NewEvent("status", (status,)),)


def _transferred(current: CurrentValues, team: str, user: str | None) -> tuple[NewEvent, ...]:
    return () if (team, user) == (current.team, current.user) else (NewEvent("transfer", (team, user)),)


def _planned(current: CurrentValues, priority: str | None, due_date_time: str | None) -> tuple[NewEvent, ...]:
    values = (priority or current.priority, due_date_time or current.due_date_time)
    return () if values == (current.priority, current.due_date_time) else (NewEvent("plan", values),)


def _check_member(task: PeopleTask, member: Member) -> None:
    if task.current.team not in member.teams:
        raise Refusal(NOT_A_MEMBER, field="user", user=member.user, team=task.current.team)


def _check_open(task: PeopleTask) -> None:
    if task.current.status in CLOSED:
        status = STATUS_NAMES[task.current.status].lower()
        raise Refusal(PEOPLE_TASK_COMPLETED, field="id", id=task.id, status=status)


def _user_needed(status: str) -> Refusal:
    return Refusal(USER_NEEDED, field="status", status=STATUS_NAMES[status])
