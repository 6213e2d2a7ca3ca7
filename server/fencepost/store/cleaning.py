"""Deletes history by rule, in batches; each is a transaction, and a run that is interrupted can be repeated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from fencepost.clock import Clock
from fencepost.store.database import Database
from fencepost.store.statements import statement

# Rows read and rows deleted in one batch, which takes a few milliseconds.
_LOOKED_AT = 2000
_DELETED = 500


class Old(NamedTuple):
    """The rows that a rule matches: ended `age` (an interval as text) before `now`, of some definitions.

    `include` None means any definition, `exclude` None that none is left out.
    """

    age: str
    now: str
    include: Sequence[str] | None
    exclude: Sequence[str] | None


class CleaningStore:
    """Runs the statements of sql/queries/cleaning."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def now(self) -> str:
        """Return the database's time."""
        return str((await self._database.fetch(statement("server/now"), {"now": self._clock.now()}))[0][0])

    async def delete_tasks(self, old: Old, *, after: int) -> tuple[int | None, int, int]:
        """Read a batch of old tasks and delete those that match.

        Returns the next `after`, None after the last batch, and the numbers of deleted tasks and log entries.
        """
        params = {**old._asdict(), "after": after, "batch": _LOOKED_AT}
        last, tasks, entries = (await self._database.fetch(statement("cleaning/delete_tasks"), params))[0]
        return last, tasks, entries

    async def find_workflows(self, old: Old, *, after: int) -> tuple[int | None, list[int]]:
        """Read a batch of old workflows; return the next `after` and the seqs to delete, children before parents."""
        params = {**old._asdict(), "after": after, "batch": _LOOKED_AT}
        last, seqs = (await self._database.fetch(statement("cleaning/find_workflows"), params))[0]
        return last, seqs

    async def delete_activities(self, workflows: Sequence[int]) -> tuple[int, int]:
        """Delete a batch of tasks of workflows; return the numbers of deleted tasks and log entries."""
        params = {"workflows": list(workflows), "batch": _DELETED}
        tasks, entries = (await self._database.fetch(statement("cleaning/delete_activities"), params))[0]
        return tasks, entries

    async def delete_labels(self, workflows: Sequence[int]) -> int:
        """Delete a batch of labels and signals of workflows; return the number deleted."""
        params = {"workflows": list(workflows), "batch": _DELETED}
        return int((await self._database.fetch(statement("cleaning/delete_labels"), params))[0][0])

    async def delete_workflows(self, workflows: Sequence[int]) -> int:
        """Delete workflows that have no tasks, labels or signals left; return the number deleted."""
        params = {"workflows": list(workflows)}
        return int((await self._database.fetch(statement("cleaning/delete_workflows"), params))[0][0])
