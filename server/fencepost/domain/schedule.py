"""Schedules: documents with a request and its due times, and the choice to start or skip a due time."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from functools import cached_property
from typing import Annotated, ClassVar, Literal, NamedTuple

import orjson
from msgspec import Meta

from fencepost.domain.cron import Cron
from fencepost.domain.limits import LONGEST_MS
from fencepost.domain.start_document import StartDocument
from fencepost.errors import invalid_params

# After an outage, every start computes these due times again, which must not take long.
MOST_CATCH_UP = 100
# Due times of one backfill.
MOST_BACKFILL = 1000


class ScheduleDefinition(
    StartDocument, frozen=True, forbid_unknown_fields=True, rename="kebab", tag_field="kind", tag="schedule"
):
    """A document of `kind: schedule`: a request and its due times."""

    kind: ClassVar[str] = "schedule"
    schedule: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=200,
            description="cron: 5 fields, 6 with seconds first, or an alias such as `@daily`",
        ),
    ]
    timezone: Annotated[str, Meta(min_length=1, max_length=100, description="IANA name of the time zone")] = "UTC"
    execute_on_setup: Annotated[bool, Meta(description="whether a new version starts once when it is put")] = False
    concurrency_policy: Annotated[
        Literal["forbid", "allow"],
        Meta(description="`forbid` skips a due time while the last start is live"),
    ] = "forbid"
    start_deadline_seconds: Annotated[
        int, Meta(ge=0, le=LONGEST_MS // 1000, description="maximum delay of a start; later starts are skipped")
    ] = 60
    catch_up: Annotated[
        int,
        Meta(ge=0, le=MOST_CATCH_UP, description="number of the newest missed due times that are started late"),
    ] = 0
    jitter_seconds: Annotated[
        int, Meta(ge=0, lt=86_400, description="maximum delay of a start; each due time has its own part of it")
    ] = 0

    @cached_property
    def cron(self) -> Cron:
        """Its due times; raises Refusal (`invalid-params`) when it has none."""
        return Cron(self.schedule, self.timezone)

    def compile(self) -> None:
        """Raise Refusal (`invalid-params`) unless it has due times and exactly one request, without `executeAt`."""
        _ = self.cron
        super().compile()
        if self.request.execute_at is not None:
            raise invalid_params("a schedule sets the time of its starts", f"{self.request_member}.executeAt")

    def same_times(self, other: ScheduleDefinition) -> bool:
        """Return whether another version is due at the same times."""
        return (self.schedule, self.timezone) == (other.schedule, other.timezone)

    @property
    def requester(self) -> bytes:
        """The requester of the tasks and workflows that it starts, as JSON text."""
        return orjson.dumps({"service": "awf/scheduler", "rule": self.name})

    def starts_at(self, due_at: datetime) -> datetime:
        """Return the time of a due time's start, delayed by jitter: the same on every server."""
        if not self.jitter_seconds:
            return due_at
        digest = hashlib.blake2b(f"{self.name} {due_at.isoformat()}".encode(), digest_size=8).digest()
        return due_at + timedelta(milliseconds=int.from_bytes(digest) % (self.jitter_seconds * 1000))


class StartOrSkip(NamedTuple):
    """The action for a due time: start it, or with `until`, skip every due time before `until`."""

    due_at: datetime
    until: datetime | None
    next_due_at: datetime | None


def start_or_skip(definition: ScheduleDefinition, due_at: datetime, now: datetime) -> StartOrSkip:
    """Return the action for the oldest due time without a run."""
    cron = definition.cron
    # The whole jitter counts: a due time may have waited for the one before it, which had a longer delay.
    patience = definition.start_deadline_seconds + definition.jitter_seconds
    oldest = now - timedelta(seconds=patience)
    if due_at < oldest:
        kept = cron.nth_before(oldest, definition.catch_up, since=due_at) if definition.catch_up else None
        first = cron.at_or_after(kept or oldest)
        if first is None or first > due_at:
            return StartOrSkip(due_at, first or oldest, first)
    return StartOrSkip(due_at, None, cron.after(due_at))
