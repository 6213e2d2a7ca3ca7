"""Does what is kept say what the history says? Everything that follows from events is computed again and compared.

It reads what others may be writing: each batch is one snapshot, so that a task and its history belong together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import orjson
import psycopg

from fencepost.errors import StartRefused
from fencepost.store.address import reason
from fencepost.store.connection import Connection, connect, fetch
from fencepost.store.migrations import check_migrated
from fencepost.store.statements import statement
from fencepost.store.watch import watched
from fencepost.vocabularies.people.store.rows import Streams, streams_of, tasks_of
from fencepost.vocabularies.people.streams import Standing, replay
from fencepost.vocabularies.people.task import PeopleTask

_BATCH = 1000
_WORKFLOWS = 100
_MEMBERS = {
    "team": "biAssignedToTeam",
    "user": "biAssignedToUser",
    "status": "biTaskStatus",
    "priority": "biPriority",
    "due_date_time": "biDueDateTime",
    "completion_date_time": "biCompletionDateTime",
}


class Difference(NamedTuple):
    """What is kept of a task, and what its history says instead."""

    kind: str
    id: str
    member: str
    kept: Any
    computed: Any


class Checked(NamedTuple):
    """How many of a kind were looked at, and what was found."""

    kind: str
    looked_at: int
    differences: Sequence[Difference]


def check(conninfo: str) -> Iterator[Checked]:
    """Yield what comes of every batch; raise StartRefused when the database cannot be read."""
    check_migrated(conninfo)
    try:
        with connect(conninfo) as connection, watched(conninfo, connection):
            yield from _batches(connection, _people)
            yield from _batches(connection, _tasks)
    except psycopg.Error as error:
        raise StartRefused(f"the check could not be done: {reason(error, conninfo)}") from None


def _batches(
    connection: Connection, look: Callable[[Connection, int], tuple[int | None, Checked]]
) -> Iterator[Checked]:
    after: int | None = 0
    while after is not None:
        with connection.transaction():
            connection.execute("set transaction isolation level repeatable read, read only")
            after, checked = look(connection, after)
        yield checked


def _people(connection: Connection, after: int) -> tuple[int | None, Checked]:
    """Replay the tasks of some lists, one list after the other: a list may be long."""
    rows = fetch(connection, statement("people/scan_lists"), {"after": after, "batch": _WORKFLOWS})
    found: list[Difference] = []
    count = 0
    for workflow_seq in (seq for seq, is_list in rows if is_list):
        tasks = tasks_of(connection, workflow_seq)
        for few in (tasks[place : place + _BATCH] for place in range(0, len(tasks), _BATCH)):
            found += _of_tasks(connection, few)
        count += len(tasks)
    return (rows[-1][0] if len(rows) == _WORKFLOWS else None), Checked("people", count, found)


def _of_tasks(connection: Connection, tasks: Sequence[PeopleTask]) -> Iterator[Difference]:
    seqs = [task.seq for task in tasks]
    streams = streams_of(connection, seqs)
    kept = {row[0]: row[1:] for row in fetch(connection, statement("people/list_saved"), {"seqs": seqs})}
    for task in tasks:
        yield from _of_task(task, streams[task.seq], kept.get(task.seq))


def _of_task(task: PeopleTask, streams: Streams, kept: tuple[Any, ...] | None) -> Iterator[Difference]:
    now = replay(task.initial, streams.events, streams.changes).standing
    yield from _differences(task.id, "", task.standing, now)
    if kept is not None:
        # What was kept is of then: what workers did later stands in the log alone.
        replayed_at, core_seq, core_version, *values = kept
        changes = [one for one in streams.changes if (one.seq, one.version) <= (core_seq, core_version)]
        events = [event for event in streams.events if event.event_date_time <= replayed_at]
        then = replay(task.initial, events, changes).standing
        yield from _differences(task.id, "stored ", Standing._make(values), then)


def _differences(id: str, prefix: str, kept: Standing, computed: Standing) -> Iterator[Difference]:
    for name, member in _MEMBERS.items():
        one, other = getattr(kept, name), getattr(computed, name)
        if one != other:
            yield Difference("people", id, prefix + member, one, other)


def _tasks(connection: Connection, after: int) -> tuple[int | None, Checked]:
    """Compare some live tasks with their logs."""
    rows = fetch(connection, statement("check/tasks"), {"after": after, "batch": _BATCH})
    found = [
        Difference("task", id, member, kept, computed)
        for _, id, text in rows
        if text is not None
        for member, (kept, computed) in _members(text).items()
    ]
    return (rows[-1][0] if len(rows) == _BATCH else None), Checked("task", len(rows), found)


def _members(text: bytes) -> Mapping[str, tuple[Any, Any]]:
    parsed: Mapping[str, tuple[Any, Any]] = orjson.loads(text)
    return parsed
