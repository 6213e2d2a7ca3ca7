"""The transaction of a command on a people task: lock, decide, save the values, record the events.

The workflow of the list is locked first, so that commands on one task run one after the other: of two users who claim
it at once, the second finds it assigned.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from msgspec import UNSET

from fencepost.domain.ids import IdKind, kind_of, seq_of
from fencepost.errors import WORKFLOW_HAS_BEEN_DONE, Refusal, invalid_params
from fencepost.store.batches import Wakeup
from fencepost.store.calls import Numbered, as_json, number
from fencepost.store.connection import Connection, fetch
from fencepost.store.statements import statement
from fencepost.store.workflow_tree import lock_workflows
from fencepost.vocabularies.people.commands import (
    Actor,
    ChangeStatus,
    Command,
    Complete,
    NewEvent,
    Transfer,
    TransferIfRequired,
    core_transitions,
    decide,
    validate,
)
from fencepost.vocabularies.people.errors import PEOPLE_TASK_NOT_FOUND, TASK_EVENT_NOT_FOUND
from fencepost.vocabularies.people.store.core_tasks import apply_transitions
from fencepost.vocabularies.people.store.queries import find_list, find_member, find_task, load_streams
from fencepost.vocabularies.people.streams import CurrentValues, Stream, TaskEvent, apply_event, pending_drafts, replay
from fencepost.vocabularies.people.task import Notes, PeopleTask

_COLUMNS = {
    "status": ("bi_task_status",),
    "transfer": ("assigned_to_team", "assigned_to_user"),
    "plan": ("priority", "due_date_time"),
}


class _SaveEvent(Numbered, frozen=True, kw_only=True):
    """A call of save_events.sql."""

    task_seq: int
    stream: str
    event_date_time: str
    by_user: str
    processed: bool
    core_seq: int | None
    core_version: int | None
    bi_task_status: str | None = None
    assigned_to_team: str | None = None
    assigned_to_user: str | None = None
    priority: str | None = None
    due_date_time: str | None = None


class Executed(NamedTuple):
    """A task after a command, and the events that the command recorded, found as drafts, or confirmed."""

    task: PeopleTask
    events: Sequence[TaskEvent]
    wakeups: Sequence[Wakeup] = ()


def execute(
    connection: Connection, id: str, command: Command, actor: Actor, now: datetime | None, *, confirm: bool
) -> Executed:
    """Record the events of a command: `confirm` processes them at once, otherwise they are kept as drafts.

    Raises Refusal (see `decide`, `validate` and `core_transitions`), also `people-task-not-found`,
    `workflow-has-been-done`, and `invalid-params` for a team that does not exist. Then nothing has changed.
    """
    with connection.transaction():
        task, is_live = _lock_task(connection, id)
        _check_team(connection, command)
        _check_live(connection, task, is_live=is_live)
        member = find_member(connection, actor.user)
        new = decide(command, task, member)
        if not new:
            return Executed(task, ())
        if not confirm:
            drafts = _pending(connection, task, new, actor) or _record_drafts(connection, task, new, actor, now)
            return Executed(task, drafts)
        at = _next_timestamp(connection, task, now)
        events = _events(task, new, at, actor)
        after = task.current
        for event in events:
            # No other event is later: the current values need no replay.
            after = apply_event(after, event)
        # Developers use `change-status` to repair a stuck task: its result is not validated.
        if not isinstance(command, ChangeStatus):
            validate(task, after, member)
        result = command.result if isinstance(command, Complete) else None
        wakeups = _save(connection, task, after, actor, at, result)
        recorded = _record(connection, task, events)
        return Executed(_load(connection, id), recorded, wakeups)


def confirm(
    connection: Connection, id: str, stream: Stream, number: int, actor: Actor, now: datetime | None
) -> Executed:
    """Process a draft and replay its task. Idempotent.

    Raises Refusal as `execute` does, and `task-event-not-found`.
    """
    with connection.transaction():
        task, is_live = _lock_task(connection, id)
        _check_live(connection, task, is_live=is_live)
        events, changes = load_streams(connection, [task.seq])[task.seq]
        draft = next((event for event in events if (event.stream, event.id) == (stream, number)), None)
        if draft is None:
            raise Refusal(TASK_EVENT_NOT_FOUND, field="event", stream=stream, event=number)
        if draft.processed:
            return Executed(task, [draft])
        fetch(connection, statement("people/process_draft"), {"task_seq": task.seq, "stream": stream, "number": number})
        confirmed = draft._replace(processed=True)
        # Other events may be later than the draft: only a replay gives the values after it.
        after = replay(task.initial, [confirmed if event is draft else event for event in events], changes).current
        validate(task, after, find_member(connection, draft.user))
        wakeups = _save(connection, task, after, actor, _next_timestamp(connection, task, now), None)
        return Executed(_load(connection, id), [confirmed], wakeups)


def _lock_task(connection: Connection, id: str) -> tuple[PeopleTask, bool]:
    """Lock a task with its core task; return it, and whether its list is live."""
    seq = seq_of(id)
    if seq is None or kind_of(id) is not IdKind.ACTIVITY:
        raise Refusal(PEOPLE_TASK_NOT_FOUND, field="id", id=id)
    is_live = bool(lock_workflows(connection, tasks=[seq]))
    fetch(connection, statement("people/lock_core_task"), {"seq": seq})
    return _load(connection, id), is_live


def _load(connection: Connection, id: str) -> PeopleTask:
    task = find_task(connection, id)
    if task is None:
        raise Refusal(PEOPLE_TASK_NOT_FOUND, field="id", id=id)
    return task


def _check_live(connection: Connection, task: PeopleTask, *, is_live: bool) -> None:
    if not is_live:
        ended = find_list(connection, task.task_list)
        raise Refusal(WORKFLOW_HAS_BEEN_DONE, field="id", id=task.task_list, outcome=ended and ended.outcome)


def _check_team(connection: Connection, command: Command) -> None:
    match command:
        case Transfer(team=team):
            field = "transferToTeam"
        case TransferIfRequired(team=str() as team):
            field = "assignedToTeam"
        case _:
            return
    if not fetch(connection, statement("people/teams/find"), {"code": team}):
        raise invalid_params(f"there is no team {team!r}", field)


def _next_timestamp(connection: Connection, task: PeopleTask, now: datetime | None) -> str:
    params = {"task_seq": task.seq, "core_seq": task.core.seq, "now": now}
    ((at,),) = fetch(connection, statement("people/next_timestamp"), params)
    return str(at)


def _pending(connection: Connection, task: PeopleTask, new: Sequence[NewEvent], actor: Actor) -> Sequence[TaskEvent]:
    """Return the actor's drafts of the same content, where confirming them would still change the task."""
    streams = load_streams(connection, [task.seq])[task.seq]
    history = replay(task.initial, streams.events, streams.changes).history
    drafts = pending_drafts(history, actor.user)
    found = [drafts.get((event.stream, event.values)) for event in new]
    return [event for event in found if event is not None] if None not in found else ()


