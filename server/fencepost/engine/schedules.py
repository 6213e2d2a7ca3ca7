"""Schedules: the runs of their due times, and the operations on a schedule (pause, resume, run now, backfill)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import NamedTuple
from uuid import uuid4

from fencepost.domain.builtin import ENGINE
from fencepost.domain.listing import Portion
from fencepost.domain.schedule import MOST_BACKFILL, ScheduleDefinition, start_or_skip
from fencepost.domain.suggestions import hint, shortened
from fencepost.engine.definitions import Definitions
from fencepost.engine.outcomes import TRIES, too_contended
from fencepost.engine.start_requests import prepare
from fencepost.engine.wakeups import Wakeups
from fencepost.errors import SCHEDULE_NOT_FOUND, UNAVAILABLE, Refusal, invalid_params
from fencepost.store.schedule_runs import DueSchedule, ScheduledRun
from fencepost.store.schedules import RunRecord, Schedule, ScheduleStore
from fencepost.store.start_requests import StaleDefinition, StartRequest
from fencepost.telemetry import Event, emit

_OLDEST = datetime(1970, 1, 1, tzinfo=UTC)
# Starts runs of a schedule under the version that was read; None when it has another version by now.
Begin = Callable[[Schedule], Awaitable[Sequence[RunRecord] | None]]


class Done(NamedTuple):
    """Counts of a step: schedules that this server handled, and how many of them it started or skipped."""

    runs: int
    started: int
    skipped: int


class Schedules:
    """The schedules of a database."""

    def __init__(self, store: ScheduleStore, definitions: Definitions, wakeups: Wakeups) -> None:
        self._store = store
        self._definitions = definitions
        self._wakeups = wakeups

    async def run_due(self, batch: int) -> Done:
        """Start or skip one due time of each due schedule, of at most `batch` schedules."""
        due = await self._store.list_due(batch)
        if not due:
            return Done(0, 0, 0)
        runs = [run for one in due if (run := await self._run_of(one)) is not None]
        outcomes = await self._store.apply(runs)
        for run, outcome in zip(runs, outcomes, strict=True):
            if outcome == "stale":
                self._definitions.forget(run.due.definition.request.definition)
        done = sum(isinstance(outcome, str) for outcome in outcomes)
        if not done and (failed := next((one for one in outcomes if isinstance(one, Exception)), None)):
            raise failed
        return Done(done, outcomes.count("started"), outcomes.count("skipped"))

    async def next_due(self) -> float | None:
        """Return the seconds until the next start (negative when it has passed), None when there is none."""
        return await self._store.next_due()

    async def list(self, *, after: str | None, size: int) -> Portion[Schedule]:
        """Return a page of schedules, ordered by name."""
        return await self._store.list(after=after, size=size)

    async def get(self, name: str) -> Schedule:
        """Return a schedule; raise Refusal (`schedule-not-found`)."""
        found = await self._store.find(name)
        if found is None:
            names = [schedule.name for schedule in (await self._store.list(size=1000)).items]
            raise Refusal(SCHEDULE_NOT_FOUND, field="name", name=shortened(name), hint=hint(name, names))
        return found

    async def list_runs(self, name: str, *, size: int) -> Sequence[RunRecord]:
        """Return the runs of a schedule, the newest first."""
        return await self._store.list_runs(name, size=size)

    async def pause(self, name: str) -> Schedule:
        """Pause a schedule: due times start nothing until it is resumed. Raises Refusal (`schedule-not-found`)."""
        await self._store.pause(name)
        return await self.get(name)

    async def resume(self, name: str) -> Schedule:
        """Resume a schedule at the next due time after now; the due times of the pause are not started."""
        await self._store.resume(name)
        schedule = await self.get(name)
        # Its next start may come before any that the servers wait for.
        self._wakeups.definition(name)
        return schedule

    async def run_now(self, name: str, *, id: str | None, caller: str) -> RunRecord:
        """Start a manual run, even while the schedule is paused or its last run is live; idempotent with an `id`."""
        # The id is made here: after a lost reply of the database, the repeated statement finds the run by it.
        named = id or str(uuid4())

        async def begin(schedule: Schedule) -> Sequence[RunRecord] | None:
            one = await self._prepare(schedule.definition, caller)
            began, wakeups = await self._store.start(name, schedule.version, [(None, one)], id=named)
            self._wakeups.publish(wakeups)
            return began

        return (await self._begin(name, begin))[0]

    async def backfill(self, name: str, begin: datetime, end: datetime, *, caller: str) -> Sequence[RunRecord]:
        """Start each due time from `begin` to before `end` that has no run; return the runs of all of them.

        Raises Refusal (`invalid-params`) for times that are not in the past and in order, and for too many due times.
        """
        if begin < _OLDEST:
            raise invalid_params("Expected a time since 1970", "from")
        if end <= begin:
            raise invalid_params("Expected a time behind `from`", "to")
        if end > await self._store.now():
            raise invalid_params("Expected a time that has passed: later due times start by themselves", "to")

        async def fill(schedule: Schedule) -> Sequence[RunRecord] | None:
            due_ats = list(islice(schedule.definition.cron.between(begin, end), MOST_BACKFILL + 1))
            if len(due_ats) > MOST_BACKFILL:
                raise invalid_params(
                    f"more than {MOST_BACKFILL} due times; at {due_ats[-1].isoformat()} the next backfill can begin",
                    "to",
                )
            one = await self._prepare(schedule.definition, caller)
            starts = [(at, one if one.id is None else one._replace(id=str(uuid4()))) for at in due_ats]
            began, wakeups = await self._store.start(name, schedule.version, starts)
            self._wakeups.publish(wakeups)
            return began

        return await self._begin(name, fill)

    async def _begin(self, name: str, begin: Begin) -> Sequence[RunRecord]:
        """Call `begin` with the newest version of a schedule, again while that or the started definition changes."""
        for _ in range(TRIES):
            schedule = await self.get(name)
            try:
                began = await begin(schedule)
            except StaleDefinition:
                self._definitions.forget(schedule.definition.request.definition)
            else:
                if began is not None:
                    return began
        raise too_contended(f"schedule {name!r}")

    async def _run_of(self, due: DueSchedule) -> ScheduledRun | None:
        """Return the run for a due time; None when the next due time cannot be computed."""
        try:
            action = start_or_skip(due.definition, due.due_at, due.now)
        except Refusal as refusal:
            # This machine does not know the time zone. The schedule stays due, and other schedules still run.
            emit(Event.SCHEDULE_REFUSED, name=due.name, reason=refusal.message)
            return None
        if action.until is not None:
            return ScheduledRun(due, action.next_due_at, until=action.until, reason="late")
        try:
            return ScheduledRun(due, action.next_due_at, await self._prepare(due.definition, ENGINE))
        except Refusal as refusal:
            if refusal.kind is UNAVAILABLE:
                raise
            emit(Event.SCHEDULE_REFUSED, name=due.name, reason=refusal.message)
            return ScheduledRun(due, action.next_due_at, reason="refused", message=refusal.message)

    async def _prepare(self, definition: ScheduleDefinition, caller: str) -> StartRequest:
        try:
            return await prepare(
                self._definitions,
                definition.request,
                is_workflow=definition.is_for_workflows,
                requester=definition.requester,
                caller=caller,
            )
        except Refusal as refusal:
            # A field of the schedule would mean nothing to the caller, who sent its name.
            raise refusal.about("name") from None
