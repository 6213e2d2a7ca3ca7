"""History that goes by rule: each step a transaction of its own, from whose end the next run goes on as well."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from fencepost.clock import Clock
from fencepost.store.database import Database
from fencepost.store.statements import statement

# Of one step: few milliseconds each.
_LOOKED_AT = 2000
_DELETED = 500


class Old(NamedTuple):
    """What a rule takes for old: what ended `age` (an interval's text) before `now`, of some definitions.

    None stands for any definition, and for none that is left out.
    """

    age: str
    now: str
    include: Sequence[str] | None
    exclude: Sequence[str] | None


class CleaningStore:
    """The statements of sql/queries/cleaning."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def now(self) -> str:
        """Return the database's time."""
        return str((await self._database.fetch(statement("server/now"), {"now": self._clock.now()}))[0][0])

    async def delete_tasks(self, old: Old, *, after: int) -> tuple[int | None, int, int]:
        """Look at a batch of old tasks and delete some; return the next `after`, and how many tasks and log entries.

        The next `after` is None when there are no more.
        """
        params = {**old._asdict(), "after": after, "batch": _LOOKED_AT}
        last, tasks, entries = (await self._database.fetch(statement("cleaning/delete_tasks"), params))[0]
        return last, tasks, entries

    async def find_workflows(self, old: Old, *, after: int) -> tuple[int | None, list[int]]:
        """Look at a batch of old workflows; return the next `after`, and those to delete, children before parents."""
        params = {**old._asdict(), "after": after, "batch": _LOOKED_AT}
        last, seqs = (await self._database.fetch(statement("cleaning/find_workflows"), params))[0]
        return last, seqs

    async def delete_activities(self, workflows: Sequence[int]) -> tuple[int, int]:
        """Delete a batch of the tasks of workflows; return how many tasks and log entries."""
        params = {"workflows": list(workflows), "batch": _DELETED}
        tasks, entries = (await self._database.fetch(statement("cleaning/delete_activities"), params))[0]
        return tasks, entries

    async def delete_labels(self, workflows: Sequence[int]) -> int:
        """Delete a batch of the labels and signals of workflows; return how many."""
        params = {"workflows": list(workflows), "batch": _DELETED}
        return int((await self._database.fetch(statement("cleaning/delete_labels"), params))[0][0])

    async def delete_workflows(self, workflows: Sequence[int]) -> int:
        """Delete workflows of which nothing else is left; return how many."""
        params = {"workflows": list(workflows)}
        return int((await self._database.fetch(statement("cleaning/delete_workflows"), params))[0][0])
