"""Everything that an edge may ask for about devices."""

from __future__ import annotations

from typing import NamedTuple

from fencepost.engine.deciders import Deciders
from fencepost.engine.definitions import Definitions
from fencepost.engine.devices.channel import Channels
from fencepost.engine.devices.clients import Clients
from fencepost.engine.devices.feed import Feed
from fencepost.engine.devices.known import Known
from fencepost.engine.devices.runs import Runs
from fencepost.engine.hands import Hands
from fencepost.engine.hints import Hints
from fencepost.engine.tasks import Tasks
from fencepost.engine.watch import Watch
from fencepost.engine.workflows import Workflows
from fencepost.settings import DeviceSettings
from fencepost.store.devices import DeviceStore


class Queue(NamedTuple):
    """What of the queue they stand on."""

    tasks: Tasks
    workflows: Workflows
    definitions: Definitions
    hands: Hands
    deciders: Deciders
    watch: Watch


class Devices(NamedTuple):
    """The use cases, by noun."""

    runs: Runs
    known: Known
    feed: Feed
    channels: Channels
    clients: Clients

    @classmethod
    def over(cls, store: DeviceStore, settings: DeviceSettings, hints: Hints, queue: Queue) -> Devices:
        """Put them together."""
        known = Known(store, hints)
        runs = Runs(queue.workflows, queue.tasks, queue.definitions, queue.hands, queue.deciders, known, store)
        feed = Feed(store, queue.workflows, runs, queue.watch)
        seconds = settings.healthcheck_seconds
        channels = Channels(store, queue.tasks, known, feed, queue.watch, healthcheck_seconds=seconds)
        return cls(runs, known, feed, channels, Clients(feed, queue.watch))
