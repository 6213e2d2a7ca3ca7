"""All methods of `POST /rpc`."""

from __future__ import annotations

from collections.abc import Iterable

from fencepost.domain.document import Documents
from fencepost.rpc.methods.bulk import bulk_methods
from fencepost.rpc.methods.definition import definition_methods
from fencepost.rpc.methods.event import event_methods
from fencepost.rpc.methods.executor import executor_methods
from fencepost.rpc.methods.polls import poll_methods
from fencepost.rpc.methods.schedule import schedule_methods
from fencepost.rpc.methods.task import task_methods
from fencepost.rpc.methods.waits import wait_methods
from fencepost.rpc.methods.workflow import workflow_methods
from fencepost.rpc.registry import Registry


def registry(documents: Documents, vocabularies: Iterable[Registry]) -> Registry:
    """Return all methods, those of the core first, in the order of the reference pages."""
    core = (
        poll_methods,
        executor_methods,
        task_methods,
        bulk_methods,
        workflow_methods,
        wait_methods,
        definition_methods(documents),
        schedule_methods,
        event_methods,
    )
    everything = Registry()
    for part in (*core, *vocabularies):
        everything.methods.update(part.methods)
    return everything
