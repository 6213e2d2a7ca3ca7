"""The three event streams of a task, and the replay that computes its current values from them.

Events never change, and only processed events count. Changes of the core task (a worker starts it, its list is
canceled) are recorded in the log of the queue alone. Such a change is an event of the status stream when the new state
of the core task does not fit the status of the task.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Literal, NamedTuple

from fencepost.vocabularies.people.statuses import allowed_statuses

Stream = Literal["status", "transfer", "plan"]


class CurrentValues(NamedTuple):
    """Values of a task that are computed from its events; times are ISO-8601 in UTC with microseconds."""

    team: str
    user: str | None
    status: str
    priority: str
    due_date_time: str
    completion_date_time: str | None


class TaskEvent(NamedTuple):
    """An event: `values` are (status), (team, user) or (priority, due date); `id` is None for an event of the log.

    `log_position` is the last log entry before the event: the number of the core task and the version of the entry.
    """

    stream: Stream
    id: int | None
    event_date_time: str
    user: str
    processed: bool
    values: tuple[str | None, ...]
    log_position: tuple[int, int] = (0, 0)
    reason: str | None = None


class CoreChange(NamedTuple):
    """A log entry that changed the state of a core task: the new state, the user, and the reason of a failure."""

    at: str
    seq: int
    version: int
    status: str
    outcome: str | None
    user: str
    reason: str | None
    exec_id: str | None = None


class Replay(NamedTuple):
    """The current values of a task, and all its events, oldest first and with drafts."""

    current: CurrentValues
    history: Sequence[TaskEvent]


_ORDER = {"status": 0, "transfer": 1, "plan": 2}


def replay(initial: CurrentValues, events: Iterable[TaskEvent], changes: Iterable[CoreChange]) -> Replay:
    """Apply processed events and changes of the core task, in order, to the initial values of a task."""
    current, execution = initial, None
    history = []
    for moment in _chronological(events, changes):
        event = moment if isinstance(moment, TaskEvent) else _event_of(current, moment, execution)
        if isinstance(moment, CoreChange):
            execution = moment.exec_id if moment.status in ("requested", "in-progress") else None
        if event is None:
            continue
        history.append(event)
        if event.processed:
            current = apply_event(current, event)
    return Replay(current, history)


def pending_drafts(
    history: Iterable[TaskEvent], user: str
) -> Mapping[tuple[Stream, tuple[str | None, ...]], TaskEvent]:
    """Return a user's drafts by their content, without those that an event of their stream has made obsolete.

    An obsolete draft would change nothing when it is confirmed.
    """
    drafts: dict[tuple[Stream, tuple[str | None, ...]], TaskEvent] = {}
    for event in history:
        if event.processed:
            drafts = {content: draft for content, draft in drafts.items() if content[0] != event.stream}
        elif event.user == user and event.id is not None:
            drafts[event.stream, event.values] = event
    return drafts


def apply_event(current: CurrentValues, event: TaskEvent) -> CurrentValues:
    """Return the values of a task after an event that follows all others."""
    match event.stream, event.values:
        case "status", (str() as status,):
            completed = event.event_date_time if status == "CO" else None
            return current._replace(status=status, completion_date_time=completed)
        case "transfer", (str() as team, user):
            return current._replace(team=team, user=user)
        case "plan", (str() as priority, str() as due):
            return current._replace(priority=priority, due_date_time=due)
    raise AssertionError(f"no such event: {event}")


def _chronological(events: Iterable[TaskEvent], changes: Iterable[CoreChange]) -> list[TaskEvent | CoreChange]:
    """Return events by time, stream and number, with the log entries between them.

    Log positions decide between the two, so that the order does not depend on clocks. Of several log entries with the
    same time the last counts: one command writes several.
    """
    ordered = sorted(changes, key=lambda change: (change.seq, change.version))
    last = [list(at_once)[-1] for _, at_once in groupby(ordered, key=lambda change: change.at)]
    # An event follows the log entry at its position, and precedes the entries that it caused.
    keyed: list[tuple[tuple[int, int], int, str, int, int, TaskEvent | CoreChange]] = [
        *(
            (event.log_position, 1, event.event_date_time, _ORDER[event.stream], event.id or 0, event)
            for event in events
        ),
        *(((change.seq, change.version), 0, "", 0, 0, change) for change in last),
    ]
    return [moment for *_, moment in sorted(keyed, key=lambda one: one[:5])]


def _event_of(current: CurrentValues, change: CoreChange, execution: str | None) -> TaskEvent | None:
    """Return a change of the core task as a status event; None when the status of the task fits the new state.

    A status that was set during one execution does not apply to the next.
    """
    statuses = allowed_statuses(change.status, change.outcome)
    is_new_execution = change.status == "in-progress" and execution not in (None, change.exec_id)
    if current.status in statuses and not is_new_execution:
        return None
    return TaskEvent("status", None, change.at, change.user, True, (statuses[0],), reason=change.reason)
