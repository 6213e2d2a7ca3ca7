"""Schedules: what their due times bring about, and what can be done with one by who looks after it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import NamedTuple
from uuid import uuid4

from fencepost.domain.builtin import ENGINE
from fencepost.domain.listing import Portion
from fencepost.domain.nearest import hint, shortened
from fencepost.domain.schedule import MOST_BACKFILL, ScheduleDefinition, turn
from fencepost.engine.definitions import Definitions
from fencepost.engine.outcomes import TRIES, contended
from fencepost.engine.starts import prepare
from fencepost.engine.wakeups import Wakeups
from fencepost.errors import SCHEDULE_NOT_FOUND, UNAVAILABLE, Refusal, invalid_params
from fencepost.store.schedules import Began, Schedule, ScheduleStore
from fencepost.store.starts import MovedOn, Start
from fencepost.store.turns import Deed, Due
from fencepost.telemetry import Event, emit

_OLDEST = datetime(1970, 1, 1, tzinfo=UTC)
# Begins something of a schedule as it stands; None when it has moved on.
Begin = Callable[[Schedule], Awaitable[Sequence[Began] | None]]


class Done(NamedTuple):
    """For how many schedules this server did something, and how much of that were starts, and skips."""

    turns: int
    started: int
    skipped: int


class Schedules:
    """The schedules of a database."""

    def __init__(self, store: ScheduleStore, definitions: Definitions, wakeups: Wakeups) -> None:
        self._store = store
        self._definitions = definitions
        self._wakeups = wakeups

    async def run_due(self, batch: int) -> Done:
        """Do what is to be done about one due time of each schedule that is due, of at most `batch` schedules."""
        due = await self._store.list_due(batch)
        if not due:
            return Done(0, 0, 0)
        deeds = [deed for one in due if (deed := await self._deed(one)) is not None]
        became = await self._store.take(deeds)
        for deed, what in zip(deeds, became, strict=True):
            if what == "moved-on":
                self._definitions.forget(deed.due.definition.request.definition)
        done = sum(isinstance(what, str) for what in became)
        if not done and (failed := next((what for what in became if isinstance(what, Exception)), None)):
            raise failed
        return Done(done, became.count("started"), became.count("skipped"))

    async def next_due(self) -> float | None:
        """Return the seconds until the next start (negative when it has passed), None when there is none."""
        return await self._store.next_due()

    async def list(self, *, after: str | None, size: int) -> Portion[Schedule]:
        """Return schedules as they stand, by name."""
        return await self._store.list(after=after, size=size)

    async def get(self, name: str) -> Schedule:
        """Return a schedule as it stands; raise Refusal when there is none."""
        found = await self._store.find(name)
        if found is None:
            names = [schedule.name for schedule in (await self._store.list(size=1000)).items]
            raise Refusal(SCHEDULE_NOT_FOUND, at="$.name", name=shortened(name), hint=hint(name, names))
        return found

    async def starts(self, name: str, *, size: int) -> Sequence[Began]:
        """Return what became of a schedule's due times, the newest first."""
        return await self._store.list_runs(name, size=size)

    async def pause(self, name: str) -> Schedule:
        """Let nothing come of a schedule's due times until it is resumed."""
        await self._store.pause(name)
        return await self.get(name)

    async def resume(self, name: str) -> Schedule:
        """Let a schedule go on with the next due time after now; what was due meanwhile is left alone."""
        await self._store.resume(name)
        schedule = await self.get(name)
        # Its next start may lie before all that the servers wait for.
        self._wakeups.definition(name)
        return schedule

    async def run_now(self, name: str, *, id: str | None, caller: str) -> Began:
        """Start what a schedule is for, whatever runs already; once, if there is an `id`."""
        # Named here: when the reply of the database is lost it runs again and must find what it began.
        named = id or str(uuid4())

        async def begin(schedule: Schedule) -> Sequence[Began] | None:
            one = await self._prepare(schedule.definition, caller)
            began, wakeups = await self._store.start(name, schedule.version, [(None, one)], id=named)
            self._wakeups.publish(wakeups)
            return began

        return (await self._begin(name, begin))[0]

    async def backfill(self, name: str, begin: datetime, end: datetime, *, caller: str) -> Sequence[Began]:
        """Start each due time from `begin` on and before `end` that was not started, and return the starts of all."""
        if begin < _OLDEST:
            raise invalid_params("Expected a time since 1970", "$.from")
        if end <= begin:
            raise invalid_params("Expected a time behind `from`", "$.to")
        if end > await self._store.now():
            raise invalid_params("Expected a time that has passed: what is ahead starts by itself", "$.to")

        async def fill(schedule: Schedule) -> Sequence[Began] | None:
            due_ats = list(islice(schedule.definition.cron.between(begin, end), MOST_BACKFILL + 1))
            if len(due_ats) > MOST_BACKFILL:
                raise invalid_params(
                    f"more than {MOST_BACKFILL} due times; at {due_ats[-1].isoformat()} the next backfill can begin",
                    "$.to",
                )
            one = await self._prepare(schedule.definition, caller)
            starts = [(at, one if one.id is None else one._replace(id=str(uuid4()))) for at in due_ats]
            began, wakeups = await self._store.start(name, schedule.version, starts)
            self._wakeups.publish(wakeups)
            return began

        return await self._begin(name, fill)

    async def _begin(self, name: str, begin: Begin) -> Sequence[Began]:
        """Begin something under the newest version of a schedule and of what it starts."""
        for _ in range(TRIES):
            schedule = await self.get(name)
            try:
                began = await begin(schedule)
            except MovedOn:
                self._definitions.forget(schedule.definition.request.definition)
            else:
                if began is not None:
                    return began
        raise contended(f"schedule {name!r}")

    async def _deed(self, due: Due) -> Deed | None:
        """Return what to do about a due time; None when nobody can tell when the next one is."""
        try:
            what = turn(due.definition, due.due_at, due.now)
        except Refusal as refusal:
            # Another machine knew its time zone: it stays as it is, and keeps no other from being done.
            emit(Event.SCHEDULE_REFUSED, name=due.name, reason=refusal.message)
            return None
        if what.until is not None:
            return Deed(due, what.next_due_at, until=what.until, reason="late")
        try:
            return Deed(due, what.next_due_at, await self._prepare(due.definition, ENGINE))
        except Refusal as refusal:
            if refusal.kind is UNAVAILABLE:
                raise
            emit(Event.SCHEDULE_REFUSED, name=due.name, reason=refusal.message)
            return Deed(due, what.next_due_at, reason="refused", message=refusal.message)

    async def _prepare(self, definition: ScheduleDefinition, caller: str) -> Start:
        try:
            return await prepare(
                self._definitions,
                definition.request,
                is_workflow=definition.is_for_workflows,
                requester=definition.requester,
                caller=caller,
            )
        except Refusal as refusal:
            # The path would lead into the schedule, which is not what the caller sent.
            refusal.at, refusal.errors = "$.name", None
            raise
