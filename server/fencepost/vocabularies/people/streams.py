"""The three streams of a people's task, and where it stands by them.

Its events are never changed, and only the processed ones count. What happens to the core task beneath (a worker begins,
a list is canceled) stands in the log and nowhere else: it is an event of the status stream whenever the task cannot be
in the status that it was in any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Literal, NamedTuple

from fencepost.vocabularies.people.statuses import statuses_of

Stream = Literal["status", "transfer", "plan"]


class Standing(NamedTuple):
    """What is derived of a task; times are ISO-8601 in UTC with microseconds."""

    team: str
    user: str | None
    status: str
    priority: str
    due_date_time: str
    completion_date_time: str | None


class TaskEvent(NamedTuple):
    """One event: `values` are (status), (team, user) or (priority, due date); `id` is None for one of the log.

    `behind` are number and version of the entry of the log that was the last when it was recorded.
    """

    stream: Stream
    id: int | None
    event_date_time: str
    user: str
    processed: bool
    values: tuple[str | None, ...]
    behind: tuple[int, int] = (0, 0)
    reason: str | None = None


class Change(NamedTuple):
    """What the log says of a core task: the state that it was left in, by whom, and why it failed."""

    at: str
    seq: int
    version: int
    status: str
    outcome: str | None
    user: str
    reason: str | None
    exec_id: str | None = None


class Replay(NamedTuple):
    """Where a task stands, and the events that led there, the oldest first; drafts stand among them."""

    standing: Standing
    history: Sequence[TaskEvent]


_ORDER = {"status": 0, "transfer": 1, "plan": 2}


def replay(initial: Standing, events: Iterable[TaskEvent], changes: Iterable[Change]) -> Replay:
    """Apply events, by their times, and what the log says between them to where a task stood when it was made."""
    standing, execution = initial, None
    history = []
    for moment in _in_order(events, changes):
        event = moment if isinstance(moment, TaskEvent) else _of_change(standing, moment, execution)
        if isinstance(moment, Change):
            execution = moment.exec_id if moment.status in ("requested", "in-progress") else None
        if event is None:
            continue
        history.append(event)
        if event.processed:
            standing = apply_event(standing, event)
    return Replay(standing, history)


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


def apply_event(standing: Standing, event: TaskEvent) -> Standing:
    """Return the values of a task after an event that follows all others."""
    match event.stream, event.values:
        case "status", (str() as status,):
            completed = event.event_date_time if status == "CO" else None
            return standing._replace(status=status, completion_date_time=completed)
        case "transfer", (str() as team, user):
            return standing._replace(team=team, user=user)
        case "plan", (str() as priority, str() as due):
            return standing._replace(priority=priority, due_date_time=due)
    raise AssertionError(f"no such event: {event}")


def _in_order(events: Iterable[TaskEvent], changes: Iterable[Change]) -> list[TaskEvent | Change]:
    """Return what happened: events by time, stream and number, and the entries of the log where they belong.

    That is said by their versions, so that it does not depend on clocks. Of entries of one time the last counts: one
    move leaves several.
    """
    ordered = sorted(changes, key=lambda change: (change.seq, change.version))
    last = [list(at_once)[-1] for _, at_once in groupby(ordered, key=lambda change: change.at)]
    # An event moves the core task to where it says: what is behind it stands there.
    keyed: list[tuple[tuple[int, int], int, str, int, int, TaskEvent | Change]] = [
        *((event.behind, 1, event.event_date_time, _ORDER[event.stream], event.id or 0, event) for event in events),
        *(((change.seq, change.version), 0, "", 0, 0, change) for change in last),
    ]
    return [moment for *_, moment in sorted(keyed, key=lambda one: one[:5])]


def _of_change(standing: Standing, change: Change, execution: str | None) -> TaskEvent | None:
    """Return the event that a change of the core task is; None for one that the task was in the right status for.

    What was said of one execution says nothing of the next.
    """
    statuses = statuses_of(change.status, change.outcome)
    begun_anew = change.status == "in-progress" and execution not in (None, change.exec_id)
    if standing.status in statuses and not begun_anew:
        return None
    return TaskEvent("status", None, change.at, change.user, True, (statuses[0],), reason=change.reason)
