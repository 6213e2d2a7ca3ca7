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
from fencepost.store.starts import Start
from fencepost.store.statements import statement
from fencepost.store.turns import Deed, Due, locked, moments, schedule_of, start_by_hand, take, time_of


class Schedule(NamedTuple):
    """A schedule as it stands, for who looks; times are ISO-8601 in UTC with microseconds."""

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


class Began(NamedTuple):
    """What became of a due time, or of it and all before `until_at`; of a manual start `due_at` is when it was made."""

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
        """Take what hears of that which is started when it is due."""
        self._database = database
        self._clock = clock
        # One that cannot be done must not keep the others from it.
        self._turns = Batches(database, clock, take, on_wakeups=on_wakeups)

    async def now(self) -> datetime:
        """Return the database's time."""
        return time_of((await self._database.fetch(statement("server/now"), {"now": self._clock.now()}))[0][0])

    async def list_due(self, batch: int) -> Sequence[Due]:
        """Return schedules whose time has come, the longest due first."""
        rows = await self._database.fetch(statement("schedules/list_due"), {"batch": batch, "now": self._clock.now()})
        return [Due(row[0], row[1], schedule_of(row[2]), time_of(row[3]), time_of(row[4])) for row in rows]

    async def next_due(self) -> float | None:
        """Return the seconds until the next start (negative when it has passed), None when there is none."""
        rows = await self._database.fetch(statement("schedules/next_due"), {"now": self._clock.now()})
        due_in: float | None = rows[0][0]
        return due_in

    async def take(self, deeds: Sequence[Deed]) -> Sequence[str | Exception | None]:
        """Do what is still to be done and return what became of each deed (turns.take); None for those of others."""
        rows = await self._turns.submit([{"id": deed.due.name, "deed": deed} for deed in deeds])
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

    async def list_runs(self, name: str, *, size: int) -> Sequence[Began]:
        """Return what became of a schedule's due times, the newest first."""
        rows = await self._database.reads.fetch(statement("schedules/list_runs"), {"name": name, "size": size})
        return [Began._make(row) for row in rows]

    async def pause(self, name: str) -> None:
        """Let nothing come of a schedule's due times any more."""
        await self._database.fetch(statement("schedules/pause"), {"name": name, "now": self._clock.now()})

    async def resume(self, name: str) -> None:
        """Let a paused schedule go on with the next due time after now."""
        now = self._clock.now()

        def job(connection: Connection) -> None:
            with connection.transaction():
                standing = locked(connection, name, now)
                if standing is not None and standing.is_paused:
                    following = moments(standing.definition, standing.definition.cron.after(standing.now))
                    fetch(connection, statement("schedules/resume"), {"name": name, **following})

        await self._database.run(job)

    async def start(
        self, name: str, version: int, starts: Sequence[tuple[datetime | None, Start]], *, id: str | None = None
    ) -> tuple[Sequence[Began] | None, Sequence[Wakeup]]:
        """Start those due times that were not started, or once what an `id` names, and return all; raise MovedOn.

        None when the schedule is not at this version any more.
        """
        now = self._clock.now()
        params = {"name": name, "due_ats": [due_at for due_at, _ in starts if due_at is not None], "id": id}

        def job(connection: Connection) -> tuple[Sequence[Began] | None, Sequence[Wakeup]]:
            with connection.transaction():
                standing = locked(connection, name, now)
                if standing is None or standing.version != version:
                    return None, ()
                rows = fetch(connection, statement("schedules/find_runs"), params)
                there = {time_of(row[0]) for row in rows}
                missing = [(at, one) for at, one in starts if at not in there and not (id and rows)]
                if not missing:
                    return [Began._make(row) for row in rows], ()
                wakeups = start_by_hand(connection, name, version, missing, now, id=id)
                rows = fetch(connection, statement("schedules/find_runs"), params)
                return [Began._make(row) for row in rows], wakeups

        return await self._database.run(job)


def _schedule(row: Sequence[Any]) -> Schedule:
    return Schedule(row[0], row[1], schedule_of(row[2]), *row[3:])
