"""Deciders inside the server: pure functions `decide(workflow, event) -> actions` over a declared document.

They get the same facts as deciders outside, return the same actions, and their decisions are recorded in the same
history. For a decider, an activity has ended when the event of its end was in this decision or an earlier one, so the
same history leads to the same facts, whenever it is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec
from msgspec import UNSET, Raw, UnsetType

from fencepost.domain.actions import AnyAction
from fencepost.domain.document import Document
from fencepost.domain.task import Task
from fencepost.domain.workflow import Workflow

_EVENT = "awf.workflow.event/"


class Event(msgspec.Struct, frozen=True, rename="kebab"):
    """The event in the params of a decision task; an activity's end has `label` and `outcome`, a signal `name`."""

    event: str
    task_id: str | None = None
    workflow_id: str | None = None
    label: str | None = None
    outcome: str | None = None
    name: str | None = None
    payload: Raw | UnsetType = UNSET
    signal_id: str | None = None

    @property
    def kind(self) -> str:
        """`workflow-init`, `task-completed`, `workflow-completed` or `signal`."""
        return self.event.removeprefix(_EVENT)


class Activity(NamedTuple):
    """A task or child workflow with a label; `outcome` is None until the decider gets the event of its end."""

    id: str
    label: str
    definition: str
    is_workflow: bool
    params: bytes | None
    outcome: str | None
    result: bytes | None
    error: bytes | None


class Facts(NamedTuple):
    """The facts that a decider gets: the row of its workflow, its document, and its activities by label."""

    workflow: Workflow
    document: Document
    activities: Mapping[str, Activity]


Decide = Callable[[Facts, Event], Sequence[AnyAction]]


def read_event(params: bytes | None) -> Event:
    """Return the event of a decision task."""
    return _event.decode(params or b"{}")


def activities_by_label(begun: Iterable[Task | Workflow], events: Iterable[Event]) -> dict[str, Activity]:
    """Return the activities by label; an activity without its end among `events` counts as live."""
    ends = {event.task_id or event.workflow_id: event.outcome for event in events}
    return {one.label: _activity(one, ends.get(one.id)) for one in begun if one.label is not None}


def _activity(one: Task | Workflow, outcome: str | None) -> Activity:
    # After `awf.task/retry` it is live, or has another outcome, for which a later event follows.
    ended = outcome is not None and one.outcome == outcome
    return Activity(
        id=one.id,
        label=one.label or "",
        definition=one.definition,
        is_workflow=isinstance(one, Workflow),
        params=one.params,
        outcome=outcome if ended else None,
        result=one.result if ended else None,
        error=one.error if ended else None,
    )


_event: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
