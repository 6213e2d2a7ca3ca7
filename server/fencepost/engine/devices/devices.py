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


class Devices(NamedTuple):
    """The use cases, by noun."""

    runs: Runs
    known: Known
    feed: Feed
    channels: Channels
    clients: Clients

    @classmethod
    def over(
        cls,
        store: DeviceStore,
        settings: DeviceSettings,
        hints: Hints,
        *,
        tasks: Tasks,
        workflows: Workflows,
        definitions: Definitions,
        hands: Hands,
        deciders: Deciders,
        watch: Watch,
    ) -> Devices:
        """Put them together over what they share with everything else."""
        known = Known(store, hints)
        runs = Runs(workflows, tasks, definitions, hands, deciders, known, store)
        feed = Feed(store, workflows, runs, watch)
        seconds = settings.healthcheck_seconds
        channels = Channels(store, tasks, known, feed, watch, healthcheck_seconds=seconds)
        return cls(runs, known, feed, channels, Clients(feed, watch))
