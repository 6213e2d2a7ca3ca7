# ruff: noqa: N802  # the methods are called as the published services call them
"""Methods that only agents of 2025 and later call: one action at a time, and a newer report."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid5

import grpc

from fencepost.errors import WORKFLOW_NOT_FOUND, Refusal
from fencepost.vocabularies.machines.grpc.answers import Refused, answered, refuse
from fencepost.vocabularies.machines.grpc.forms import is_of_an_agent
from fencepost.vocabularies.machines.grpc.proto import action_2025_pb2, workflow_pb2
from fencepost.vocabularies.machines.grpc.workers import CALLER, Workers, checked, storable
from fencepost.vocabularies.machines.hardware_document import address_of
from fencepost.vocabularies.machines.machines import MachineWorkflow
from fencepost.vocabularies.machines.plan import Step
from fencepost.vocabularies.machines.position import Report, State

_NAMES: Any = action_2025_pb2
_WORKERS_REPORT: Any = workflow_pb2
_NAMESPACE = UUID("5d6a0c1e-3f0c-5a0b-8f6e-0d2b7c1f9e42")
# Agents end an action of 0 seconds at once, where a template means one without a limit.
_ENDLESS_SECONDS = 10 * 365 * 24 * 3600
_STATES = {
    _NAMES.ActionStatusRequest.RUNNING: State.RUNNING,
    _NAMES.ActionStatusRequest.FAILED: State.FAILED,
    _NAMES.ActionStatusRequest.TIMEOUT: State.TIMEOUT,
    _NAMES.ActionStatusRequest.SUCCESS: State.SUCCESS,
}


class Agents(Workers):
    """The service of the newer package: agents and workers share it."""

    @answered
    async def GetAction(self, request: Any, context: Any) -> Any:
        """Return the action that an agent has to run now: the current one of its oldest workflow."""
        agent = checked(request.agent_id, "invalid Agent ID")
        for one in await self.engine.machines.offers(agent):
            if one.current is not None and address_of(one.current.worker) == address_of(agent):
                return _action(one, one.current, agent)
        raise Refused(grpc.StatusCode.NOT_FOUND, "no Workflows found")

    @answered
    async def ReportActionStatus(self, request: Any, context: Any) -> Any:
        """Take what became of an action, from an agent or from a worker."""
        if not isinstance(request, _NAMES.ActionStatusRequest):
            return await self.take(request)
        id = checked(request.workflow_id, "invalid workflow id")
        checked(request.task_id, "invalid task name")
        action_id = checked(request.action_id, "invalid action name")
        if request.action_state not in _STATES:
            refuse("an action can be reported as one of RUNNING, FAILED, TIMEOUT, SUCCESS")
        try:
            found = await self.engine.machines.get(id, deleted=True)
            step = _step(found, action_id, request.agent_id)
            await self.engine.machines.report(id, _report(request, step), caller=CALLER)
        except Refusal as refusal:
            if refusal.kind is WORKFLOW_NOT_FOUND:
                raise Refused(grpc.StatusCode.NOT_FOUND, "invalid workflow id") from None
            raise
        return _NAMES.ActionStatusResponse()


def read_report(data: bytes) -> Any:
    """Return a report: an `ActionStatusRequest` of an agent, or a `WorkflowActionStatus` of a worker."""
    message = _NAMES.ActionStatusRequest if is_of_an_agent(data) else _WORKERS_REPORT.WorkflowActionStatus
    return message.FromString(data)


def _action(found: MachineWorkflow, step: Step, agent: str) -> Any:
    return _NAMES.ActionResponse(
        workflow_id=found.workflow.id,
        task_id=_id(found.workflow.id, f"task {step.task_name}"),
        agent_id=agent,
        action_id=_id(found.workflow.id, f"action {step.action_index}"),
        name=step.name,
        image=step.image,
        timeout=step.timeout if step.timeout > 0 else _ENDLESS_SECONDS,
        command=step.command,
        volumes=step.volumes,
        environment=step.environment,
        pid=step.pid,
    )


def _step(found: MachineWorkflow, action_id: str, agent: str) -> Step:
    """Return the action that an agent speaks of, which must be its own."""
    for step in found.plan.steps:
        is_its_own = address_of(step.worker) == address_of(agent)
        if is_its_own and _id(found.workflow.id, f"action {step.action_index}") == action_id:
            return step
    raise Refused(grpc.StatusCode.NOT_FOUND, "action not found")


def _report(request: Any, step: Step) -> Report:
    begin, end = request.execution_start.seconds, request.execution_stop.seconds
    return Report(
        task_name=step.task_name,
        action_name=step.name,
        state=_STATES[request.action_state],
        # While it runs, both are the year 1.
        seconds=max(end - begin, 0),
        message=storable(request.message.message),
        worker=storable(request.agent_id)[:1000],
    )


def _id(workflow: str, part: str) -> str:
    """Return the id of a part of a workflow, which follows from the names of both."""
    return str(uuid5(_NAMESPACE, f"{workflow}\0{part}"))
