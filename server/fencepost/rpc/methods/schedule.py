"""`awf.schedule/*`: looking at schedules, pausing them, and starting by hand. They are declared as definitions are."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from fencepost.domain.definition import Name
from fencepost.domain.times import time_text
from fencepost.rpc.registry import Context, Registry
from fencepost.wire.resources import Time
from fencepost.wire.schedules import ScheduleResource, ScheduleStart, schedule_resource, start_resource

schedule_methods = Registry()


class SchedulesParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which page."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    after: Annotated[str, Meta(max_length=700, description="`next` of the page before")] | None = None


class ScheduleParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which schedule."""

    name: Name


class ScheduleStatusParams(ScheduleParams, frozen=True, forbid_unknown_fields=True):
    """Which schedule, and how much of its history."""

    limit: Annotated[int, Meta(ge=0, le=1000, description="how many starts to show")] = 20


class RunNowParams(ScheduleParams, frozen=True, forbid_unknown_fields=True):
    """Which schedule."""

    id: (
        Annotated[
            str, Meta(min_length=1, max_length=200, description="a name for this start: the same again starts no other")
        ]
        | None
    ) = None


class BackfillParams(ScheduleParams, frozen=True, forbid_unknown_fields=True):
    """Which schedule, and which of its due times."""

    from_: Annotated[Time, Meta(description="the first, if one is due then")] = msgspec.field(name="from")
    to: Annotated[Time, Meta(description="behind the last; not ahead")]


class SchedulesResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """One page of schedules; `next` is there while there are more."""

    resources: list[ScheduleResource]
    next: str | UnsetType = UNSET


class ScheduleResult(msgspec.Struct, frozen=True):
    """A schedule."""

    resource: ScheduleResource


class ScheduleStatusResult(msgspec.Struct, frozen=True):
    """A schedule, and what became of its due times, the newest first."""

    resource: ScheduleResource
    starts: list[ScheduleStart]


class RunNowResult(msgspec.Struct, frozen=True):
    """What was started."""

    start: ScheduleStart


class BackfillResult(msgspec.Struct, frozen=True):
    """The starts of all these due times, in their order, also of those that were started before."""

    starts: list[ScheduleStart]


_NAME = {"name": "demo/nightly"}


@schedule_methods.method("awf.schedule/list", example={"limit": 10})
async def list_(context: Context, params: SchedulesParams) -> SchedulesResult:
    """List the schedules by name, page by page: when each starts next, and what it did last."""
    page, more = await context.engine.schedules.list(after=params.after, size=params.limit)
    return SchedulesResult([schedule_resource(schedule) for schedule in page], page[-1].name if more else UNSET)


@schedule_methods.method("awf.schedule/status", example={**_NAME, "limit": 5})
async def status(context: Context, params: ScheduleStatusParams) -> ScheduleStatusResult:
    """Tell how a schedule stands, and what became of its due times lately."""
    schedule = await context.engine.schedules.get(params.name)
    starts = await context.engine.schedules.starts(params.name, size=params.limit)
    return ScheduleStatusResult(schedule_resource(schedule), [start_resource(start) for start in starts])


@schedule_methods.method("awf.schedule/pause", example=_NAME)
async def pause(context: Context, params: ScheduleParams) -> ScheduleResult:
    """Let nothing come of a schedule's due times until it is resumed; a new version changes nothing about that."""
    return ScheduleResult(schedule_resource(await context.engine.schedules.pause(params.name)))


@schedule_methods.method("awf.schedule/resume", example=_NAME)
async def resume(context: Context, params: ScheduleParams) -> ScheduleResult:
    """Let a paused schedule go on with the next due time after now; what was due meanwhile is not started."""
    return ScheduleResult(schedule_resource(await context.engine.schedules.resume(params.name)))


@schedule_methods.method("awf.schedule/run-now", example={**_NAME, "id": "ticket-93"})
async def run_now(context: Context, params: RunNowParams) -> RunNowResult:
    """Start at once what a schedule is for, whatever is live of it, paused or not; its due times stay as they are."""
    began = await context.engine.schedules.run_now(params.name, id=params.id, caller=context.caller)
    return RunNowResult(start_resource(began))


@schedule_methods.method(
    "awf.schedule/backfill", example={**_NAME, "from": "2026-05-01T00:00:00Z", "to": "2026-05-08T00:00:00Z"}
)
async def backfill(context: Context, params: BackfillParams) -> BackfillResult:
    """Start every due time of a past stretch that was not started, up to 1000, all at once.

    The concurrency policy is not applied. The same again starts nothing twice.
    """
    began = await context.engine.schedules.backfill(
        params.name, _moment(params.from_, "$.from"), _moment(params.to, "$.to"), caller=context.caller
    )
    return BackfillResult([start_resource(start) for start in began])


def _moment(text: str, at: str) -> datetime:
    moment = time_text(text, at)
    assert moment is not None, "a text was given"
    return datetime.fromisoformat(moment)
