# ruff: noqa: N802  # the methods are called as the published services call them
"""What workers call, under both package names: where it is their turn, what is to be done, and what became of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, NamedTuple

import grpc

from fencepost.domain.machines.plan import Plan
from fencepost.domain.machines.standing import Report
from fencepost.engine.engine import Engine
from fencepost.engine.machines.machines import MachineWorkflow
from fencepost.errors import WORKFLOW_NOT_FOUND, Refusal
from fencepost.grpc.answers import Refused, answered, refuse, streamed
from fencepost.grpc.messages import actions_message, context_message

# In whose name the gateway speaks: workers of machines have no credentials.
CALLER = "awf.machine"


class Package(NamedTuple):
    """One of the two published packages: its generated messages, and what was said differently in its time."""

    names: Any
    is_old: bool

    @property
    def unknown_worker(self) -> str:
        """What is said to a worker without an id; later ones are told of a workflow, and may rely on it."""
        return "invalid worker id" if self.is_old else "invalid workflow id"

    @property
    def unknown_workflow(self) -> grpc.StatusCode:
        """What a report about no workflow is."""
        return grpc.StatusCode.ABORTED if self.is_old else grpc.StatusCode.INVALID_ARGUMENT


class Workers:
    """The three methods that both services have."""

    def __init__(self, engine: Engine, package: Package) -> None:
        self.engine = engine
        self.package = package

    @streamed
    async def GetWorkflowContexts(self, request: Any, context: Any) -> AsyncIterator[Any]:
        """Yield where the workflows stand in which it is the worker's turn."""
        worker = checked(request.worker_id, self.package.unknown_worker)
        offers = await self.engine.machines.offers(worker)
        ids = await self.ids(offers)
        for one in offers:
            yield context_message(self.package.names, one, ids)

    @answered
    async def GetWorkflowActions(self, request: Any, context: Any) -> Any:
        """Return all actions of a workflow; in the old package none of one that there is not."""
        id = checked(request.workflow_id, "invalid workflow id")
        try:
            found = await self.engine.machines.get(id)
        except Refusal as refusal:
            if refusal.kind is WORKFLOW_NOT_FOUND and self.package.is_old:
                return self.package.names.WorkflowActionList()
            raise
        return actions_message(
            self.package.names, found.plan, await self._ids_of(found.plan), is_old=self.package.is_old
        )

    @answered
    async def ReportActionStatus(self, request: Any, context: Any) -> Any:
        """Take what became of an action."""
        id = checked(request.workflow_id, "invalid workflow id")
        report = Report(
            task_name=checked(request.task_name, "invalid task name"),
            action_name=checked(request.action_name, "invalid action name"),
            state=request.action_status,
            seconds=request.seconds,
            # Refused for this, a worker would say the same for ever.
            message=storable(request.message),
            worker=storable(request.worker_id),
        )
        try:
            await self.engine.machines.report(id, report, caller=CALLER)
        except Refusal as refusal:
            if refusal.kind is WORKFLOW_NOT_FOUND:
                raise Refused(self.package.unknown_workflow, "invalid workflow id") from None
            raise
        return self.package.names.Empty()

    async def ids(self, several: Iterable[MachineWorkflow]) -> Mapping[str, str]:
        """Return how the workers of workflows call themselves: in the old package by the ids of their records."""
        if not self.package.is_old:
            return {}
        return await self.engine.machines.hardware.ids({worker for one in several for worker in one.plan.workers})

    async def _ids_of(self, plan: Plan) -> Mapping[str, str]:
        return await self.engine.machines.hardware.ids(plan.workers) if self.package.is_old else {}


def checked(text: str, reason: str) -> str:
    """Return an id or a name; refuse one that nothing can have."""
    if not text or "\0" in text:
        refuse(reason)
    return text


def storable(text: str) -> str:
    """Return a text as Postgres can keep it."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")
