"""The statements about triggers, each a method of the same name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from fencepost.domain.document import Definition
from fencepost.domain.listing import Portion
from fencepost.domain.trigger import TriggerDefinition
from fencepost.store.database import Database
from fencepost.store.statements import statement


class Trigger(NamedTuple):
    """The newest version of a trigger."""

    version: int
    document: TriggerDefinition


class Triggers(NamedTuple):
    """All triggers after a number of changes."""

    changes: int
    triggers: Sequence[Trigger]


class TriggerStart(NamedTuple):
    """A start of a trigger for an event: a reference to the started task or workflow (JSON text), or a reason."""

    source: str | None
    id: str
    at: str
    version: int
    status: str
    reference: bytes | None
    reason: str | None


class Counts(NamedTuple):
    """How often a trigger started a task or workflow, and how often it skipped an event."""

    started: int
    skipped: int


class TriggerStore:
    """Runs the statements of sql/queries/triggers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> Triggers:
        """Return all triggers."""
        rows = await self._database.fetch(statement("triggers/all"), {})
        found = []
        for _, name, version, text in rows:
            if name is not None:
                found.append(Trigger(version, _triggers.decode(text)))
        return Triggers(rows[0][0], found)

    async def list(self, *, after: str | None, size: int) -> Portion[Definition]:
        """Return the newest version of each trigger, by name, after the name `after`."""
        page = await self._database.reads.page(statement("triggers/list"), {"after": after}, size=size)
        found = [
            Definition(name, version, text, created_at, _triggers.decode(text))
            for name, version, _kind, text, created_at in page.items
        ]
        return Portion(found, page.more)

    async def list_starts(self, name: str, *, size: int) -> Sequence[TriggerStart]:
        """Return the last starts of a trigger, newest first."""
        rows = await self._database.reads.fetch(statement("triggers/list_starts"), {"name": name, "size": size})
        return [TriggerStart._make(row) for row in rows]

    async def count_starts(self, name: str) -> Counts:
        """Return the counts of a trigger, as far as its history is kept."""
        rows = await self._database.reads.fetch(statement("triggers/count_starts"), {"name": name})
        return Counts._make(rows[0])


_triggers = msgspec.json.Decoder(TriggerDefinition)
