"""The check of people tasks: each task is replayed and compared with its stored values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from fencepost.store.check import BATCH, Checked, Difference
from fencepost.store.connection import Connection, fetch
from fencepost.store.statements import statement
from fencepost.vocabularies.people.store.queries import Streams, list_tasks, load_streams
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
    """Compare the tasks of the next lists after a workflow number.

    Returns the number to continue with, None at the end, and the differences. Lists are read one by one: a list may be
    long.
    """
    rows = fetch(connection, statement("people/scan_lists"), {"after": after, "batch": _WORKFLOWS})
    found: list[Difference] = []
    count = 0
    for workflow_seq in (seq for seq, is_list in rows if is_list):
        tasks = list_tasks(connection, workflow_seq)
        for batch in (tasks[start : start + BATCH] for start in range(0, len(tasks), BATCH)):
            found += _differences_of_tasks(connection, batch)
        count += len(tasks)
    return (rows[-1][0] if len(rows) == _WORKFLOWS else None), Checked("people's tasks", count, found)


def _differences_of_tasks(connection: Connection, tasks: Sequence[PeopleTask]) -> Iterator[Difference]:
    seqs = [task.seq for task in tasks]
    streams = load_streams(connection, seqs)
    saved = {row[0]: row[1:] for row in fetch(connection, statement("people/list_saved"), {"seqs": seqs})}
    for task in tasks:
        yield from _differences_of_task(task, streams[task.seq], saved.get(task.seq))


def _differences_of_task(task: PeopleTask, streams: Streams, saved: tuple[Any, ...] | None) -> Iterator[Difference]:
    replayed = replay(task.initial, streams.events, streams.changes).current
    yield from _differences(task.id, "", task.current, replayed)
    if saved is not None:
        # The saved values are older than the changes that workers have made since: those are in the log alone.
        replayed_at, core_seq, core_version, *values = saved
        changes = [one for one in streams.changes if (one.seq, one.version) <= (core_seq, core_version)]
        events = [event for event in streams.events if event.event_date_time <= replayed_at]
        replayed = replay(task.initial, events, changes).current
        yield from _differences(task.id, "stored ", CurrentValues._make(values), replayed)


def _differences(id: str, prefix: str, stored: CurrentValues, replayed: CurrentValues) -> Iterator[Difference]:
    for name, member in _MEMBERS.items():
        value, expected = getattr(stored, name), getattr(replayed, name)
        if value != expected:
            yield Difference("people", id, prefix + member, value, expected)
