"""The change feed: wakes the watchers of workflows on this server when something may have changed.

A watcher of an event stream reads the database again after each wake-up. Changes of this server and changes that other
servers announce wake it at once; it also wakes after half a second, for the changes that no server announces. Without
watchers, no query runs.
"""

from __future__ import annotations

import asyncio

# The start of a task on another server is not announced.
_LONGEST_WAIT = 0.5


class Watcher:
    """One subscriber of the feed, from `async with` until its block ends."""

    def __init__(self, watchers: set[Watcher]) -> None:
        self._watchers = watchers
        self.changed = asyncio.Event()

    async def __aenter__(self) -> Watcher:
        """Subscribe: a change from here on ends the next wait."""
        self._watchers.add(self)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Unsubscribe."""
        self._watchers.discard(self)

    async def wait(self, seconds: float = _LONGEST_WAIT) -> None:
        """Return when something may have changed since the last wait, at the latest in `seconds`."""
        try:
            async with asyncio.timeout(min(seconds, _LONGEST_WAIT)):
                await self.changed.wait()
        except TimeoutError:
            pass
        self.changed.clear()


class ChangeFeed:
    """The watchers of this server."""

    def __init__(self) -> None:
        self._watchers: set[Watcher] = set()
        # True while the server drains: each stream ends after its next read.
        self.closing = False

    def close(self) -> None:
        """Wake all watchers for the last time."""
        self.closing = True
        self.announce()

    def watcher(self) -> Watcher:
        """Return a new watcher."""
        return Watcher(self._watchers)

    def announce(self, *_: object) -> None:
        """Wake all watchers, since something may have changed."""
        for watcher in self._watchers:
            watcher.changed.set()
