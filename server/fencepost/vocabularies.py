"""Wires the vocabularies over the queue, for app.py: of each its stores, what it can do, and its decider.

services  taskflow          flows of stages
people    process           task lists that people and jobs work on
devices   device-workflow   runs on one device
machines  machine-template  actions on machines that are provisioned
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from fencepost.clock import Clock
from fencepost.domain.decider import Decide
from fencepost.domain.devices.decider import Policy
from fencepost.domain.devices.decider import decider as device_decider
from fencepost.domain.devices.definition import DeviceWorkflow
from fencepost.domain.machines.decide import decide as decide_machines
from fencepost.domain.machines.definition import MachineTemplate
from fencepost.domain.people.decider import decide as decide_process
from fencepost.domain.people.process import ProcessDefinition
from fencepost.domain.taskflow.decider import decide as decide_taskflow
from fencepost.domain.taskflow.definition import TaskflowDefinition
from fencepost.engine.deciders import Deciders
from fencepost.engine.definitions import Definitions
from fencepost.engine.devices.channel import Channels
from fencepost.engine.devices.clients import Clients
from fencepost.engine.devices.devices import Devices
from fencepost.engine.devices.feed import Feed
from fencepost.engine.devices.known import Known
from fencepost.engine.devices.runs import Runs as DeviceRuns
from fencepost.engine.hands import Hands
from fencepost.engine.hints import Hints
from fencepost.engine.machines.carried import Carried
from fencepost.engine.machines.hardware import HardwareRecords
from fencepost.engine.machines.machines import Machines
from fencepost.engine.machines.templates import Templates as MachineTemplates
from fencepost.engine.people.lists import TaskLists
from fencepost.engine.people.people import People
from fencepost.engine.people.registers import Registers
from fencepost.engine.people.tasks import PeopleTasks
from fencepost.engine.taskflow.events import FlowEvents
from fencepost.engine.taskflow.flows import Flows
from fencepost.engine.taskflow.nesting import Nesting
from fencepost.engine.taskflow.runs import Runs
from fencepost.engine.taskflow.taskflows import Taskflows
from fencepost.engine.taskflow.templates import Templates
from fencepost.engine.tasks import Tasks
from fencepost.engine.watch import Watch
from fencepost.engine.workflows import Workflows
from fencepost.settings import Settings
from fencepost.store.database import Database
from fencepost.store.devices import DeviceStore
from fencepost.store.hardware import HardwareStore
from fencepost.store.machines import MachineStore
from fencepost.store.people.registers import RegisterStore
from fencepost.store.people.tasks import PeopleStore
from fencepost.store.taskflows import TaskflowStore


class Core(NamedTuple):
    """What the vocabularies stand on."""

    settings: Settings
    database: Database
    clock: Clock
    hints: Hints
    tasks: Tasks
    workflows: Workflows
    definitions: Definitions
    hands: Hands
    deciders: Deciders
    watch: Watch


class Vocabularies(NamedTuple):
    """What each of them can do."""

    taskflows: Taskflows
    people: People
    devices: Devices
    machines: Machines


def vocabularies(core: Core) -> Vocabularies:
    """Put them together."""
    return Vocabularies(_taskflows(core), _people(core), _devices(core), _machines(core))


def deciders(settings: Settings) -> Mapping[str, Decide]:
    """Return what is decided over in the server, by the kind of its documents."""
    policy = Policy(settings.devices.retries, round(settings.devices.window_seconds * 1000))
    return {
        TaskflowDefinition.kind: decide_taskflow,
        ProcessDefinition.kind: decide_process,
        DeviceWorkflow.kind: device_decider(policy),
        MachineTemplate.kind: decide_machines,
    }


def _taskflows(core: Core) -> Taskflows:
    store = TaskflowStore(core.database)
    runs = Runs(store)
    return Taskflows(
        Flows(runs, Nesting(runs, core.workflows, core.deciders), core.workflows, core.definitions),
        Templates(store, core.definitions),
        FlowEvents(store, runs, core.workflows, core.definitions, core.watch),
    )


def _people(core: Core) -> People:
    store = PeopleStore(core.database, core.clock, core.hints.follow)
    registers = Registers(RegisterStore(core.database))
    lists = TaskLists(store, core.workflows, core.deciders, core.definitions, registers)
    return People(lists, PeopleTasks(store, lists, registers), registers)


def _devices(core: Core) -> Devices:
    settings = core.settings.devices
    store = DeviceStore(core.database, core.clock, silence_seconds=settings.silence_seconds)
    known = Known(store, core.hints)
    runs = DeviceRuns(core.workflows, core.tasks, core.definitions, core.hands, core.deciders, known, store)
    feed = Feed(store, core.workflows, runs, core.watch)
    channels = Channels(store, core.tasks, known, feed, core.watch, healthcheck_seconds=settings.healthcheck_seconds)
    return Devices(runs, known, feed, channels, Clients(feed, core.watch))


def _machines(core: Core) -> Machines:
    waiting = core.settings.limits.waiting
    store = MachineStore(core.database, core.clock, waiting=waiting, on_hints=core.hints.follow)
    return Machines(
        store,
        core.workflows,
        core.definitions,
        core.deciders,
        core.hints,
        hardware=HardwareRecords(HardwareStore(core.database, core.clock)),
        templates=MachineTemplates(core.definitions),
        carried=Carried(store, kept=core.settings.workflow_data_versions),
    )
