"""Every kind of refusal that a caller may meet: those of the core, and those that a vocabulary has in its own words."""

from __future__ import annotations

from operator import attrgetter

from fencepost import errors
from fencepost.errors import Kind
from fencepost.vocabularies.devices import errors as devices
from fencepost.vocabularies.machines import errors as machines
from fencepost.vocabularies.people import errors as people
from fencepost.vocabularies.taskflow import errors as taskflow

_MODULES = (errors, taskflow, devices, people, machines)
_KINDS = [value for module in _MODULES for value in vars(module).values() if isinstance(value, Kind)]
# By their statuses, and in the order in which they are declared.
CATALOGUE: tuple[Kind, ...] = tuple(sorted(_KINDS, key=attrgetter("status")))
