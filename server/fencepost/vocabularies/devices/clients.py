"""What clients are told: every change of every run and its tasks, on this server or any other."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from fencepost.engine.change_feed import ChangeFeed
from fencepost.vocabularies.devices.broadcaster import EventBroadcaster
from fencepost.vocabularies.devices.events import RunEvent

# How often to see whether the server drains.
_MAX_WAIT = 0.5


class Clients:
    """The channel of clients on this server."""

    def __init__(self, broadcaster: EventBroadcaster, changes: ChangeFeed) -> None:
        self._broadcaster = broadcaster
        self._changes = changes

    async def messages(self, *, since: str | None = None) -> AsyncGenerator[RunEvent | None]:
        """Give what happens from now on, or from a moment on, until the server drains; None when nothing did lately.

        The first is always None: by then nothing is missed any more. A piece of news may come twice.
        """
        async with self._broadcaster.listen() as listener:
            yield None
            for news in () if since is None else await self._broadcaster.since(since):
                yield news
            while not (self._changes.closing or listener.overflowed):
                yield await listener.next(_MAX_WAIT)
