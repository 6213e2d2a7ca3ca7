"""`awf.people/*`: processes that people work on."""

from __future__ import annotations

from fencepost.rpc.methods.people.deeds import deed_methods
from fencepost.rpc.methods.people.events import event_methods
from fencepost.rpc.methods.people.lists import list_methods
from fencepost.rpc.methods.people.registers import register_methods
from fencepost.rpc.methods.people.tasks import task_methods
from fencepost.rpc.registry import Registry

people_methods = Registry()
for _part in (list_methods, task_methods, deed_methods, event_methods, register_methods):
    people_methods.methods.update(_part.methods)
