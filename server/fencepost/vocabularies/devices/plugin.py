"""Devices: runs of steps on devices that may fall silent."""

from __future__ import annotations

from collections.abc import Mapping

from fencepost.domain.decider import Decide
from fencepost.errors import kinds_of
from fencepost.loops.loop import Loop
from fencepost.settings import Settings
from fencepost.vocabularies.devices import errors
from fencepost.vocabularies.devices.broadcaster import EventBroadcaster
from fencepost.vocabularies.devices.channels import Channels
from fencepost.vocabularies.devices.clients import Clients
from fencepost.vocabularies.devices.decider import Policy, decider
from fencepost.vocabularies.devices.document import DeviceWorkflow
from fencepost.vocabularies.devices.methods import device_methods
from fencepost.vocabularies.devices.reaper import DeviceReaper
from fencepost.vocabularies.devices.registry import DeviceRegistry
from fencepost.vocabularies.devices.routes import DEVICE_ROUTES
from fencepost.vocabularies.devices.runs import Runs
from fencepost.vocabularies.devices.store import DeviceStore
from fencepost.vocabularies.plugin import Core, Running, Vocabulary


def _deciders(settings: Settings) -> Mapping[str, Decide]:
    policy = Policy(settings.devices.retries, round(settings.devices.window_seconds * 1000))
    return {DeviceWorkflow.kind: decider(policy)}


def _start(core: Core) -> Running:
    engine, settings = core.engine, core.settings.devices
    store = DeviceStore(core.database, core.clock, silence_seconds=settings.silence_seconds)
    registry = DeviceRegistry(store, core.wakeups)
    runs = Runs(
        engine.workflows, engine.tasks, engine.definitions, engine.transitions, engine.deciders, registry, store
    )
    broadcaster = EventBroadcaster(store, engine.workflows, runs, engine.changes)
    channels = Channels(
        store, engine.tasks, registry, broadcaster, engine.changes, healthcheck_seconds=settings.healthcheck_seconds
    )
    clients = Clients(broadcaster, engine.changes)
    reaper = DeviceReaper(registry)
    reaping, broadcasting = Loop("device-reaper", reaper.run_once), Loop("event-broadcaster", broadcaster.run_once)
    registry.nudge, broadcaster.nudge = reaping.nudge, broadcasting.nudge
    return Running(
        services=(runs, registry, channels, clients, settings, reaper),
        loops=(reaping, broadcasting),
    )


DEVICES = Vocabulary(
    name="devices",
    documents=(DeviceWorkflow,),
    deciders=_deciders,
    errors=kinds_of(vars(errors)),
    methods=(device_methods,),
    routes=DEVICE_ROUTES,
    start=_start,
)
