"""The vocabularies of a server. Only the composition root, the command line and the generator import this list."""

from __future__ import annotations

from fencepost.vocabularies.devices.plugin import DEVICES
from fencepost.vocabularies.machines.plugin import MACHINES
from fencepost.vocabularies.people.plugin import PEOPLE
from fencepost.vocabularies.plugin import Vocabulary
from fencepost.vocabularies.taskflow.plugin import TASKFLOW

# The reference pages have this order.
ALL: tuple[Vocabulary, ...] = (TASKFLOW, PEOPLE, DEVICES, MACHINES)
