"""Reads of people tasks, their streams and their users; each function runs on a connection."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from fencepost.domain.ids import IdKind, kind_of, seq_of
from fencepost.domain.listing import Portion
from fencepost.store.connection import Connection, fetch
from fencepost.store.pages import Row
from fencepost.store.statements import statement
from fencepost.vocabularies.people.commands import Member
from fencepost.vocabularies.people.streams import CoreChange, CurrentValues, TaskEvent
from fencepost.vocabularies.people.task import CoreTask, PageKey, PeopleTask, TaskList

# The first columns of the nested values in a row of a people task.
_CURRENT, _CORE, _RESULT = 16, 22, 30


class Streams(NamedTuple):
    """The events of a task, and the changes of its core tasks."""

    events: Sequence[TaskEvent]
    changes: Sequence[CoreChange]


def find_task(connection: Connection, id: str) -> PeopleTask | None:
    """Return a task; None when no people task has that id."""
    seq = seq_of(id)
    if seq is None or kind_of(id) is not IdKind.ACTIVITY:
        return None
    rows = fetch(connection, statement("people/find_task"), {"id": id, "seq": seq})
    return _task(rows[0]) if rows else None


def list_tasks(connection: Connection, workflow_seq: int, *, seq: int | None = None) -> list[PeopleTask]:
    """Return the tasks of a list by line number, or only the one with `seq`."""
    params = {"workflow_seq": workflow_seq, "seq": seq}
    return [_task(row) for row in fetch(connection, statement("people/tasks_of_list"), params)]


def tasks_of_page(page: Portion[Row]) -> Portion[PeopleTask]:
    """Return a page of rows as tasks."""
    return Portion([_task(row) for row in page.items], page.more)


def page_params(key: PageKey | None) -> Mapping[str, Any]:
    """Return the SQL parameters of a page that follows a position."""
    team, due_date_time, seq = key or (None, None, None)
    return {"team": team, "due_date_time": due_date_time, "after": seq}


def find_list(connection: Connection, code: str) -> TaskList | None:
    """Return a task list, or None."""
    rows = fetch(connection, statement("people/find_list"), {"code": code})
    return TaskList._make(rows[0]) if rows else None


def load_streams(connection: Connection, seqs: Sequence[int]) -> Mapping[int, Streams]:
    """Return the streams of tasks, by their numbers."""
    events: dict[int, list[TaskEvent]] = defaultdict(list)
    changes: dict[int, list[CoreChange]] = defaultdict(list)
    for seq, *row in fetch(connection, statement("people/list_events"), {"seqs": list(seqs)}):
        events[seq].append(_event(row))
    for seq, *row in fetch(connection, statement("people/list_core_changes"), {"seqs": list(seqs)}):
        changes[seq].append(CoreChange._make(row))
    return {seq: Streams(events[seq], changes[seq]) for seq in seqs}


def find_member(connection: Connection, user: str) -> Member:
    """Return a user with their teams."""
    rows = fetch(connection, statement("people/teams/list_of_user"), {"member": user})
    return Member(user, frozenset(team for (team,) in rows))


def _task(row: Sequence[Any]) -> PeopleTask:
    current, core = CurrentValues._make(row[_CURRENT:_CORE]), CoreTask._make(row[_CORE:_RESULT])
    return PeopleTask._make((*row[:_CURRENT], current, core, row[_RESULT]))


def _event(row: Sequence[Any]) -> TaskEvent:
    stream, number, at, user, processed, core_seq, core_version, status, team, member, priority, due = row
    values = {"status": (status,), "transfer": (team, member), "plan": (priority, due)}[stream]
    return TaskEvent(stream, number, at, user, processed, values, (core_seq, core_version))
