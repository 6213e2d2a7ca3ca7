"""Deciders inside of the server: pure functions `decide(workflow, event) -> actions` over a declared document.

They are told what deciders outside are told, answer with the same actions, and are recorded in the same history. An
activity has ended for a decider when the event of its end was handed to it, with this decision or one before: the same
history leads to the same facts, whenever it is read.
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
    """What has happened, as a decision task's params say it; an end has `label` and `outcome`, a signal `name`."""

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
    """What a workflow has begun under a label; `outcome` is None until the decider was told of the end that it has."""

    id: str
    label: str
    definition: str
    is_workflow: bool
    params: bytes | None
    outcome: str | None
    result: bytes | None
    error: bytes | None


class Facts(NamedTuple):
    """A workflow as its decider has been told of it: its row, its document, and what it has begun, by label."""

    workflow: Workflow
    document: Document
    activities: Mapping[str, Activity]


Decide = Callable[[Facts, Event], Sequence[AnyAction]]


def read_event(params: bytes | None) -> Event:
    """Return the event of a decision task."""
    return _event.decode(params or b"{}")


def activities_by_label(begun: Iterable[Task | Workflow], events: Iterable[Event]) -> dict[str, Activity]:
    """Return what was begun, by label; of what ended later than these events, as what is still live."""
    ends = {event.task_id or event.workflow_id: event.outcome for event in events}
    return {one.label: _activity(one, ends.get(one.id)) for one in begun if one.label is not None}


def _activity(one: Task | Workflow, outcome: str | None) -> Activity:
    # Retried by hand, it is live again, or has ended otherwise since, which has not been told yet.
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
