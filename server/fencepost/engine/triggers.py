"""Triggers: those that match an event, and the starts that they request.

All triggers are cached until a change is announced. The statement that delivers an event compares the number of
changes, so a stale cache costs one more try.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

from fencepost.domain import lossless_json
from fencepost.domain.document import Definition
from fencepost.domain.event import Event
from fencepost.domain.listing import Portion
from fencepost.domain.matching import matches
from fencepost.domain.trigger import TriggerDefinition
from fencepost.engine.definitions import Definitions
from fencepost.engine.start_requests import prepare
from fencepost.errors import Refusal, invalid_params, path_of
from fencepost.store.events import Choice, Publication
from fencepost.store.start_requests import StartRequest
from fencepost.store.triggers import Counts, Trigger, Triggers, TriggerStart, TriggerStore

_OUR_FAULT = 500


class TriggerStatus(NamedTuple):
    """A trigger, the counts of its starts, and its last starts, the newest first."""

    definition: Definition
    counts: Counts
    starts: Sequence[TriggerStart]


class TriggerRules:
    """The rules of all declared triggers."""

    def __init__(self, store: TriggerStore, definitions: Definitions, *, most_bytes: int) -> None:
        """`most_bytes` limits the parts of a resource in the params of one start."""
        self._store = store
        self._most_bytes = most_bytes
        self._definitions = definitions
        self._known: Triggers | None = None

    async def chosen(self, event: Event, *, caller: str) -> Publication:
        """Return an event with the start of each matching trigger, or the reason why it cannot start."""
        if self._known is None:
            self._known = await self._store.all()
        known = self._known
        choices: list[Choice] = []
        if known.triggers:
            resource = lossless_json.read(event.content)
            fitting = [one for one in known.triggers if matches(one.document.select_by, resource)]
            choices = [await self._choice(one, event, resource, caller) for one in fitting]
        return Publication(event, caller, known.changes, choices)

    async def list(self, *, after: str | None, size: int) -> Portion[Definition]:
        """Return the newest versions, by name."""
        return await self._store.list(after=after, size=size)

    async def status(self, name: str, *, size: int) -> TriggerStatus:
        """Return a trigger and its starts; raise Refusal (`definition-not-found`, `invalid-params`)."""
        definition = await self._definitions.get(name)
        if not isinstance(definition.document, TriggerDefinition):
            raise invalid_params(f"{name!r} is the definition of a {definition.document.kind}", "name")
        return TriggerStatus(
            definition, await self._store.count_starts(name), await self._store.list_starts(name, size=size)
        )

    def forget(self, _: str = "") -> None:
        """Drop the cache; the definition that was put may be a trigger."""
        self._known = None

    async def _choice(self, trigger: Trigger, event: Event, resource: Any, caller: str) -> Choice:
        document = trigger.document
        try:
            start = await self._prepared(document, event, resource, caller)
        except Refusal as refusal:
            if refusal.kind.status >= _OUR_FAULT:
                raise
            where = "" if refusal.field is None else f" (at {path_of(refusal.field)})"
            return Choice(document.name, trigger.version, None, f"{refusal.message}{where}")
        return Choice(document.name, trigger.version, start, None)

    async def _prepared(self, document: TriggerDefinition, event: Event, resource: Any, caller: str) -> StartRequest:
        request = document.requested(resource, most_bytes=self._most_bytes)
        requester = orjson.dumps({"service": "awf/trigger", "rule": document.name, "event": event.id})

        async def prepared() -> StartRequest:
            return await prepare(
                self._definitions, request, is_workflow=document.is_for_workflows, requester=requester, caller=caller
            )

        try:
            return await prepared()
        except Refusal:
            # The cached definition may be stale; without a start, no statement compares its version.
            self._definitions.forget(request.definition)
            return await prepared()
