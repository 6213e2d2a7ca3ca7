"""The methods `awf.people/*`."""

from __future__ import annotations

from fencepost.rpc.registry import Registry
from fencepost.vocabularies.people.methods.commands import command_methods
from fencepost.vocabularies.people.methods.directory import directory_methods
from fencepost.vocabularies.people.methods.events import event_methods
from fencepost.vocabularies.people.methods.lists import list_methods
from fencepost.vocabularies.people.methods.tasks import task_methods

people_methods = Registry()
for _part in (list_methods, task_methods, command_methods, event_methods, directory_methods):
    people_methods.methods.update(_part.methods)
