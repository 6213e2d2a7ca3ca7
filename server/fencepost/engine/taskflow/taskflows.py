"""Everything that an edge may ask about flows."""

from __future__ import annotations

from typing import NamedTuple

from fencepost.engine.deciders import Deciders
from fencepost.engine.definitions import Definitions
from fencepost.engine.taskflow.events import FlowEvents
from fencepost.engine.taskflow.flows import Flows
from fencepost.engine.taskflow.nesting import Nesting
from fencepost.engine.taskflow.runs import Runs
from fencepost.engine.taskflow.templates import Templates
from fencepost.engine.watch import Watch
from fencepost.engine.workflows import Workflows
from fencepost.store.taskflows import TaskflowStore


class Taskflows(NamedTuple):
    """The use cases, by noun."""

    flows: Flows
    templates: Templates
    events: FlowEvents


def taskflows(
    store: TaskflowStore, workflows: Workflows, definitions: Definitions, deciders: Deciders, watch: Watch
) -> Taskflows:
    """Put the parts together."""
    runs = Runs(store)
    return Taskflows(
        Flows(runs, Nesting(runs, workflows, deciders), workflows, definitions),
        Templates(store, definitions),
        FlowEvents(store, runs, workflows, definitions, watch),
    )