def _record_drafts(
    connection: Connection, task: PeopleTask, new: Sequence[NewEvent], actor: Actor, now: datetime | None
) -> Sequence[TaskEvent]:
    events = _events(task, new, _next_timestamp(connection, task, now), actor, processed=False)
    # Events refer to a row of people_tasks, which a task gets with its first event or note.
    write_notes(connection, task, actor, Notes(), now)
    return _record(connection, task, events)


def _events(
    task: PeopleTask, new: Sequence[NewEvent], at: str, actor: Actor, *, processed: bool = True
) -> Sequence[TaskEvent]:
    log_position = (task.core.seq, task.core.version)
    return [TaskEvent(event.stream, None, at, actor.user, processed, event.values, log_position) for event in new]


def _record(connection: Connection, task: PeopleTask, events: Sequence[TaskEvent]) -> Sequence[TaskEvent]:
    """Insert events; return them with the numbers that they got."""
    calls = number([_save_event(task, event) for event in events])
    rows = fetch(connection, statement("people/save_events"), {"calls": as_json(calls)})
    return [event._replace(id=number) for event, (number,) in zip(events, rows, strict=True)]


def _save_event(task: PeopleTask, event: TaskEvent) -> _SaveEvent:
    values = dict(zip(_COLUMNS[event.stream], event.values, strict=True))
    return _SaveEvent(
        task_seq=task.seq,
        stream=event.stream,
        event_date_time=event.event_date_time,
        by_user=event.user,
        processed=event.processed,
        core_seq=event.log_position[0],
        core_version=event.log_position[1],
        bi_task_status=values.get("bi_task_status"),
        assigned_to_team=values.get("assigned_to_team"),
        assigned_to_user=values.get("assigned_to_user"),
        priority=values.get("priority"),
        due_date_time=values.get("due_date_time"),
    )


def _save(
    connection: Connection, task: PeopleTask, after: CurrentValues, actor: Actor, at: str, result: bytes | None
) -> Sequence[Wakeup]:
    """Move the core task to a state that fits the new values, and save these."""
    transitions = core_transitions(task, after)
    core = apply_transitions(connection, task, transitions, actor, datetime.fromisoformat(at), result)
    params = {
        "seq": task.seq,
        "workflow_seq": task.workflow_seq,
        "new_core_seqs": core.new_seqs,
        "at": at,
        "team": after.team,
        "member": after.user,
        "status": after.status,
        "priority": after.priority,
        "due_date_time": after.due_date_time,
        "completion_date_time": after.completion_date_time,
        "exec_id": core.exec_id,
        "core_version": core.version,
    }
    fetch(connection, statement("people/save_current"), params)
    return core.wakeups


def write_notes(connection: Connection, task: PeopleTask, actor: Actor, notes: Notes, now: datetime | None) -> bool:
    """Write notes to a task; return False when they would overwrite the lock of another user."""
    given = {name: value for name, value in notes._asdict().items() if value is not UNSET}
    key, code = given.get("domain_object", (None, None))
    params = {
        "seq": task.seq,
        "workflow_seq": task.workflow_seq,
        "members": [*given],
        "progress_message": given.get("progress_message"),
        "exception_message": given.get("exception_message"),
        "domain_object_key": key,
        "domain_object_code": code,
        "locked_by": given.get("locked_by"),
        "locker": actor.user,
        "now": now,
    }
    return bool(fetch(connection, statement("people/save_fields"), params))
