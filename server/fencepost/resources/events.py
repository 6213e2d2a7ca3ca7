"""Results of events and triggers on the wire."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from fencepost.domain.event import Event, Outcome, Reference, Started
from fencepost.engine.triggers import TriggerStatus
from fencepost.resources.definitions import definition_resource
from fencepost.resources.values import Time
from fencepost.store.triggers import TriggerStart


class PublishResult(msgspec.Struct, frozen=True):
    """The id of an event, the starts of triggers for it, and the `awf.task/subscribe` tasks that it completed."""

    id: str
    started: list[Started]
    completed: list[str]


class EventName(msgspec.Struct, frozen=True, omit_defaults=True):
    """The name of an event; a resource has no source."""

    id: str
    source: str | UnsetType = UNSET


class StartResource(msgspec.Struct, frozen=True, omit_defaults=True):
    """A start of a trigger for an event: the started task or workflow, or the reason why it could not start."""

    event: EventName
    at: Time
    version: int
    status: Literal["started", "skipped"]
    resource: Reference | UnsetType = UNSET
    reason: str | UnsetType = UNSET


class TriggerCounts(msgspec.Struct, frozen=True):
    """Number of starts of a trigger by result, within the retention of history."""

    started: int
    skipped: int


class TriggerStatusResult(msgspec.Struct, frozen=True):
    """A trigger, its number of starts, and its latest starts, newest first."""

    resource: dict[str, Any]
    counts: TriggerCounts
    starts: list[StartResource]


def publish_result(event: Event, outcome: Outcome) -> PublishResult:
    """Convert the result of an event for the wire."""
    return PublishResult(event.id, outcome.started, outcome.completed)


def trigger_status_result(status: TriggerStatus) -> TriggerStatusResult:
    """Convert the status of a trigger for the wire."""
    return TriggerStatusResult(
        definition_resource(status.definition),
        TriggerCounts(*status.counts),
        [_start(start) for start in status.starts],
    )


def _start(start: TriggerStart) -> StartResource:
    return StartResource(
        event=EventName(start.id, UNSET if start.source is None else start.source),
        at=start.at,
        version=start.version,
        status=start.status,  # type: ignore[arg-type]  # a check in the database ensures it
        resource=UNSET if start.reference is None else msgspec.json.decode(start.reference, type=Reference),
        reason=UNSET if start.reason is None else start.reason,
    )
