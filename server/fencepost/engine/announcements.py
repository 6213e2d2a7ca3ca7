"""Announcements between servers: each one clears caches of this server and wakes its waiting polls and loops."""

from __future__ import annotations

from collections.abc import Callable

from fencepost.engine.change_feed import ChangeFeed
from fencepost.engine.definitions import Definitions
from fencepost.engine.dispatcher import Dispatcher
from fencepost.engine.ends import Ends
from fencepost.engine.triggers import TriggerRules
from fencepost.store.limits import Limits
from fencepost.store.notifications import News


class Announcements:
    """Applies the changes of this server and of others to what this server keeps in memory.

    `on_definition` is called when a definition may have changed, `on_connected` when anything may have.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        changes: ChangeFeed,
        definitions: Definitions,
        triggers: TriggerRules,
        limits: Limits,
        ends: Ends,
        *,
        on_definition: Callable[[], None],
        on_connected: Callable[[], None],
    ) -> None:
        self._dispatcher = dispatcher
        self._changes = changes
        self._definitions = definitions
        self._triggers = triggers
        self._limits = limits
        self._ends = ends
        self._on_definition = on_definition
        self._on_connected = on_connected

    def definition(self, name: str) -> None:
        """Forget the caches of a definition."""
        self._definitions.forget(name)
        self._triggers.forget(name)
        self._limits.forget()
        self._on_definition()

    def heard(self, news: News) -> None:
        """Apply the changes that another server announced."""
        for definition, count in news.ready.items():
            self._dispatcher.ready(definition, count)
        self._changes.announce()
        self._ends.heard(news.awaited, news.ended, news.ended_of)
        for name in news.definitions:
            self.definition(name)

    def connected(self) -> None:
        """Forget everything: announcements may have been missed while the connection was away."""
        self._definitions.forget_all()
        self._triggers.forget()
        self._limits.forget()
        self._on_definition()
        self._on_connected()
