"""The lookout: while polls wait, finds the ready work that no one announced (SQL enqueue, a server that died)."""

from __future__ import annotations

from fencepost.engine.dispatcher import Dispatcher
from fencepost.store.tasks import TaskStore

_INTERVAL = 1.0
_MANY = 1000


class Lookout:
    """One query a second while polls wait on this server, none while none does."""

    def __init__(self, store: TaskStore, dispatcher: Dispatcher) -> None:
        self._store = store
        self._dispatcher = dispatcher

    async def run_once(self) -> float:
        """Wake the polls that wait for definitions with ready tasks; return the seconds until the next look."""
        if self._dispatcher.definitions:
            for definition, limited in await self._store.ready_definitions(tuple(self._dispatcher.definitions)):
                if limited and definition not in self._store.limits:
                    self._store.limits.forget()
                self._dispatcher.ready(definition, _MANY)
        return _INTERVAL
