"""Events: each is accepted once, with everything that it causes."""

from __future__ import annotations

from collections.abc import Sequence

from fencepost.domain.event import Event, Outcome
from fencepost.engine.definitions import Definitions
from fencepost.engine.outcomes import TRIES, Outcomes, gather, too_contended
from fencepost.engine.triggers import TriggerRules
from fencepost.store.events import EventStore
from fencepost.store.start_requests import StaleDefinition


class Events:
    """Accepts events."""

    def __init__(self, store: EventStore, triggers: TriggerRules, definitions: Definitions) -> None:
        self._store = store
        self._triggers = triggers
        self._definitions = definitions

    async def publish(self, events: Sequence[Event], *, caller: str) -> Outcomes[Outcome]:
        """Publish events in order; a repeated event has the outcome of the first time.

        Raises nothing; an outcome is an exception for a refused event (`already-exists`) or a failed statement.
        """
        chosen = await gather(self._triggers.chosen(event, caller=caller) for event in events)
        published = iter(await self._store.publish([one for one in chosen if not isinstance(one, Exception)]))
        outcomes = [one if isinstance(one, Exception) else next(published) for one in chosen]
        return await gather(
            self._retry_on_conflict(event, outcome, caller) for event, outcome in zip(events, outcomes, strict=True)
        )

    async def _retry_on_conflict(self, event: Event, outcome: Outcome | Exception, caller: str) -> Outcome:
        """Return the outcome; try again while triggers or definitions change."""
        for _ in range(TRIES):
            if not isinstance(outcome, Exception):
                return outcome
            if not isinstance(outcome, StaleDefinition):
                raise outcome
            self._triggers.forget()
            self._definitions.forget_all()
            (outcome,) = await self._store.publish([await self._triggers.chosen(event, caller=caller)])
        raise too_contended("a trigger, or the definition that it starts,")
