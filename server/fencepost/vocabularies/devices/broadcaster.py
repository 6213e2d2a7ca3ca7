"""The feed: whatever happens to runs and their tasks, told to all on this server who listen.

While anybody listens, it compares runs with what it has told of them, and tells the rest from the log: nothing is
passed over, whatever server it happened on. While nobody does, it asks nothing.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from fencepost.engine.change_feed import ChangeFeed
from fencepost.engine.workflows import Workflows
from fencepost.errors import UNAVAILABLE, Refusal
from fencepost.vocabularies.devices.events import News, news_of
from fencepost.vocabularies.devices.runs import Runs
from fencepost.vocabularies.devices.store import Changed, DeviceStore

# How far back to look for runs that are over: what began and ended between two looks may have been committed late.
_OVERLAP = timedelta(minutes=1)
# What one who comes back is told again of what was before.
_AGAIN = timedelta(seconds=10)
# No clock of ours was earlier, and there is room before it.
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
# Between two looks, however much is going on.
_SHORTEST_PAUSE = 0.02
# Who is so far behind is let go, and comes back where it was.
_MOST_WAITING = 10_000
# How long one who comes waits for the first look: as long as a call waits for the database.
_PATIENCE = 5.0
_ALL = 1_000_000


class Listener:
    """One who listens: to all, or to the runs of one device."""

    def __init__(self, device: str | None) -> None:
        self._device = device
        self._queue: asyncio.Queue[News] = asyncio.Queue(_MOST_WAITING)
        # Whether it has to be let go.
        self.lost = False

    def tell(self, news: Iterable[News]) -> None:
        """Let it hear some news, as far as they are for it."""
        for one in news:
            if self._device in (None, one.event.device_id):
                if self._queue.full():
                    self.lost = True
                    return
                self._queue.put_nowait(one)

    async def next(self, seconds: float) -> News | None:
        """Return the next piece of news, None when there is none for some seconds."""
        try:
            async with asyncio.timeout(seconds):
                return await self._queue.get()
        except TimeoutError:
            return None


class _Told(NamedTuple):
    """What was told of a run: how far it had changed, whether it was over, and the keys of the news."""

    changes: int
    is_over: bool
    keys: frozenset[str]


class Feed:
    """The feed of this server."""

    def __init__(self, store: DeviceStore, workflows: Workflows, runs: Runs, changes: ChangeFeed) -> None:
        self._store = store
        self._workflows = workflows
        self._runs = runs
        self._changes = changes
        self._listeners: set[Listener] = set()
        self._told: dict[int, _Told] | None = None
        self._began = asyncio.Event()
        self.nudge: Callable[[], None] = lambda: None

    @asynccontextmanager
    async def listen(self, device: str | None = None) -> AsyncIterator[Listener]:
        """Give one who hears all that happens from now on."""
        listener = Listener(device)
        self._listeners.add(listener)
        try:
            if self._told is None:
                await self._begin()
            yield listener
        finally:
            self._listeners.discard(listener)

    async def _begin(self) -> None:
        """Return when whatever happens from now on is told; raise Refusal when that cannot be."""
        self.nudge()
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._began.wait()
        except TimeoutError:
            raise Refusal(UNAVAILABLE, retry_after=1, reason="the database cannot be reached") from None

    async def since(self, moment: str) -> Sequence[News]:
        """Return what happened since a moment, and shortly before, the oldest first; of the last day at most."""
        begin = max(datetime.fromisoformat(moment), _EARLIEST) - _AGAIN
        runs = await self._store.list_changed_runs(since=(begin - _OVERLAP).isoformat())
        news = [one for run in runs for one in await self._news(run)]
        late = [one for one in news if datetime.fromisoformat(one.event.occurred_at) >= begin]
        return sorted(late, key=lambda one: one.event.occurred_at)

    async def run_once(self) -> float:
        """Tell what has happened since the last time, and wait for more; return the seconds until the next time."""
        if not self._listeners:
            self._told = None
            self._began.clear()
            return math.inf
        if self._changes.closing:
            # Who has come after all is let go at once.
            self._began.set()
            return 1.0
        async with self._changes.watcher() as watcher:
            await self._look()
            while self._listeners and not self._changes.closing:
                await watcher.wait()
                await self._look()
                await asyncio.sleep(_SHORTEST_PAUSE)
        return 0.0

    async def _look(self) -> None:
        told = self._told
        live = [seq for seq, one in (told or {}).items() if not one.is_over]
        now: dict[int, _Told] = {}
        for changed in await self._store.list_changed_runs(seqs=live):
            before = None if told is None else told.get(changed.seq)
            if before is not None and before.changes == changed.changes:
                now[changed.seq] = before
                continue
            news = await self._news(changed)
            keys = frozenset(one.key for one in news)
            now[changed.seq] = _Told(changed.changes, changed.run.status == "done", keys)
            # Those who came first have heard of nothing yet, and what was before they came is not for them.
            if told is not None:
                known = frozenset() if before is None else before.keys
                fresh = [one for one in news if one.key not in known]
                for listener in self._listeners:
                    listener.tell(fresh)
        self._told = now
        self._began.set()

    async def _news(self, changed: Changed) -> list[News]:
        run = changed.run
        device = await self._runs.device_of(run)
        if device is None:
            return []
        held, _ = await self._workflows.activities(changed.seq, size=_ALL)
        entries = await self._workflows.entries(changed.seq)
        return news_of(run, device, [one.task for one in held], [labelled.entry for labelled in entries])
