# ruff: noqa: N802  # the methods are called as the published services call them
"""The service methods of agents (2025 and later): they fetch one action at a time, and have a report of their own."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid5

import grpc

from fencepost.errors import WORKFLOW_NOT_FOUND, Refusal
from fencepost.vocabularies.machines.grpc.decoding import is_agent_report
from fencepost.vocabularies.machines.grpc.proto import action_2025_pb2, workflow_pb2
from fencepost.vocabularies.machines.grpc.status_codes import GrpcError, refuse, unary_method
from fencepost.vocabularies.machines.grpc.workers import CALLER, LONGEST_WORKER, Workers, required, storable_text
from fencepost.vocabularies.machines.hardware_document import address_of
from fencepost.vocabularies.machines.plan import Step
from fencepost.vocabularies.machines.position import Report, State
from fencepost.vocabularies.machines.workflows import MachineWorkflow

_MESSAGES: Any = action_2025_pb2
_WORKER_MESSAGES: Any = workflow_pb2
_NAMESPACE = UUID("5d6a0c1e-3f0c-5a0b-8f6e-0d2b7c1f9e42")
# A template means no limit by 0 seconds; agents would stop such an action at once.
_UNLIMITED_SECONDS = 10 * 365 * 24 * 3600
_STATES = {
    _MESSAGES.ActionStatusRequest.RUNNING: State.RUNNING,
    _MESSAGES.ActionStatusRequest.FAILED: State.FAILED,
    _MESSAGES.ActionStatusRequest.TIMEOUT: State.TIMEOUT,
    _MESSAGES.ActionStatusRequest.SUCCESS: State.SUCCESS,
}


class Agents(Workers):
    """`proto.WorkflowService`, which agents and workers share."""

    @unary_method
    async def GetAction(self, request: Any, context: Any) -> Any:
        """Return the action that an agent runs next: the current action of its oldest workflow."""
        agent = required(request.agent_id, "invalid Agent ID")
        for one in await self.workflows.list_offered(agent):
            if one.current is not None and address_of(one.current.worker) == address_of(agent):
                return _action(one, one.current, agent)
        raise GrpcError(grpc.StatusCode.NOT_FOUND, "no Workflows found")

    @unary_method
    async def ReportActionStatus(self, request: Any, context: Any) -> Any:
        """Apply a report of an agent or of a worker."""
        if not isinstance(request, _MESSAGES.ActionStatusRequest):
            return await self.apply_report(request)
        id = required(request.workflow_id, "invalid workflow id")
        required(request.task_id, "invalid task name")
        action_id = required(request.action_id, "invalid action name")
        if request.action_state not in _STATES:
            refuse("an action can be reported as one of RUNNING, FAILED, TIMEOUT, SUCCESS")
        try:
            found = await self.workflows.get(id, deleted=True)
            step = _step(found, action_id, request.agent_id)
            await self.workflows.report(id, _report(request, step), caller=CALLER)
        except Refusal as refusal:
            if refusal.kind is WORKFLOW_NOT_FOUND:
                raise GrpcError(grpc.StatusCode.NOT_FOUND, "invalid workflow id") from None
            raise
        return _MESSAGES.ActionStatusResponse()


def decode_report(data: bytes) -> Any:
    """Decode a report: an `ActionStatusRequest` of an agent, or a `WorkflowActionStatus` of a worker."""
    message = _MESSAGES.ActionStatusRequest if is_agent_report(data) else _WORKER_MESSAGES.WorkflowActionStatus
    return message.FromString(data)


def _action(found: MachineWorkflow, step: Step, agent: str) -> Any:
    return _MESSAGES.ActionResponse(
        workflow_id=found.workflow.id,
        task_id=_id(found.workflow.id, f"task {step.task_name}"),
        agent_id=agent,
        action_id=_id(found.workflow.id, f"action {step.action_index}"),
        name=step.name,
        image=step.image,
        timeout=step.timeout if step.timeout > 0 else _UNLIMITED_SECONDS,
        command=step.command,
        volumes=step.volumes,
        environment=step.environment,
        pid=step.pid,
    )


def _step(found: MachineWorkflow, action_id: str, agent: str) -> Step:
    """Return the action with an id, which must be an action of this agent; raise GrpcError (NOT_FOUND)."""
    for step in found.plan.steps:
        is_own = address_of(step.worker) == address_of(agent)
        if is_own and _id(found.workflow.id, f"action {step.action_index}") == action_id:
            return step
    raise GrpcError(grpc.StatusCode.NOT_FOUND, "action not found")


def _report(request: Any, step: Step) -> Report:
    begin, end = request.execution_start.seconds, request.execution_stop.seconds
    return Report(
        task_name=step.task_name,
        action_name=step.name,
        state=_STATES[request.action_state],
        # While the action runs, agents send the year 1 for both times.
        seconds=max(end - begin, 0),
        message=storable_text(request.message.message),
        worker=storable_text(request.agent_id)[:LONGEST_WORKER],
    )


def _id(workflow: str, part: str) -> str:
    """Return the id of a task or an action, derived from the id of its workflow and its name."""
    return str(uuid5(_NAMESPACE, f"{workflow}\0{part}"))
