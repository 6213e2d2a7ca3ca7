"""Schedules as the wire spells them."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from fencepost.store.schedules import Began, Schedule
from fencepost.wire.resources import JsonObject, Time

Status = Literal["started", "skipped"]
Reason = Annotated[
    str,
    Meta(description="why it was skipped: `late`, `still-live`, `paused`, or `refused`, for the reason in `message`"),
]
Reference = Annotated[JsonObject, Meta(description="what was started: `resourceType` and `id`")]


class ScheduleResource(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A schedule and where it stands."""

    name: str
    version: int
    schedule: str
    timezone: str
    paused: bool
    paused_at: Time | None = None
    execute_at: Annotated[Time, Meta(description="the next start")] | None = None
    due_at: Annotated[Time, Meta(description="its due time, which `jitter-seconds` puts off")] | None = None
    last_schedule: Annotated[Time, Meta(description="the due time that something was done about last")] | None = None
    last_schedule_status: Status | None = None
    last_schedule_reason: Reason | None = None
    last_schedule_reference: Annotated[JsonObject, Meta(description="what it started last by itself")] | UnsetType = (
        UNSET
    )


class ScheduleStart(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What became of a due time."""

    due_at: Annotated[Time, Meta(description="of a manual start, when it was asked for")]
    kind: Literal["scheduled", "setup", "manual", "backfill"]
    status: Status
    at: Annotated[Time, Meta(description="when that was done")]
    until: Annotated[Time, Meta(description="all due times before this one were skipped with it")] | None = None
    reason: Reason | None = None
    message: str | None = None
    reference: Reference | UnsetType = UNSET
    id: Annotated[str, Meta(description="what a manual start was named by")] | None = None


def schedule_resource(schedule: Schedule) -> ScheduleResource:
    """Write a schedule for the wire."""
    return ScheduleResource(
        name=schedule.name,
        version=schedule.version,
        schedule=schedule.definition.schedule,
        timezone=schedule.definition.timezone,
        paused=schedule.paused_at is not None,
        paused_at=schedule.paused_at,
        execute_at=schedule.starts_at,
        due_at=schedule.due_at,
        last_schedule=schedule.last_schedule,
        last_schedule_status=schedule.last_status,  # type: ignore[arg-type]  # a check in the database says the same
        last_schedule_reason=schedule.last_reason,
        last_schedule_reference=_raw(schedule.last_reference),
    )


def start_resource(began: Began) -> ScheduleStart:
    """Write what became of a due time for the wire."""
    return ScheduleStart(
        due_at=began.due_at,
        kind=began.kind,  # type: ignore[arg-type]  # a check in the database says the same
        status=began.status,  # type: ignore[arg-type]  # likewise
        at=began.at,
        until=began.until_at,
        reason=began.reason,
        message=began.message,
        reference=_raw(began.reference),
        id=began.id,
    )


def _raw(text: bytes | None) -> Raw | UnsetType:
    return UNSET if text is None else Raw(text)
