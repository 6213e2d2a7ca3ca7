"""Everything about people that an edge may ask for."""

from __future__ import annotations

from typing import NamedTuple

from fencepost.vocabularies.people.lists import TaskLists
from fencepost.vocabularies.people.registers import Registers
from fencepost.vocabularies.people.tasks import PeopleTasks


class People(NamedTuple):
    """The use cases, by noun."""

    lists: TaskLists
    tasks: PeopleTasks
    registers: Registers
