"""Every statement about triggers, as a method of its name."""

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
    """All triggers, as they were behind so many changes."""

    changes: int
    triggers: Sequence[Trigger]


class TriggerStart(NamedTuple):
    """What a trigger did for an event: a reference to what it started, JSON text, or the reason why it did not."""

    source: str | None
    id: str
    at: str
    version: int
    status: str
    reference: bytes | None
    reason: str | None


class Counts(NamedTuple):
    """How often a trigger started something, and how often it could not."""

    started: int
    skipped: int


class TriggerStore:
    """The statements of sql/queries/triggers."""

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
        """Return the newest versions, by name, behind the name `after`."""
        page = await self._database.reads.page(statement("triggers/list"), {"after": after}, size=size)
        found = [
            Definition(name, version, text, created_at, _triggers.decode(text))
            for name, version, _kind, text, created_at in page.items
        ]
        return Portion(found, page.more)

    async def list_starts(self, name: str, *, size: int) -> Sequence[TriggerStart]:
        """Return what a trigger did last, the newest first."""
        rows = await self._database.reads.fetch(statement("triggers/list_starts"), {"name": name, "size": size})
        return [TriggerStart._make(row) for row in rows]

    async def count_starts(self, name: str) -> Counts:
        """Return how often a trigger did something, as far as it is kept."""
        rows = await self._database.reads.fetch(statement("triggers/count_starts"), {"name": name})
        return Counts._make(rows[0])


_triggers = msgspec.json.Decoder(TriggerDefinition)
