"""Everything about people that an edge may ask for."""

from __future__ import annotations

from typing import NamedTuple

from fencepost.engine.people.lists import TaskLists
from fencepost.engine.people.registers import Registers
from fencepost.engine.people.tasks import PeopleTasks


class People(NamedTuple):
    """The use cases, by noun."""

    lists: TaskLists
    tasks: PeopleTasks
    registers: Registers
