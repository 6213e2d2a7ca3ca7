"""Watching workflows: who shows what becomes of them looks again when something may have changed.

What this server changes, and what other servers announce, is looked at at once; the rest a moment later. While nobody
watches, nothing is asked.
"""

from __future__ import annotations

import asyncio

# What was begun on another server is announced by nobody.
_AT_MOST = 0.5


class Look:
    """One who watches; use it as `async with`, so that it is forgotten afterwards."""

    def __init__(self, looks: set[Look]) -> None:
        self._looks = looks
        self.changed = asyncio.Event()

    async def __aenter__(self) -> Look:
        """Begin to watch: what changes from here on ends the next wait."""
        self._looks.add(self)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Watch no longer."""
        self._looks.discard(self)

    async def wait(self, seconds: float = _AT_MOST) -> None:
        """Return when something may have changed since the last wait, at the latest in `seconds`."""
        try:
            async with asyncio.timeout(min(seconds, _AT_MOST)):
                await self.changed.wait()
        except TimeoutError:
            pass
        self.changed.clear()


class Watch:
    """Those who watch on this server."""

    def __init__(self) -> None:
        self._looks: set[Look] = set()
        # Whether the server drains: who watches for a client lets it go.
        self.closing = False

    def close(self) -> None:
        """Let everybody look a last time."""
        self.closing = True
        self.nudge()

    def look(self) -> Look:
        """Return a new one."""
        return Look(self._looks)

    def nudge(self, *_: object) -> None:
        """Let everybody look again."""
        for look in self._looks:
            look.changed.set()
