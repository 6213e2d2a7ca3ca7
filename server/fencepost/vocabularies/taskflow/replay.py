"""Computes the events of a run from its history: one update for each change of a task, and one for the end.

The log of one task is in order. Across tasks, an entry that commits later may have an earlier time. So the position of
a reader holds, for each activity, the last log version that was read: no entry is skipped and none is read twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import msgspec
from msgspec import UNSET, Raw, UnsetType

from fencepost.vocabularies.taskflow.plan import Plan
from fencepost.vocabularies.taskflow.progress import Progress, TaskState, TaskView, collect_facts, compute_progress
from fencepost.vocabularies.taskflow.record import flow_record


class ActivityChange(NamedTuple):
    """One log entry of an activity; `number` counts the activities of a run from 0, in the order of beginning.

    `at` is ISO-8601; `state` is the state of the activity after the entry.
    """

    number: int
    version: int
    at: str
    label: str
    id: str
    state: TaskState


class EventData(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel", kw_only=True):
    """The data of an event: the new status of a task, a stage or the flow, and the record of the whole flow."""

    taskflow_id: str
    attempt: int | UnsetType = UNSET
    stage_id: str | UnsetType = UNSET
    task_id: str | UnsetType = UNSET
    task_status: str | UnsetType = UNSET
    task_response: Raw | UnsetType = UNSET
    stage_status: str | UnsetType = UNSET
    taskflow_status: str | UnsetType = UNSET
    taskflow_object: Raw


class FlowEvent(msgspec.Struct, frozen=True, rename="camel"):
    """A status update of a task, a stage or the flow."""

    event_type: Literal["TASK", "STAGE", "TASKFLOW"]
    data: EventData


class Position(NamedTuple):
    """A position in the history of a flow: the number of a run, and the last log version read of each activity.

    `1.3.3.2` is a position in the first retry: three log entries of the first and the second activity were read, and
    two of the third.
    """

    run: int
    taken: Sequence[int]

    @property
    def text(self) -> str:
        """The position as text, as `parse_position` takes it."""
        return ".".join(map(str, (self.run, *self.taken)))


def parse_position(text: str) -> Position | None:
    """Parse a position; None for a text that is not one."""
    parts = text.split(".")
    if not all(part.isdecimal() and part.isascii() and len(part) < 10 for part in parts):
        return None
    run, *taken = map(int, parts)
    return Position(run, taken)


class Replay:
    """Replays a run from its beginning; entries before `position` yield no events."""

    def __init__(self, plan: Plan, position: Position | None = None) -> None:
        self._plan = plan
        self._delivered = [*position.taken] if position is not None and position.run == plan.retry_attempt else []
        self._taken: list[int] = []
        self._states: dict[str, tuple[str, TaskState]] = {}
        # A task that fails before a worker sees it has no log entry; its event follows from the first one of the run.
        self._now = compute_progress(plan, collect_facts([]), is_begun=False)

    @property
    def position(self) -> Position:
        """The position after the entries that were played."""
        return Position(self._plan.retry_attempt, self._taken)

    def play(self, changes: Sequence[ActivityChange]) -> Iterator[Sequence[FlowEvent]]:
        """Apply the changes that are new, in the order of time; yield the events of each.

        Changes before the reader's position are applied first and yield nothing, even when an older entry committed
        late between them: so the events compare with the flow as the reader knows it.
        """
        fresh = [change for change in changes if change.version > self._taken_of(change.number)]
        known = [change for change in fresh if self._is_delivered(change)]
        for change in known:
            self._take(change)
        if known:
            self._events(None)
        rest = (change for change in fresh if not self._is_delivered(change))
        for change in sorted(rest, key=lambda change: (change.at, change.number, change.version)):
            self._take(change)
            yield self._events(None)

    def end(self, outcome: str) -> Sequence[FlowEvent]:
        """Return the events of the end of the run."""
        return self._events(outcome)

    def _is_delivered(self, change: ActivityChange) -> bool:
        return change.number < len(self._delivered) and change.version <= self._delivered[change.number]

    def _take(self, change: ActivityChange) -> None:
        self._taken[change.number] = change.version
        self._states[change.label] = (change.id, change.state)

    def _taken_of(self, number: int) -> int:
        self._taken += [0] * (number + 1 - len(self._taken))
        return self._taken[number]

    def _events(self, outcome: str | None) -> Sequence[FlowEvent]:
        before = self._now
        states = ((label, id, state) for label, (id, state) in self._states.items())
        self._now = compute_progress(self._plan, collect_facts(states, outcome))
        return _events_between(self._plan, before, self._now)


def _events_between(plan: Plan, before: Progress, now: Progress) -> Sequence[FlowEvent]:
    whole = Raw(msgspec.json.encode(flow_record(plan, now)))
    events: list[FlowEvent] = []
    for old, new in zip(before.stages, now.stages, strict=True):
        for was, task in zip(old.tasks, new.tasks, strict=True):
            if _visible(was) != _visible(task):
                events.append(FlowEvent("TASK", _task_data(plan, task, whole)))
    for old, new in zip(before.stages, now.stages, strict=True):
        if old.status != new.status:
            data = EventData(
                taskflow_id=plan.id, stage_id=new.planned.id, stage_status=new.status, taskflow_object=whole
            )
            events.append(FlowEvent("STAGE", data))
    if before.status != now.status:
        data = EventData(taskflow_id=plan.id, taskflow_status=now.status, taskflow_object=whole)
        events.append(FlowEvent("TASKFLOW", data))
    return events


def _visible(view: TaskView) -> tuple[object, ...]:
    return view.status, view.attempt, view.response, [*view.nested], [*view.active]


def _task_data(plan: Plan, view: TaskView, whole: Raw) -> EventData:
    return EventData(
        taskflow_id=plan.id,
        attempt=view.attempt,
        stage_id=view.planned.stage_id,
        task_id=view.planned.id,
        task_status=view.status,
        task_response=Raw(view.response),
        taskflow_object=whole,
    )
