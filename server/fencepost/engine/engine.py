"""Everything that an edge may ask for."""

from __future__ import annotations

from typing import NamedTuple

from fencepost.engine.deciders import Deciders
from fencepost.engine.definitions import Definitions
from fencepost.engine.events import Events
from fencepost.engine.executions import Executions
from fencepost.engine.hands import Hands
from fencepost.engine.polls import Polls
from fencepost.engine.schedules import Schedules
from fencepost.engine.tasks import Tasks
from fencepost.engine.triggers import TriggerRules
from fencepost.engine.watch import Watch
from fencepost.engine.workflows import Workflows
from fencepost.vocabularies.devices.devices import Devices
from fencepost.vocabularies.machines.machines import Machines
from fencepost.vocabularies.people.people import People
from fencepost.vocabularies.taskflow.taskflows import Taskflows


class Engine(NamedTuple):
    """The use cases, by noun."""

    tasks: Tasks
    workflows: Workflows
    executions: Executions
    polls: Polls
    definitions: Definitions
    events: Events
    triggers: TriggerRules
    schedules: Schedules
    hands: Hands
    deciders: Deciders
    watch: Watch
    taskflows: Taskflows
    people: People
    devices: Devices
    machines: Machines
