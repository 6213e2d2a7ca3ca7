"""The event stream of clients: every change of every run and its tasks, from any server."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from fencepost.engine.change_feed import ChangeFeed
from fencepost.vocabularies.devices.broadcaster import EventBroadcaster
from fencepost.vocabularies.devices.events import RunEvent

# Seconds between two checks whether the server drains.
_MAX_WAIT = 0.5


class Clients:
    """The event streams of clients on this server."""

    def __init__(self, broadcaster: EventBroadcaster, changes: ChangeFeed) -> None:
        self._broadcaster = broadcaster
        self._changes = changes

    async def messages(self, *, since: str | None = None) -> AsyncGenerator[RunEvent | None]:
        """Yield events from now on, or since a moment (ISO-8601), until the server drains; None when there was none.

        The first item is always None: from then on no event is missed. An event may arrive twice.
        """
        async with self._broadcaster.listen() as listener:
            yield None
            for event in () if since is None else await self._broadcaster.since(since):
                yield event
            while not (self._changes.closing or listener.overflowed):
                yield await listener.next(_MAX_WAIT)
