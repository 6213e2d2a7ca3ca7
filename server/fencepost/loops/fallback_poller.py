"""The fallback poller: one query that finds ready work and deadlines that no notification announced.

These are tasks that SQL inserted, and those of a server that died before it announced them. The query runs about once a
second while polls of clients wait here, and otherwise every five seconds, for deadlines and for built-in tasks. It is
the only query of an idle server.
"""

from __future__ import annotations

from fencepost.engine.dispatcher import Dispatcher
from fencepost.engine.wakeups import Wakeups
from fencepost.store.tasks import TaskStore

# More than a second: together with its other loops, an idle server runs less than one query a second.
_INTERVAL = 1.2
_LONGEST_INTERVAL = 5.0
_MANY = 1000


class FallbackPoller:
    """Peeks into the database for the polls that wait on this server, and for the reaper."""

    def __init__(self, store: TaskStore, dispatcher: Dispatcher, wakeups: Wakeups) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._wakeups = wakeups
        self._unseen = 0.0

    async def run_once(self) -> float:
        """Wake the polls for which tasks are ready, announce the next deadline, and return the pause in seconds."""
        definitions = tuple(self._dispatcher.definitions)
        self._unseen -= _INTERVAL
        if self._dispatcher.waiting or self._unseen <= 0:
            self._unseen = _LONGEST_INTERVAL
            backlog = await self._store.peek(definitions)
            for definition, limited in backlog.ready:
                if limited and definition not in self._store.limits:
                    self._store.limits.forget()
                self._dispatcher.ready(definition, _MANY)
            if backlog.due_in is not None:
                self._wakeups.deadline(backlog.due_in)
        return _INTERVAL
