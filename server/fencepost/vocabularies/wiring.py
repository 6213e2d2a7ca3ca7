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
from fencepost.engine.deciders import Deciders
from fencepost.engine.definitions import Definitions
from fencepost.engine.hands import Hands
from fencepost.engine.hints import Hints
from fencepost.engine.tasks import Tasks
from fencepost.engine.watch import Watch
from fencepost.engine.workflows import Workflows
from fencepost.settings import Settings
from fencepost.store.database import Database
from fencepost.vocabularies.devices.broadcaster import Feed
from fencepost.vocabularies.devices.channels import Channels
from fencepost.vocabularies.devices.clients import Clients
from fencepost.vocabularies.devices.decider import Policy
from fencepost.vocabularies.devices.decider import decider as device_decider
from fencepost.vocabularies.devices.devices import Devices
from fencepost.vocabularies.devices.document import DeviceWorkflow
from fencepost.vocabularies.devices.registry import Known
from fencepost.vocabularies.devices.runs import Runs as DeviceRuns
from fencepost.vocabularies.devices.store import DeviceStore
from fencepost.vocabularies.machines.decider import decide as decide_machines
from fencepost.vocabularies.machines.document import MachineTemplate
from fencepost.vocabularies.machines.hardware import HardwareRecords
from fencepost.vocabularies.machines.hardware_store import HardwareStore
from fencepost.vocabularies.machines.machines import Machines
from fencepost.vocabularies.machines.store import MachineStore
from fencepost.vocabularies.machines.templates import Templates as MachineTemplates
from fencepost.vocabularies.machines.workflow_data import Carried
from fencepost.vocabularies.people.decider import decide as decide_process
from fencepost.vocabularies.people.lists import TaskLists
from fencepost.vocabularies.people.people import People
from fencepost.vocabularies.people.process import ProcessDefinition
from fencepost.vocabularies.people.registers import Registers
from fencepost.vocabularies.people.store.registers import RegisterStore
from fencepost.vocabularies.people.store.tasks import PeopleStore
from fencepost.vocabularies.people.tasks import PeopleTasks
from fencepost.vocabularies.taskflow.decider import decide as decide_taskflow
from fencepost.vocabularies.taskflow.document import TaskflowDefinition
from fencepost.vocabularies.taskflow.events import FlowEvents
from fencepost.vocabularies.taskflow.flows import Flows
from fencepost.vocabularies.taskflow.nesting import Nesting
from fencepost.vocabularies.taskflow.runs import Runs
from fencepost.vocabularies.taskflow.store import TaskflowStore
from fencepost.vocabularies.taskflow.taskflows import Taskflows
from fencepost.vocabularies.taskflow.templates import Templates


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
