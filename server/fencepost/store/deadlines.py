"""The deadlines of live tasks, one each: applying those that have passed, and finding the next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from fencepost.clock import Clock
from fencepost.domain.ids import kind_of
from fencepost.store.activities import TimeOutCall, time_out
from fencepost.store.batches import Wakeup
from fencepost.store.connection import Connection, fetch
from fencepost.store.database import Database
from fencepost.store.statements import statement


class Reaped(NamedTuple):
    """The reaped tasks, each with its definition and its status afterwards, and wake-ups."""

    tasks: Sequence[tuple[str, str]]
    wakeups: Sequence[Wakeup]


class DeadlineStore:
    """Runs the statements of sql/queries/tasks that the reaper uses.

    For `grace_seconds` after an outage (of this server or its database), leases that were last renewed before it are
    not reaped, and tasks do not expire.
    """

    def __init__(self, database: Database, clock: Clock, *, grace_seconds: float) -> None:
        self._database = database
        self._clock = clock
        self._grace = f"{grace_seconds} seconds"
        self._outages = -1
        self._resumed_at: str | None = None

    async def resume(self) -> None:
        """Begin the grace period, as after an outage: this server has started."""
        await self._database.run(self._resumed)

    async def reap(self, *, batch: int) -> Reaped:
        """Apply a batch of passed deadlines, and return the tasks and the wake-ups."""
        params = {"grace": self._grace, "batch": batch, "now": self._clock.now()}

        def job(connection: Connection) -> Reaped:
            # Inside the job, because a job that meets an outage is run again after it and needs the new time.
            rows = fetch(connection, statement("tasks/reap"), {**params, "resumed_at": self._resumed(connection)})
            over = [TimeOutCall(row[0], kind_of(row[1]), row[2]) for row in rows if row[4] == "done"]
            wakeups = time_out(connection, over, self._clock.now())
            return Reaped([(row[3], row[4]) for row in rows], wakeups)

        return await self._database.run(job)

    async def next_deadline(self) -> float | None:
        """Return the seconds until the next deadline, negative when it has passed, None when there is none."""
        rows = await self._database.fetch(statement("tasks/next_deadline"), {"now": self._clock.now()})
        due_in: float | None = rows[0][0]
        return due_in

    def _resumed(self, connection: Connection) -> str | None:
        if self._outages != self._database.outages:
            now = {"now": self._clock.now()}
            fetch(connection, statement("tasks/extend_after_outage"), {**now, "grace": self._grace})
            self._resumed_at = fetch(connection, statement("server/now"), now)[0][0]
            self._outages = self._database.outages
        return self._resumed_at
