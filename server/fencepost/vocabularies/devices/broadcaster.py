"""Broadcasts the events of runs and their tasks to the listeners on this server.

While there is a listener, it compares changed runs with the events that it has delivered, and reads the missing ones
from the log: events of other servers are included. Without a listener it runs no query.
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

# How far back to read ended runs: a run that began and ended between two polls may have committed late.
_OVERLAP = timedelta(minutes=1)
# How far back the stream of a reconnecting client is replayed.
_REPLAY_WINDOW = timedelta(seconds=10)
# Lower bound of `since`, so that subtracting a window cannot leave the range of datetime.
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
# Shortest time between two polls, in seconds.
_MIN_PAUSE = 0.02
# A listener this far behind is disconnected; it resumes from its last event id.
_MAX_QUEUED = 10_000
# Seconds that a new listener waits for the first poll: as long as a call waits for the database.
_WAIT_LIMIT = 5.0
_MAX_ACTIVITIES = 1_000_000


class Listener:
    """One stream of events: of all devices, or of one device."""

    def __init__(self, device: str | None) -> None:
        self._device = device
        self._queue: asyncio.Queue[RunEvent] = asyncio.Queue(_MAX_QUEUED)
        # Whether the queue was full: the stream has to end.
        self.overflowed = False

    def deliver(self, events: Iterable[RunEvent]) -> None:
        """Queue the events of the listener's device."""
        for event in events:
            if self._device in (None, event.client_event.device_id):
                if self._queue.full():
                    self.overflowed = True
                    return
                self._queue.put_nowait(event)

    async def next(self, seconds: float) -> RunEvent | None:
        """Return the next event, None when there is none within `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                return await self._queue.get()
        except TimeoutError:
            return None


class _Delivered(NamedTuple):
    """The delivered part of a run: its change count, whether it had ended, and the keys of its events."""

    changes: int
    is_over: bool
    keys: frozenset[str]


class EventBroadcaster:
    """The broadcaster of this server."""

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
        """Give a listener that receives all later events; raise Refusal (`unavailable`) without the database."""
        listener = Listener(device)
        self._listeners.add(listener)
        try:
            if self._delivered is None:
                await self._start()
            yield listener
        finally:
            self._listeners.discard(listener)

    async def _start(self) -> None:
        """Wait for the first poll: later events are delivered. Raises Refusal (`unavailable`) after `_WAIT_LIMIT`."""
        self.nudge()
        try:
            async with asyncio.timeout(_WAIT_LIMIT):
                await self._started.wait()
        except TimeoutError:
            raise Refusal(UNAVAILABLE, retry_after=1, reason="the database cannot be reached") from None

    async def since(self, moment: str) -> Sequence[RunEvent]:
        """Return the events since a moment (ISO-8601) less the replay window, the oldest first; one day at most."""
        begin = max(datetime.fromisoformat(moment), _EARLIEST) - _REPLAY_WINDOW
        runs = await self._store.list_changed_runs(since=(begin - _OVERLAP).isoformat())
        events = [one for run in runs for one in await self._events_of(run)]
        late = [one for one in events if datetime.fromisoformat(one.client_event.occurred_at) >= begin]
        return sorted(late, key=lambda one: one.client_event.occurred_at)

    async def run_once(self) -> float:
        """Deliver events until the last listener has left; return the seconds until the next call."""
        if not self._listeners:
            self._delivered = None
            self._started.clear()
            return math.inf
        if self._changes.closing:
            # A listener that arrives while the server drains must not wait for a first poll.
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
            events = await self._events_of(changed)
            keys = frozenset(one.key for one in events)
            now[changed.seq] = _Delivered(changed.changes, changed.run.status == "done", keys)
            # The first poll only records the events so far: listeners receive later ones.
            if delivered is not None:
                known = frozenset() if before is None else before.keys
                fresh = [one for one in events if one.key not in known]
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
