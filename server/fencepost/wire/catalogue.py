"""Every kind of refusal that a caller may meet: those of the core, and those that a vocabulary has in its own words."""

from __future__ import annotations

from operator import attrgetter

from fencepost import errors
from fencepost.domain.devices import errors as devices
from fencepost.domain.machines import errors as machines
from fencepost.domain.people import errors as people
from fencepost.domain.taskflow import errors as taskflow
from fencepost.errors import Kind

_MODULES = (errors, taskflow, devices, people, machines)
_KINDS = [value for module in _MODULES for value in vars(module).values() if isinstance(value, Kind)]
# By their statuses, and in the order in which they are declared.
CATALOGUE: tuple[Kind, ...] = tuple(sorted(_KINDS, key=attrgetter("status")))
