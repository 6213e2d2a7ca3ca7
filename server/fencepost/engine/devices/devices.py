"""Everything that an edge may ask for about devices."""

from __future__ import annotations

from typing import NamedTuple

from fencepost.engine.devices.channel import Channels
from fencepost.engine.devices.clients import Clients
from fencepost.engine.devices.feed import Feed
from fencepost.engine.devices.known import Known
from fencepost.engine.devices.runs import Runs


class Devices(NamedTuple):
    """The use cases, by noun."""

    runs: Runs
    known: Known
    feed: Feed
    channels: Channels
    clients: Clients
