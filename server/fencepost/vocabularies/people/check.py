"""The check of people's tasks: each is replayed from its events and compared with what is stored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from fencepost.store.check import BATCH, Checked, Difference
from fencepost.store.connection import Connection, fetch
from fencepost.store.statements import statement
from fencepost.vocabularies.people.store.rows import Streams, streams_of, tasks_of
from fencepost.vocabularies.people.streams import CurrentValues, replay
from fencepost.vocabularies.people.task import PeopleTask

_WORKFLOWS = 100
_MEMBERS = {
    "team": "biAssignedToTeam",
    "user": "biAssignedToUser",
    "status": "biTaskStatus",
    "priority": "biPriority",
    "due_date_time": "biDueDateTime",
    "completion_date_time": "biCompletionDateTime",
}


def check_people(connection: Connection, after: int) -> tuple[int | None, Checked]:
    """Replay the tasks of some lists, one list after the other: a list may be long."""
    rows = fetch(connection, statement("people/scan_lists"), {"after": after, "batch": _WORKFLOWS})
    found: list[Difference] = []
    count = 0
    for workflow_seq in (seq for seq, is_list in rows if is_list):
        tasks = tasks_of(connection, workflow_seq)
        for few in (tasks[place : place + BATCH] for place in range(0, len(tasks), BATCH)):
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
    now = replay(task.initial, streams.events, streams.changes).current
    yield from _differences(task.id, "", task.current, now)
    if kept is not None:
        # What was kept is of then: what workers did later stands in the log alone.
        replayed_at, core_seq, core_version, *values = kept
        changes = [one for one in streams.changes if (one.seq, one.version) <= (core_seq, core_version)]
        events = [event for event in streams.events if event.event_date_time <= replayed_at]
        then = replay(task.initial, events, changes).current
        yield from _differences(task.id, "stored ", CurrentValues._make(values), then)


def _differences(id: str, prefix: str, kept: CurrentValues, computed: CurrentValues) -> Iterator[Difference]:
    for name, member in _MEMBERS.items():
        one, other = getattr(kept, name), getattr(computed, name)
        if one != other:
            yield Difference("people", id, prefix + member, one, other)
