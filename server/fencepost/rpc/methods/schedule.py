"""`awf.schedule/*`: listing, pausing and running schedules. They are declared like other definitions."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from fencepost.domain.definition import Name
from fencepost.domain.times import time_text
from fencepost.engine.context import Context
from fencepost.resources.schedules import ScheduleResource, ScheduleStart, schedule_resource, start_resource
from fencepost.resources.values import Time
from fencepost.rpc.registry import Registry

schedule_methods = Registry()


class SchedulesParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A page of schedules."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    after: Annotated[str, Meta(max_length=700, description="`next` of the previous page")] | None = None


class ScheduleParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The name of a schedule."""

    name: Name


class ScheduleStatusParams(ScheduleParams, frozen=True, forbid_unknown_fields=True):
    """The name of a schedule, and the length of its history in the answer."""

    limit: Annotated[int, Meta(ge=0, le=1000, description="number of latest runs in the answer")] = 20


class RunNowParams(ScheduleParams, frozen=True, forbid_unknown_fields=True):
    """The name of a schedule."""

    id: Annotated[str, Meta(min_length=1, max_length=200, description="idempotency key of this start")] | None = None


class BackfillParams(ScheduleParams, frozen=True, forbid_unknown_fields=True):
    """The name of a schedule, and a range of its due times."""

    from_: Annotated[Time, Meta(description="begin of the range, inclusive")] = msgspec.field(name="from")
    to: Annotated[Time, Meta(description="end of the range, exclusive; not in the future")]


class SchedulesResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """One page of schedules; `next` is present if there are more."""

    resources: list[ScheduleResource]
    next: str | UnsetType = UNSET


class ScheduleResult(msgspec.Struct, frozen=True):
    """A schedule."""

    resource: ScheduleResource


class ScheduleStatusResult(msgspec.Struct, frozen=True):
    """A schedule, and its run history, newest first."""

    resource: ScheduleResource
    starts: list[ScheduleStart]


class RunNowResult(msgspec.Struct, frozen=True):
    """The started run."""

    start: ScheduleStart


class BackfillResult(msgspec.Struct, frozen=True):
    """The runs of all due times in the range, in order, including those that were started before."""

    starts: list[ScheduleStart]


_NAME = {"name": "demo/nightly"}


@schedule_methods.method("awf.schedule/list", example={"limit": 10})
async def list_(context: Context, params: SchedulesParams) -> SchedulesResult:
    """List the schedules by name, page by page, each with its next and its latest run."""
    page, more = await context.engine.schedules.list(after=params.after, size=params.limit)
    return SchedulesResult([schedule_resource(schedule) for schedule in page], page[-1].name if more else UNSET)


@schedule_methods.method("awf.schedule/status", example={**_NAME, "limit": 5})
async def status(context: Context, params: ScheduleStatusParams) -> ScheduleStatusResult:
    """Get a schedule and its run history."""
    schedule = await context.engine.schedules.get(params.name)
    starts = await context.engine.schedules.list_runs(params.name, size=params.limit)
    return ScheduleStatusResult(schedule_resource(schedule), [start_resource(start) for start in starts])


@schedule_methods.method("awf.schedule/pause", example=_NAME)
async def pause(context: Context, params: ScheduleParams) -> ScheduleResult:
    """Pause a schedule: due times are skipped until it is resumed. It stays paused when a new version is put."""
    return ScheduleResult(schedule_resource(await context.engine.schedules.pause(params.name)))


@schedule_methods.method("awf.schedule/resume", example=_NAME)
async def resume(context: Context, params: ScheduleParams) -> ScheduleResult:
    """Resume a paused schedule at its next due time; due times during the pause are not started."""
    return ScheduleResult(schedule_resource(await context.engine.schedules.resume(params.name)))


@schedule_methods.method("awf.schedule/run-now", example={**_NAME, "id": "ticket-93"})
async def run_now(context: Context, params: RunNowParams) -> RunNowResult:
    """Run a schedule now, even if it is paused or has live runs. Its due times do not change."""
    began = await context.engine.schedules.run_now(params.name, id=params.id, caller=context.caller)
    return RunNowResult(start_resource(began))


@schedule_methods.method(
    "awf.schedule/backfill", example={**_NAME, "from": "2026-05-01T00:00:00Z", "to": "2026-05-08T00:00:00Z"}
)
async def backfill(context: Context, params: BackfillParams) -> BackfillResult:
    """Start all due times in a past range that were not started, up to 1000, at once.

    The concurrency policy is not applied. Idempotent: no due time is started twice.
    """
    began = await context.engine.schedules.backfill(
        params.name, _moment(params.from_, "from"), _moment(params.to, "to"), caller=context.caller
    )
    return BackfillResult([start_resource(start) for start in began])


def _moment(text: str, field: str) -> datetime:
    moment = time_text(text, field)
    assert moment is not None, "a text was given"
    return datetime.fromisoformat(moment)
