"""Reads for callers that wait for the end of tasks and workflows: which have ended, and what they are then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fencepost.clock import Clock
from fencepost.domain.ids import seq_of
from fencepost.domain.task import Task
from fencepost.store.database import Database
from fencepost.store.receipts import RECEIPT_AGE, Receipt
from fencepost.store.rows import RESOURCE
from fencepost.store.statements import statement
from fencepost.store.workflows import Found, WorkflowStore

# Receipts that are searched for a task whose execId is not known; each is of one poll.
_NEWEST = 1000


class TaskEnds:
    """Reads tasks for those who wait for them."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def find_ended(self, ids: Sequence[str]) -> list[str]:
        """Return the ids of the tasks that are not live."""
        rows = await self._database.fetch(statement("tasks/find_ended"), _asked(ids))
        return [ids[place] for (place,) in rows]

    async def read(self, ids: Sequence[str]) -> Mapping[str, Task]:
        """Return the tasks that exist, and those that were not kept as far as their receipts know them."""
        found: dict[str, Task] = {}
        missing: list[str] = []
        while ids:
            params = {**_asked(ids), "most_bytes": self._database.answer_bytes}
            rows = await self._database.fetch(statement("tasks/find_many"), params)
            seen = {row[0] for row in rows}
            missing += [id for place, id in enumerate(ids) if place not in seen]
            found |= {ids[row[0]]: Task._make(row[RESOURCE]) for row in rows if row[-1]}
            # The first row always fits, so that each round ends with fewer ids.
            ids = [ids[row[0]] for row in rows if not row[-1]]
        return found | await self._read_receipts(missing) if missing else found

    async def _read_receipts(self, ids: Sequence[str]) -> dict[str, Task]:
        params = {**_asked(ids), "age": RECEIPT_AGE, "newest": _NEWEST, "now": self._clock.now()}
        rows = await self._database.fetch(statement("receipts/find_recent"), params)
        return {ids[place]: Receipt._make(row).task(ids[place], None, None) for place, *row in rows}


class WorkflowEnds:
    """Reads workflows for those who wait for them."""

    def __init__(self, database: Database, store: WorkflowStore) -> None:
        self._database = database
        self._store = store

    async def find_ended(self, ids: Sequence[str]) -> list[str]:
        """Return the ids of the workflows that are not live."""
        rows = await self._database.fetch(statement("workflows/find_ended"), {"ids": list(ids)})
        return [ids[place] for (place,) in rows]

    async def read(self, ids: Sequence[str]) -> Mapping[str, Found]:
        """Return the workflows that exist."""
        found = {id: await self._store.find(id) for id in ids}
        return {id: one for id, one in found.items() if one is not None}


def _asked(ids: Sequence[str]) -> dict[str, Any]:
    return {"ids": list(ids), "seqs": [seq_of(id) for id in ids]}
