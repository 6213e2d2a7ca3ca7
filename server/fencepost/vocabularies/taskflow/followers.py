"""Those who follow a flow: one look at the flow serves all of them, and only what changed wakes them.

A stream that looks by itself costs a statement or two each half second; a page that a hundred people have open keeps
the database busy while nothing happens. Here one look at a flow serves all who follow it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fencepost.engine.watch import Watch
from fencepost.errors import Refusal
from fencepost.vocabularies.taskflow.store import TaskflowStore

# On a busy server something changes all the time.
_PAUSE_SECONDS = 0.02


class Follower:
    """One who follows a flow."""

    def __init__(self) -> None:
        self.changed = asyncio.Event()

    async def wait(self, seconds: float) -> None:
        """Return when the flow may have changed since the last wait, at the latest in `seconds`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.changed.wait()
        self.changed.clear()


class Followers:
    """The followers of this server, by the number of the run that they follow."""

    def __init__(self, store: TaskflowStore, watch: Watch) -> None:
        self._store = store
        self._watch = watch
        self._followers: dict[int, set[Follower]] = {}
        # The loop alone does not keep a task alive.
        self._pollers: dict[int, asyncio.Task[None]] = {}

    @asynccontextmanager
    async def follow(self, seq: int) -> AsyncIterator[Follower]:
        """Give a follower that every change of a run wakes from now on."""
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
        async with self._watch.look() as look:
            while True:
                try:
                    now = await self._store.count_changes(seq)
                except Refusal:
                    # Each follower meets the same when it looks by itself, and says so to its client.
                    now = None
                if now is None or now != known or self._watch.closing:
                    for follower in self._followers[seq]:
                        follower.changed.set()
                known = now
                await look.wait()
                await asyncio.sleep(_PAUSE_SECONDS)
