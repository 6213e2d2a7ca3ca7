"""The lookout: one query that sees what no one announced (SQL enqueue, a deadline or work of a server that died).

While polls of others wait here it looks about once a second, for the sake of their work; otherwise every five seconds,
for the sake of deadlines and of the server's own tasks. It is the only query of an idle server.
"""

from __future__ import annotations

from fencepost.engine.dispatcher import Dispatcher
from fencepost.engine.hints import Hints
from fencepost.store.tasks import TaskStore

# More than a second, so that an idle server asks less than once in one, with the looks of its other loops.
_INTERVAL = 1.2
_LONGEST_INTERVAL = 5.0
_MANY = 1000


class Lookout:
    """Looks for the polls that wait on this server, and for the reaper."""

    def __init__(self, store: TaskStore, dispatcher: Dispatcher, hints: Hints) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._hints = hints
        self._unseen = 0.0

    async def run_once(self) -> float:
        """Wake polls that wait for definitions with ready tasks, tell of the next deadline, and return the pause."""
        definitions = tuple(self._dispatcher.definitions)
        self._unseen -= _INTERVAL
        if self._dispatcher.waiting or self._unseen <= 0:
            self._unseen = _LONGEST_INTERVAL
            sight = await self._store.peek(definitions)
            for definition, limited in sight.ready:
                if limited and definition not in self._store.limits:
                    self._store.limits.forget()
                self._dispatcher.ready(definition, _MANY)
            if sight.due_in is not None:
                self._hints.deadline(sight.due_in)
        return _INTERVAL
