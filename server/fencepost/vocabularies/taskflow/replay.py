"""The events that the history of a run was: what each change of a task made of the flow, and how the flow ended.

The history of one task is in order; of several tasks, what commits later may be older. So a reader has a position that
says of each activity how much of its history was taken, and nothing is ever behind it by accident.
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
    """One entry of the history of an activity: which one it is of, by the order in which they were begun, and how it
    stands since."""

    number: int
    version: int
    at: str
    label: str
    id: str
    state: TaskState


class EventData(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel", kw_only=True):
    """What an event says, beside the flow as it is since: a task's, a stage's, or the flow's status."""

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
    """A status update."""

    event_type: Literal["TASK", "STAGE", "TASKFLOW"]
    data: EventData


class Position(NamedTuple):
    """How much of the history was taken: of which run, and of each of its activities.

    `1.3.3.2` is of the first retry, after three entries of the first and the second activity, and two of the third.
    """

    run: int
    taken: Sequence[int]

    @property
    def text(self) -> str:
        """The position as readers give it back."""
        return ".".join(map(str, (self.run, *self.taken)))


def read_position(text: str) -> Position | None:
    """Return the position that a reader gives back, None when it is none."""
    parts = text.split(".")
    if not all(part.isdecimal() and part.isascii() and len(part) < 10 for part in parts):
        return None
    run, *taken = map(int, parts)
    return Position(run, taken)


class Replay:
    """A run played again from its beginning; what lies before `position` is not told."""

    def __init__(self, plan: Plan, position: Position | None = None) -> None:
        self._plan = plan
        self._delivered = [*position.taken] if position is not None and position.run == plan.retry_attempt else []
        self._taken: list[int] = []
        self._states: dict[str, tuple[str, TaskState]] = {}
        # What fails before a worker sees it has no history, and is told all the same.
        self._now = compute_progress(plan, collect_facts([]), is_begun=False)

    @property
    def position(self) -> Position:
        """What was taken."""
        return Position(self._plan.retry_attempt, self._taken)

    def play(self, changes: Sequence[ActivityChange]) -> Iterator[Sequence[FlowEvent]]:
        """Take the changes that were not taken before, in the order of time; yield what each is to be told as.

        Those told before come first, whatever committed late in between: so the flow is as its reader knows it.
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
        """Return what the end of the run is told as."""
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
        told = ((label, id, state) for label, (id, state) in self._states.items())
        self._now = compute_progress(self._plan, collect_facts(told, outcome))
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
