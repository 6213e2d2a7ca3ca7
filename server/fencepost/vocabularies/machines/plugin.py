"""Machines: templates of actions that workers on machines fetch and report about over gRPC."""

from __future__ import annotations

from fencepost.errors import kinds_of
from fencepost.vocabularies.machines import errors
from fencepost.vocabularies.machines.decider import TIME_LIMIT, decide
from fencepost.vocabularies.machines.document import MachineTemplate
from fencepost.vocabularies.machines.hardware import HardwareRecords
from fencepost.vocabularies.machines.hardware_methods import hardware_methods
from fencepost.vocabularies.machines.hardware_store import HardwareStore
from fencepost.vocabularies.machines.methods import machine_methods
from fencepost.vocabularies.machines.routes import Certificate, machine_routes
from fencepost.vocabularies.machines.server import reserved_port, serving
from fencepost.vocabularies.machines.store import MachineStore
from fencepost.vocabularies.machines.templates import Templates
from fencepost.vocabularies.machines.workflow_data import WorkflowData
from fencepost.vocabularies.machines.workflows import MachineWorkflows
from fencepost.vocabularies.plugin import Core, Running, Vocabulary


def _start(core: Core) -> Running:
    engine, settings = core.engine, core.settings
    store = MachineStore(core.database, core.clock, waiting=settings.limits.waiting, on_wakeups=core.wakeups.publish)
    workflows = MachineWorkflows(
        store,
        engine.workflows,
        engine.definitions,
        engine.deciders,
        core.wakeups,
        hardware=HardwareRecords(HardwareStore(core.database, core.clock)),
        templates=Templates(engine.definitions),
        data=WorkflowData(store, kept=settings.workflow_data_versions),
    )

    certificate = Certificate(None if settings.grpc_tls is None else settings.grpc_tls.certificate)
    return Running(services=(workflows, certificate), serve=lambda: serving(workflows, settings))


MACHINES = Vocabulary(
    name="machines",
    documents=(MachineTemplate,),
    deciders=lambda settings: {MachineTemplate.kind: decide},
    not_polled=(TIME_LIMIT,),
    errors=kinds_of(vars(errors)),
    methods=(machine_methods, hardware_methods),
    routes=(machine_routes,),
    reserve=reserved_port,
    start=_start,
)
