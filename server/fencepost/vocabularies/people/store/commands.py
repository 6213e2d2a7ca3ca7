"""What is done to people's tasks, each deed in one transaction: its events, the replay, and the moves of the core task.

The list's workflow is locked first, so that one thing happens to a task after the other: of two who claim it at once
the second finds it assigned.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import orjson

from fencepost.errors import WORKFLOW_HAS_BEEN_DONE, Refusal
from fencepost.store.batches import Hint
from fencepost.store.connection import Connection, fetch
from fencepost.store.families import lock
from fencepost.store.statements import statement
from fencepost.vocabularies.people.commands import Actor, Deed, Draft, check
from fencepost.vocabularies.people.errors import PEOPLE_TASK_NOT_FOUND, TASK_EVENT_NOT_FOUND
from fencepost.vocabularies.people.store.acting import Acting
from fencepost.vocabularies.people.store.core_tasks import move
from fencepost.vocabularies.people.store.rows import find_actor, find_list, streams_of, tasks_of
from fencepost.vocabularies.people.streams import Stream, replay, waiting
from fencepost.vocabularies.people.task import PeopleTask


class Acted(NamedTuple):
    """The task as it stands then, and the numbers of the events that were recorded or processed."""

    task: PeopleTask
    numbers: Sequence[int]
    hints: Sequence[Hint] = ()


def act(
    connection: Connection, acting: Acting, deed: Deed, now: datetime | None, *, confirmed: bool, checked: bool = True
) -> Acted:
    """Record what a deed gives: as drafts, or `confirmed` at once. Raises what the deed does, and nothing is done."""
    with connection.transaction():
        task = _locked(connection, acting)
        actor = find_actor(connection, acting.user)
        drafts = deed(task, actor)
        if not drafts:
            return Acted(task, ())
        if not confirmed and (there := _waiting(connection, task, drafts, acting.user)):
            return Acted(task, there)
        at = _moment(connection, task, now)
        write(connection, acting, {}, now)
        numbers = _record(connection, task, drafts, at, acting.user, processed=confirmed)
        hints = _settle(connection, task, acting, at, actor if checked else None) if confirmed else ()
        return Acted(_look(connection, acting), numbers, hints)


def confirm(connection: Connection, acting: Acting, stream: Stream, number: int, now: datetime | None) -> Acted:
    """Process a draft, and replay its task. One that is processed already changes nothing."""
    with connection.transaction():
        task = _locked(connection, acting)
        events = streams_of(connection, [task.seq])[task.seq].events
        event = next((one for one in events if (one.stream, one.id) == (stream, number)), None)
        if event is None:
            raise Refusal(TASK_EVENT_NOT_FOUND, at="$.event", stream=stream, event=number)
        if event.processed:
            return Acted(task, [number])
        params = {"task_seq": task.seq, "stream": stream, "number": number}
        fetch(connection, statement("people/process_draft"), params)
        at = _moment(connection, task, now)
        hints = _settle(connection, task, acting, at, find_actor(connection, event.user))
        return Acted(_look(connection, acting), [number], hints)


def write(connection: Connection, acting: Acting, members: dict[str, str | None], now: datetime | None) -> bool:
    """Write members of a task; return False when somebody else has locked it and that would be overwritten."""
    names = ("progress_message", "exception_message", "domain_object_key", "domain_object_code", "locked_by")
    written = ["domain_object" if name.startswith("domain_object") else name for name in members]
    params = {
        **{name: members.get(name) for name in names},
        "seq": acting.seq,
        "workflow_seq": acting.workflow_seq,
        "members": written,
        "locker": acting.user,
        "now": now,
    }
    return bool(fetch(connection, statement("people/save_fields"), params))


def _locked(connection: Connection, acting: Acting) -> PeopleTask:
    live = lock(connection, workflows=[acting.workflow_seq])
    fetch(connection, statement("people/lock_core_task"), {"seq": acting.seq})
    task = _look(connection, acting)
    if acting.workflow_seq not in live:
        over = find_list(connection, task.task_list)
        raise Refusal(WORKFLOW_HAS_BEEN_DONE, at="$.id", id=task.task_list, outcome=over and over.outcome)
    return task


def _look(connection: Connection, acting: Acting) -> PeopleTask:
    found = tasks_of(connection, acting.workflow_seq, seq=acting.seq)
    if not found:
        # Its list, and all that belongs to it, went out of the history just now.
        raise Refusal(PEOPLE_TASK_NOT_FOUND, at="$.id", id=acting.id)
    return found[0]


def _moment(connection: Connection, task: PeopleTask, now: datetime | None) -> datetime:
    params = {"task_seq": task.seq, "core_seq": task.core.seq, "now": now}
    return datetime.fromisoformat(fetch(connection, statement("people/next_timestamp"), params)[0][0])


def _waiting(connection: Connection, task: PeopleTask, drafts: Sequence[Draft], user: str) -> Sequence[int]:
    """Return the drafts in which the same user says the same, if they still would do it: who asks again finds them."""
    streams = streams_of(connection, [task.seq])[task.seq]
    there = waiting(replay(task.initial, streams.events, streams.changes).history, user)
    found = [there.get((draft.stream, draft.values)) for draft in drafts]
    return [id for id in found if id is not None] if None not in found else ()


def _record(
    connection: Connection, task: PeopleTask, drafts: Sequence[Draft], at: datetime, user: str, *, processed: bool
) -> list[int]:
    columns = {
        "status": ("bi_task_status",),
        "transfer": ("assigned_to_team", "assigned_to_user"),
        "plan": ("priority", "due_date_time"),
    }
    calls = [
        {
            "call": place,
            "task_seq": task.seq,
            "stream": draft.stream,
            "event_date_time": at,
            "by_user": user,
            "processed": processed,
            "core_seq": task.core.seq,
            "core_version": task.core.version,
            **dict(zip(columns[draft.stream], draft.values, strict=True)),
        }
        for place, draft in enumerate(drafts)
    ]
    rows = fetch(connection, statement("people/save_events"), {"calls": orjson.dumps(calls).decode()})
    return [number for (number,) in rows]


def _settle(
    connection: Connection, task: PeopleTask, acting: Acting, at: datetime, closer: Actor | None
) -> Sequence[Hint]:
    """Replay a task, move the core task to where that says, and keep it; without a `closer` it is not checked."""
    streams = streams_of(connection, [task.seq])[task.seq]
    after = replay(task.initial, streams.events, streams.changes).standing
    if closer is not None:
        check(task, after, closer)
    core_seqs, hints = move(connection, task, acting, after, at)
    ((*_, exec_id, core_version),) = fetch(connection, statement("people/find_core_task"), {"seq": core_seqs[-1]})
    params = {
        "seq": task.seq,
        "workflow_seq": task.workflow_seq,
        "core_seqs": list(core_seqs),
        "at": at,
        "team": after.team,
        "member": after.user,
        "status": after.status,
        "priority": after.priority,
        "due_date_time": after.due_date_time,
        "completion_date_time": after.completion_date_time,
        "exec_id": exec_id,
        "core_version": core_version,
    }
    fetch(connection, statement("people/save_current"), params)
    return hints
