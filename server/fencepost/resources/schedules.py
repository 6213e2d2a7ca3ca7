"""Schedules on the wire."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from fencepost.resources.values import JsonObject, Time
from fencepost.store.schedules import RunRecord, Schedule

Status = Literal["started", "skipped"]
Reason = Annotated[
    str,
    Meta(description="reason for a skip: `late`, `still-live`, `paused`, or `refused`, with the details in `message`"),
]
Reference = Annotated[JsonObject, Meta(description="started task or workflow: `resourceType` and `id`")]


class ScheduleResource(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A schedule and its state."""

    name: str
    version: int
    schedule: str
    timezone: str
    paused: bool
    paused_at: Time | None = None
    execute_at: Annotated[Time, Meta(description="time of the next start")] | None = None
    due_at: Annotated[Time, Meta(description="due time of the next start, before `jitter-seconds` is added")] | None = (
        None
    )
    last_schedule: Annotated[Time, Meta(description="due time that was handled last")] | None = None
    last_schedule_status: Status | None = None
    last_schedule_reason: Reason | None = None
    last_schedule_reference: Annotated[JsonObject, Meta(description="latest start at a due time")] | UnsetType = UNSET


class ScheduleStart(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The result of a due time."""

    due_at: Annotated[Time, Meta(description="due time; for a manual start, the time of the request")]
    kind: Literal["scheduled", "setup", "manual", "backfill"]
    status: Status
    at: Annotated[Time, Meta(description="time of the start or skip")]
    until: Annotated[Time, Meta(description="all due times before this one were skipped with it")] | None = None
    reason: Reason | None = None
    message: str | None = None
    reference: Reference | UnsetType = UNSET
    id: Annotated[str, Meta(description="name of a manual start")] | None = None


def schedule_resource(schedule: Schedule) -> ScheduleResource:
    """Convert a schedule for the wire."""
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
        last_schedule_status=schedule.last_status,  # type: ignore[arg-type]  # a check in the database ensures it
        last_schedule_reason=schedule.last_reason,
        last_schedule_reference=_raw(schedule.last_reference),
    )


def start_resource(began: RunRecord) -> ScheduleStart:
    """Convert the result of a due time for the wire."""
    return ScheduleStart(
        due_at=began.due_at,
        kind=began.kind,  # type: ignore[arg-type]  # a check in the database ensures it
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
