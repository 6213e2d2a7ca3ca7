"""Events as the wire spells them: what became of one, and what triggers did."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from fencepost.domain.event import Event, Outcome, Reference, Started
from fencepost.engine.triggers import TriggerStatus
from fencepost.store.triggers import TriggerStart
from fencepost.wire.resources import Time, definition_resource


class PublishResult(msgspec.Struct, frozen=True):
    """The id of an event, what triggers started for it, and the `awf.task/subscribe` tasks that it ended."""

    id: str
    started: list[Started]
    completed: list[str]


class EventName(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which event; a resource has no source."""

    id: str
    source: str | UnsetType = UNSET


class StartResource(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a trigger did for an event: what it started, or why it could not."""

    event: EventName
    at: Time
    version: int
    status: Literal["started", "skipped"]
    resource: Reference | UnsetType = UNSET
    reason: str | UnsetType = UNSET


class TriggerCounts(msgspec.Struct, frozen=True):
    """How often a trigger did something, as far as history is kept."""

    started: int
    skipped: int


class TriggerStatusResult(msgspec.Struct, frozen=True):
    """A trigger, how often it did something, and what it did last, the newest first."""

    resource: dict[str, Any]
    counts: TriggerCounts
    starts: list[StartResource]


def publish_result(event: Event, outcome: Outcome) -> PublishResult:
    """Write what became of an event for the wire."""
    return PublishResult(event.id, outcome.started, outcome.completed)


def trigger_status_result(status: TriggerStatus) -> TriggerStatusResult:
    """Write how a trigger stands for the wire."""
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
        status=start.status,  # type: ignore[arg-type]  # a check in the database says the same
        resource=UNSET if start.reference is None else msgspec.json.decode(start.reference, type=Reference),
        reason=UNSET if start.reason is None else start.reason,
    )
