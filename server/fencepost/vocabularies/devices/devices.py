"""The service of the vocabulary: its use cases, by noun."""

from __future__ import annotations

from typing import NamedTuple

from fencepost.vocabularies.devices.broadcaster import EventBroadcaster
from fencepost.vocabularies.devices.channels import Channels
from fencepost.vocabularies.devices.clients import Clients
from fencepost.vocabularies.devices.registry import DeviceRegistry
from fencepost.vocabularies.devices.runs import Runs


class Devices(NamedTuple):
    """The use cases, by noun."""

    runs: Runs
    registry: DeviceRegistry
    broadcaster: EventBroadcaster
    channels: Channels
    clients: Clients
