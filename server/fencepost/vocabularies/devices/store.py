"""The statements of devices, each as a method with its name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from fencepost.clock import Clock
from fencepost.domain.listing import Portion
from fencepost.domain.task import Task
from fencepost.domain.transitions import LIVE
from fencepost.domain.workflow import Workflow
from fencepost.store.batches import Wakeup
from fencepost.store.connection import Connection, fetch
from fencepost.store.database import Database
from fencepost.store.statements import statement
from fencepost.store.transitions_by_id import TransitionCall, apply


class Device(NamedTuple):
    """A device; `info` is JSON text, `task_id` the last task that was sent over its channel, `due_at` its deadline."""

    name: str
    info: bytes
    seen_at: str | None
    due_at: str | None
    task_id: str | None
    created_at: str


class ChangedRun(NamedTuple):
    """A run with its number; `changes` grows with each change of the run or of its tasks."""

    seq: int
    changes: int
    run: Workflow


class DeviceStore:
    """The statements of sql/queries/devices.

    A watched device expires after `silence_seconds` without a heartbeat. After an outage of the database, in which no
    heartbeat could be recorded, each deadline starts again.
    """

    def __init__(self, database: Database, clock: Clock, *, silence_seconds: float) -> None:
        self.silence_seconds = silence_seconds
        # The size of one page of runs.
        self.answer_bytes = database.answer_bytes
        self._database = database
        self._clock = clock
        self._silence_ms = round(silence_seconds * 1000)
        self._outages = -1

    async def put(self, name: str, info: bytes) -> Device:
        """Register a device, or replace its info."""
        params = {"name": name, "info": info.decode(), "now": self._clock.now()}
        return Device._make((await self._database.fetch(statement("devices/put"), params))[0])

    async def find(self, name: str) -> Device | None:
        """Return a device, None for an unknown one."""
        rows = await self._database.fetch(statement("devices/find"), {"name": name})
        return Device._make(rows[0]) if rows else None

    async def list(self, *, after: str | None, size: int) -> Portion[Device]:
        """Return devices in the order of their names, after the name `after`."""
        page = await self._database.reads.page(statement("devices/list"), {"after": after}, size=size)
        return Portion([Device._make(row) for row in page.items], page.more)

    async def heartbeat(self, name: str, *, watch: bool, task_id: str | None = None) -> None:
        """Record a heartbeat; with `watch`, the device gets a deadline for the next one."""
        params = {"name": name, "watch": watch, "task_id": task_id, "silence": self._silence_ms}
        await self._database.fetch(statement("devices/heartbeat"), {**params, "now": self._clock.now()})

    async def expire(self, size: int, *, caller: str, content: Callable[[Task], bytes]) -> tuple[int, Sequence[Wakeup]]:
        """Expire at most `size` devices with a passed deadline and fail their live tasks; return their number.

        `content` returns the error of a task, as JSON text.
        """
        now = self._clock.now()

        def job(connection: Connection) -> tuple[int, Sequence[Wakeup]]:
            self._extend_all(connection)
            with connection.transaction():
                expired = [
                    name for (name,) in fetch(connection, statement("devices/expire"), {"size": size, "now": now})
                ]
                calls = [
                    TransitionCall(
                        id=task.id,
                        verb="fail",
                        allowed=LIVE,
                        caller=caller,
                        content=content(task),
                        checked=task.definition_version,
                    )
                    for task in _tasks(connection, expired)
                ]
                return len(expired), apply(connection, calls, now).wakeups if calls else ()

        return await self._database.run(job)

    async def next_due(self) -> float | None:
        """Return the seconds until the next deadline, negative when it has passed, None without one."""

        def job(connection: Connection) -> float | None:
            self._extend_all(connection)
            due_in: float | None = fetch(connection, statement("devices/next_due"), {"now": self._clock.now()})[0][0]
            return due_in

        return await self._database.run(job)

    async def list_tasks(self, *devices: str) -> Sequence[Task]:
        """Return the live tasks of devices."""
        return await self._database.run(lambda connection: _tasks(connection, devices))

    async def list_changed_runs(self, *, since: str | None = None, seqs: Iterable[int] = ()) -> Sequence[ChangedRun]:
        """Return live runs, runs that ended since a time (ISO-8601; default one minute ago), and those in `seqs`."""
        params = {"since": since, "seqs": [*seqs], "now": self._clock.now()}
        rows = await self._database.fetch(statement("devices/list_changed_runs"), params)
        return [ChangedRun(row[0], row[1], Workflow._make(row[2:])) for row in rows]

    def _extend_all(self, connection: Connection) -> None:
        """Extend all deadlines after an outage. Part of each job: a job that met an outage runs again after it."""
        if self._outages != self._database.outages:
            fetch(connection, statement("devices/extend_all"), {"silence": self._silence_ms, "now": self._clock.now()})
            self._outages = self._database.outages


def _tasks(connection: Connection, devices: Sequence[str]) -> list[Task]:
    return [Task._make(row) for row in fetch(connection, statement("devices/list_tasks"), {"devices": list(devices)})]
