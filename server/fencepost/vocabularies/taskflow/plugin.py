"""Taskflow: flows of stages for services, with templates, retries and an event stream."""

from __future__ import annotations

from fencepost.errors import kinds_of
from fencepost.vocabularies.plugin import Core, Running, Vocabulary
from fencepost.vocabularies.taskflow import errors
from fencepost.vocabularies.taskflow.decider import decide
from fencepost.vocabularies.taskflow.document import FLOW, TaskflowDefinition
from fencepost.vocabularies.taskflow.events import FlowEvents
from fencepost.vocabularies.taskflow.flows import Flows
from fencepost.vocabularies.taskflow.methods import taskflow_methods
from fencepost.vocabularies.taskflow.nesting import Nesting
from fencepost.vocabularies.taskflow.routes import taskflow_routes
from fencepost.vocabularies.taskflow.runs import Runs
from fencepost.vocabularies.taskflow.store import TaskflowStore
from fencepost.vocabularies.taskflow.template_methods import template_methods
from fencepost.vocabularies.taskflow.templates import Templates


def _start(core: Core) -> Running:
    engine = core.engine
    store = TaskflowStore(core.database)
    runs = Runs(store)
    events = FlowEvents(store, runs, engine.workflows, engine.definitions, engine.changes)
    nesting = Nesting(runs, engine.workflows, engine.deciders)

    return Running(
        services=(
            Flows(runs, nesting, engine.workflows, engine.definitions),
            Templates(store, engine.definitions),
            events,
        ),
    )


TASKFLOW = Vocabulary(
    name="taskflow",
    documents=(TaskflowDefinition,),
    deciders=lambda settings: {TaskflowDefinition.kind: decide},
    built_in=(TaskflowDefinition(name=FLOW),),
    errors=kinds_of(vars(errors)),
    methods=(taskflow_methods, template_methods),
    routes=(taskflow_routes,),
    start=_start,
)
