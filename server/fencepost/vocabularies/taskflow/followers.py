"""Followers of flows: one poll of a flow serves all streams of it on this server, and only a change wakes them.

A stream that polls by itself costs a statement or two each half second, so that a page open in a hundred browsers keeps
the database busy while nothing happens.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fencepost.engine.change_feed import ChangeFeed
from fencepost.errors import Refusal
from fencepost.vocabularies.taskflow.store import TaskflowStore

# Shortest time between two polls: on a busy server the change feed wakes a poller all the time.
_PAUSE_SECONDS = 0.02


class Follower:
    """One stream that follows a run of a flow."""

    def __init__(self) -> None:
        self.changed = asyncio.Event()

    async def wait(self, seconds: float) -> None:
        """Wait until the flow may have changed since the last call, at most `seconds`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.changed.wait()
        self.changed.clear()


class Followers:
    """The followers on this server, by the number of the run."""

    def __init__(self, store: TaskflowStore, changes: ChangeFeed) -> None:
        self._store = store
        self._changes = changes
        self._followers: dict[int, set[Follower]] = {}
        # References: the event loop alone does not keep a task alive.
        self._pollers: dict[int, asyncio.Task[None]] = {}

    @asynccontextmanager
    async def follow(self, seq: int) -> AsyncIterator[Follower]:
        """Give a follower that every change of the run `seq` wakes."""
        follower = Follower()
        self._followers.setdefault(seq, set()).add(follower)
        if seq not in self._pollers:
            self._pollers[seq] = asyncio.create_task(self._poll(seq))
        try:
            yield follower
        finally:
            self._followers[seq].discard(follower)
            if not self._followers[seq]:
                del self._followers[seq]
                self._pollers.pop(seq).cancel()

    async def _poll(self, seq: int) -> None:
        known: tuple[str | None, int] | None = None
        async with self._changes.watcher() as watcher:
            while True:
                try:
                    now = await self._store.count_changes(seq)
                except Refusal:
                    # Each follower gets the same refusal from its own read, and reports it to its client.
                    now = None
                if now is None or now != known or self._changes.closing:
                    for follower in self._followers[seq]:
                        follower.changed.set()
                known = now
                await watcher.wait()
                await asyncio.sleep(_PAUSE_SECONDS)
