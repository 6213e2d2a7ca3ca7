"""What somebody may do to a people's task: which events come of it, or why none may.

Each deed looks at the task as it stands, behind its lock, and gives the events to record; none when nothing is left to
do. Whether they count at once or wait as drafts is not decided here; what may not come of them is (`check`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from fencepost.vocabularies.people.statuses import ACTIVE, OVER, STATUS_NAMES, is_active_without_user, statuses_of
from fencepost.vocabularies.people.streams import Standing, Stream
from fencepost.vocabularies.people.task import Core, PeopleTask


class Actor(NamedTuple):
    """Who acts, and the teams that they are part of."""

    user: str
    teams: frozenset[str]


class Draft(NamedTuple):
    """An event to record; its values are as in streams.TaskEvent."""

    stream: Stream
    values: tuple[str | None, ...]


Move = Literal["claim", "start", "success", "release", "cancel", "again"]
Deed = Callable[[PeopleTask, Actor], Sequence[Draft]]


def claim(task: PeopleTask, actor: Actor) -> Sequence[Draft]:
    """Make the actor its user, and let it go from pending to assigned."""
    now = task.standing
    _member(task, actor)
    if (now.status, now.user) == ("AS", actor.user):
        return ()
    if task.fields.flow == "A":
        raise Refusal(PEOPLE_TASK_AUTOMATIC, at="$.id", id=task.id)
    if now.status != "PE" or now.user not in (None, actor.user):
        whose = "nobody's" if now.user is None else f"{now.user}'s"
        raise Refusal(PEOPLE_TASK_TAKEN, at="$.id", id=task.id, status=STATUS_NAMES[now.status], whose=whose)
    return (*_transferred(now, now.team, actor.user), Draft("status", ("AS",)))


def unclaim(task: PeopleTask, actor: Actor) -> Sequence[Draft]:
    """Give it back to its team."""
    now = task.standing
    _not_over(task)
    if now.user != actor.user:
        _member(task, actor)
    back = (Draft("status", ("PE",)),) if now.status != "PE" and task.fields.flow == "M" else ()
    return (*_transferred(now, now.team, None), *back)


def transfer(team: str, user: str | None) -> Deed:
    """Hand it to a team, or to somebody of it; what nobody is at any more is pending again."""

    def deed(task: PeopleTask, _: Actor) -> Sequence[Draft]:
        now = task.standing
        _not_over(task)
        left = user is None and now.status in ACTIVE and task.fields.flow == "M"
        handed = _transferred(now, team, user)
        return (*handed, Draft("status", ("PE",))) if handed and left else handed

    return deed


def transfer_if_required(team: str | None, user: str | None) -> Deed:
    """Record a transfer where team or user differ; without a `team` it stays with its own."""
    return lambda task, _: _transferred(task.standing, team or task.standing.team, user)


def change_status_if_required(status: str) -> Deed:
    """Record a status where it differs; an active one needs a user."""

    def deed(task: PeopleTask, _: Actor) -> Sequence[Draft]:
        if status != task.standing.status and is_active_without_user(status, task.standing.user):
            raise _user_needed(status)
        return _changed(task, status)

    return deed


def change_status(status: str) -> Deed:
    """Record any status, to set a stuck task free."""
    return lambda task, _: _changed(task, status)


def plan_if_required(priority: str | None, due_date_time: str | None) -> Deed:
    """Record a plan where priority or due date differ; what is not given stays."""

    def deed(task: PeopleTask, _: Actor) -> Sequence[Draft]:
        now = task.standing
        values = (priority or now.priority, due_date_time or now.due_date_time)
        return () if values == (now.priority, now.due_date_time) else (Draft("plan", values),)

    return deed


def complete(result: bytes | None = None) -> Deed:
    """Complete it; one that is nobody's was the actor's work. Whose it is may say the same again."""

    def deed(task: PeopleTask, actor: Actor) -> Sequence[Draft]:
        now = task.standing
        _member(task, actor)
        if (now.status, now.user) == ("CO", actor.user) and same_payload(task.result, result):
            return ()
        _not_over(task)
        whose = _transferred(now, now.team, actor.user) if now.user is None else ()
        return (*whose, Draft("status", ("CO",)))

    return deed


def cancel(task: PeopleTask, _: Actor) -> Sequence[Draft]:
    """Cancel it."""
    if task.standing.status == "CO":
        _not_over(task)
    return _changed(task, "CA")


def check(task: PeopleTask, after: Standing, closer: Actor) -> None:
    """Raise Refusal when a task may not stand as the replay says; `closer` is who recorded that it is completed."""
    before = task.standing
    if (before.status, before.user) == (after.status, after.user):
        return
    if is_active_without_user(after.status, after.user):
        raise _user_needed(after.status)
    if after.status == "CO" and before.status != "CO" and after.team not in closer.teams:
        raise Refusal(NOT_A_MEMBER, at="$.user", user=closer.user, team=after.team)


def moves(task: PeopleTask, after: Standing) -> Sequence[Move]:
    """Return what has to be done to the core task, so that it stands as its people's task does.

    `again` is to make a new one: what is done stays done.
    """
    path = _path(task.core, after.status)
    if task.fields.flow == "A" and {"claim", "start"} & {*path}:
        # Under a lease of its own, which nobody here would renew.
        raise Refusal(PEOPLE_TASK_AUTOMATIC, at="$.id", id=task.id)
    return path


_TO: dict[str, Move] = {"PE": "release", "AS": "claim", "CO": "success", "CA": "cancel"}


def _path(core: Core, status: str) -> Sequence[Move]:
    if status in statuses_of(core.status, core.outcome):
        return ()
    if core.status == "done" or (core.status == "waiting" and status != "CA"):
        again = core._replace(status="ready", outcome=None)
        return (*(() if core.status == "done" else ("cancel",)), "again", *_path(again, status))
    if status == "AS" and core.status == "in-progress":
        return ("release", "claim")
    return (_TO.get(status, "start"),)


def _changed(task: PeopleTask, status: str) -> Sequence[Draft]:
    return () if status == task.standing.status else (Draft("status", (status,)),)


def _transferred(now: Standing, team: str, user: str | None) -> tuple[Draft, ...]:
    return () if (team, user) == (now.team, now.user) else (Draft("transfer", (team, user)),)


def _member(task: PeopleTask, actor: Actor) -> None:
    if task.standing.team not in actor.teams:
        raise Refusal(NOT_A_MEMBER, at="$.user", user=actor.user, team=task.standing.team)


def _not_over(task: PeopleTask) -> None:
    if task.standing.status in OVER:
        status = STATUS_NAMES[task.standing.status].lower()
        raise Refusal(PEOPLE_TASK_COMPLETED, at="$.id", id=task.id, status=status)


def _user_needed(status: str) -> Refusal:
    return Refusal(USER_NEEDED, at="$.status", status=STATUS_NAMES[status])
