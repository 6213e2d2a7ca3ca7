"""Every statement about schedules, as a method of its name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from fencepost.clock import Clock
from fencepost.domain.listing import Portion
from fencepost.domain.schedule import ScheduleDefinition
from fencepost.store.batches import Batches, Wakeup
from fencepost.store.connection import Connection, fetch
from fencepost.store.database import Database
from fencepost.store.schedule_runs import (
    DueSchedule,
    RunCall,
    ScheduledRun,
    apply_runs,
    lock_state,
    moments,
    schedule_of,
    start_now,
    time_of,
)
from fencepost.store.start_requests import StartRequest
from fencepost.store.statements import statement


class Schedule(NamedTuple):
    """The state of a schedule for readers; times are ISO-8601 in UTC with microseconds."""

    name: str
    version: int
    definition: ScheduleDefinition
    due_at: str | None
    starts_at: str | None
    paused_at: str | None
    last_schedule: str | None
    last_status: str | None
    last_reason: str | None
    last_reference: bytes | None


class RunRecord(NamedTuple):
    """The record of a run: of one due time, or of all skipped ones before `until_at`. A manual run has its own time."""

    due_at: str
    until_at: str | None
    kind: str
    status: str
    reason: str | None
    message: str | None
    reference: bytes | None
    id: str | None
    at: str


class ScheduleStore:
    """The statements of sql/queries/schedules."""

    def __init__(self, database: Database, clock: Clock, on_wakeups: Callable[[Sequence[Wakeup]], None]) -> None:
        """`on_wakeups` is called with the wake-ups of each batch of runs."""
        self._database = database
        self._clock = clock
        # A batch, so that a run that fails does not stop the others.
        self._runs = Batches(database, clock, apply_runs, on_wakeups=on_wakeups)

    async def now(self) -> datetime:
        """Return the database's time."""
        return time_of((await self._database.fetch(statement("server/now"), {"now": self._clock.now()}))[0][0])

    async def list_due(self, batch: int) -> Sequence[DueSchedule]:
        """Return due schedules, the longest due first."""
        rows = await self._database.fetch(statement("schedules/list_due"), {"batch": batch, "now": self._clock.now()})
        return [DueSchedule(row[0], row[1], schedule_of(row[2]), time_of(row[3]), time_of(row[4])) for row in rows]

    async def next_due(self) -> float | None:
        """Return the seconds until the next start (negative when it has passed), None when there is none."""
        rows = await self._database.fetch(statement("schedules/next_due"), {"now": self._clock.now()})
        due_in: float | None = rows[0][0]
        return due_in

    async def apply(self, runs: Sequence[ScheduledRun]) -> Sequence[str | Exception | None]:
        """Apply the runs that are still due; return the outcome of each, None for a run that another server applies."""
        rows = await self._runs.submit([RunCall(run.due.name, run) for run in runs])
        return [row[1] if isinstance(row, tuple) else row for row in rows]

    async def list(self, *, after: str | None = None, size: int) -> Portion[Schedule]:
        """Return schedules by name, behind the name `after`."""
        params = {"name": None, "after": after}
        page = await self._database.reads.page(statement("schedules/list"), params, size=size)
        return Portion([_schedule(row) for row in page.items], page.more)

    async def find(self, name: str) -> Schedule | None:
        """Return a schedule."""
        rows = await self._database.fetch(statement("schedules/list"), {"name": name, "after": None, "size": 1})
        return _schedule(rows[0]) if rows else None

    async def list_runs(self, name: str, *, size: int) -> Sequence[RunRecord]:
        """Return the runs of a schedule, the newest first."""
        rows = await self._database.reads.fetch(statement("schedules/list_runs"), {"name": name, "size": size})
        return [RunRecord._make(row) for row in rows]

    async def pause(self, name: str) -> None:
        """Pause a schedule."""
        await self._database.fetch(statement("schedules/pause"), {"name": name, "now": self._clock.now()})

    async def resume(self, name: str) -> None:
        """Resume a paused schedule at the next due time after now."""
        now = self._clock.now()

        def job(connection: Connection) -> None:
            with connection.transaction():
                state = lock_state(connection, name, now)
                if state is not None and state.is_paused:
                    following = moments(state.definition, state.definition.cron.after(state.now))
                    fetch(connection, statement("schedules/resume"), {"name": name, **following})

        await self._database.run(job)

    async def start(
        self, name: str, version: int, starts: Sequence[tuple[datetime | None, StartRequest]], *, id: str | None = None
    ) -> tuple[Sequence[RunRecord] | None, Sequence[Wakeup]]:
        """Start the due times without a run, or the manual run `id` once; return all records. Raises StaleDefinition.

        Returns None when the schedule has another version.
        """
        now = self._clock.now()
        params = {"name": name, "due_ats": [due_at for due_at, _ in starts if due_at is not None], "id": id}

        def job(connection: Connection) -> tuple[Sequence[RunRecord] | None, Sequence[Wakeup]]:
            with connection.transaction():
                state = lock_state(connection, name, now)
                if state is None or state.version != version:
                    return None, ()
                rows = fetch(connection, statement("schedules/find_runs"), params)
                there = {time_of(row[0]) for row in rows}
                missing = [(at, one) for at, one in starts if at not in there and not (id and rows)]
                if not missing:
                    return [RunRecord._make(row) for row in rows], ()
                wakeups = start_now(connection, name, version, missing, now, id=id)
                rows = fetch(connection, statement("schedules/find_runs"), params)
                return [RunRecord._make(row) for row in rows], wakeups

        return await self._database.run(job)


def _schedule(row: Sequence[Any]) -> Schedule:
    return Schedule(row[0], row[1], schedule_of(row[2]), *row[3:])
