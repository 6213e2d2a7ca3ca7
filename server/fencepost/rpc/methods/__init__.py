"""Every method that `POST /rpc` knows."""

from __future__ import annotations

from fencepost.rpc.methods.definition import definition_methods
from fencepost.rpc.methods.event import event_methods
from fencepost.rpc.methods.executor import executor_methods
from fencepost.rpc.methods.schedule import schedule_methods
from fencepost.rpc.methods.task import task_methods
from fencepost.rpc.methods.workflow import workflow_methods
from fencepost.rpc.registry import Registry
from fencepost.vocabularies.devices.methods import device_methods
from fencepost.vocabularies.machines.hardware_methods import hardware_methods
from fencepost.vocabularies.machines.methods import machine_methods
from fencepost.vocabularies.people.methods import people_methods
from fencepost.vocabularies.taskflow.methods import taskflow_methods
from fencepost.vocabularies.taskflow.template_methods import template_methods


def registry() -> Registry:
    """Return all methods, in the order of the reference page."""
    everything = Registry()
    for part in (
        executor_methods,
        task_methods,
        workflow_methods,
        definition_methods,
        schedule_methods,
        event_methods,
        taskflow_methods,
        template_methods,
        people_methods,
        device_methods,
        machine_methods,
        hardware_methods,
    ):
        everything.methods.update(part.methods)
    return everything
