"""The feed: whatever happens to runs and their tasks, delivered to all on this server who listen.

While anybody listens, it compares runs with what it has delivered of them, and tells the rest from the log: nothing is
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
from fencepost.vocabularies.devices.events import RunEvent, run_events
from fencepost.vocabularies.devices.runs import Runs
from fencepost.vocabularies.devices.store import ChangedRun, DeviceStore

# How far back to look for runs that are over: what began and ended between two looks may have been committed late.
_OVERLAP = timedelta(minutes=1)
# What one who comes back is delivered again of what was before.
_REPLAY_WINDOW = timedelta(seconds=10)
# No clock of ours was earlier, and there is room before it.
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
# Between two looks, however much is going on.
_MIN_PAUSE = 0.02
# Who is so far behind is let go, and comes back where it was.
_MAX_QUEUED = 10_000
# How long one who comes waits for the first look: as long as a call waits for the database.
_WAIT_LIMIT = 5.0
_MAX_ACTIVITIES = 1_000_000


class Listener:
    """One who listens: to all, or to the runs of one device."""

    def __init__(self, device: str | None) -> None:
        self._device = device
        self._queue: asyncio.Queue[RunEvent] = asyncio.Queue(_MAX_QUEUED)
        # Whether it has to be let go.
        self.overflowed = False

    def deliver(self, news: Iterable[RunEvent]) -> None:
        """Let it hear some news, as far as they are for it."""
        for one in news:
            if self._device in (None, one.event.device_id):
                if self._queue.full():
                    self.overflowed = True
                    return
                self._queue.put_nowait(one)

    async def next(self, seconds: float) -> RunEvent | None:
        """Return the next piece of news, None when there is none for some seconds."""
        try:
            async with asyncio.timeout(seconds):
                return await self._queue.get()
        except TimeoutError:
            return None


class _Delivered(NamedTuple):
    """What was delivered of a run: how far it had changed, whether it was over, and the keys of the news."""

    changes: int
    is_over: bool
    keys: frozenset[str]


class EventBroadcaster:
    """The feed of this server."""

    def __init__(self, store: DeviceStore, workflows: Workflows, runs: Runs, changes: ChangeFeed) -> None:
        self._store = store
        self._workflows = workflows
        self._runs = runs
        self._changes = changes
        self._listeners: set[Listener] = set()
        self._delivered: dict[int, _Delivered] | None = None
        self._started = asyncio.Event()
        self.nudge: Callable[[], None] = lambda: None

    @asynccontextmanager
    async def listen(self, device: str | None = None) -> AsyncIterator[Listener]:
        """Give one who hears all that happens from now on."""
        listener = Listener(device)
        self._listeners.add(listener)
        try:
            if self._delivered is None:
                await self._start()
            yield listener
        finally:
            self._listeners.discard(listener)

    async def _start(self) -> None:
        """Return when whatever happens from now on is delivered; raise Refusal when that cannot be."""
        self.nudge()
        try:
            async with asyncio.timeout(_WAIT_LIMIT):
                await self._started.wait()
        except TimeoutError:
            raise Refusal(UNAVAILABLE, retry_after=1, reason="the database cannot be reached") from None

    async def since(self, moment: str) -> Sequence[RunEvent]:
        """Return what happened since a moment, and shortly before, the oldest first; of the last day at most."""
        begin = max(datetime.fromisoformat(moment), _EARLIEST) - _REPLAY_WINDOW
        runs = await self._store.list_changed_runs(since=(begin - _OVERLAP).isoformat())
        news = [one for run in runs for one in await self._events_of(run)]
        late = [one for one in news if datetime.fromisoformat(one.event.occurred_at) >= begin]
        return sorted(late, key=lambda one: one.event.occurred_at)

    async def run_once(self) -> float:
        """Tell what has happened since the last time, and wait for more; return the seconds until the next time."""
        if not self._listeners:
            self._delivered = None
            self._started.clear()
            return math.inf
        if self._changes.closing:
            # Who has come after all is let go at once.
            self._started.set()
            return 1.0
        async with self._changes.watcher() as watcher:
            await self._poll()
            while self._listeners and not self._changes.closing:
                await watcher.wait()
                await self._poll()
                await asyncio.sleep(_MIN_PAUSE)
        return 0.0

    async def _poll(self) -> None:
        delivered = self._delivered
        live = [seq for seq, one in (delivered or {}).items() if not one.is_over]
        now: dict[int, _Delivered] = {}
        for changed in await self._store.list_changed_runs(seqs=live):
            before = None if delivered is None else delivered.get(changed.seq)
            if before is not None and before.changes == changed.changes:
                now[changed.seq] = before
                continue
            news = await self._events_of(changed)
            keys = frozenset(one.key for one in news)
            now[changed.seq] = _Delivered(changed.changes, changed.run.status == "done", keys)
            # Those who came first have heard of nothing yet, and what was before they came is not for them.
            if delivered is not None:
                known = frozenset() if before is None else before.keys
                fresh = [one for one in news if one.key not in known]
                for listener in self._listeners:
                    listener.deliver(fresh)
        self._delivered = now
        self._started.set()

    async def _events_of(self, changed: ChangedRun) -> list[RunEvent]:
        run = changed.run
        device = await self._runs.device_of(run)
        if device is None:
            return []
        held, _ = await self._workflows.activities(changed.seq, size=_MAX_ACTIVITIES)
        entries = await self._workflows.entries(changed.seq)
        return run_events(run, device, [one.task for one in held], [labelled.entry for labelled in entries])
