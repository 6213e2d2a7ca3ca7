# ruff: noqa: N802  # the methods are called as the published services call them
"""What workers call, under both package names: where it is their turn, what is to be done, and what became of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, NamedTuple

import grpc

from fencepost.engine.engine import Engine
from fencepost.errors import WORKFLOW_HAS_BEEN_DONE, WORKFLOW_NOT_FOUND, Refusal
from fencepost.vocabularies.machines.grpc.answers import Refused, answered, refuse, streamed
from fencepost.vocabularies.machines.grpc.messages import actions_message, context_message, told
from fencepost.vocabularies.machines.machines import MachineWorkflow
from fencepost.vocabularies.machines.plan import Plan
from fencepost.vocabularies.machines.position import Report

# In whose name the gateway speaks: workers of machines have no credentials.
CALLER = "awf.machine"
# Characters that are kept of what a report says: refused for too many, a worker would say the same for ever.
_LONGEST_TEXT = 100_000
_LONGEST_WORKER = 1000


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
        machines = self.engine.machines
        offers = await machines.offers(worker)
        ids = await self.ids(offers)
        for one in offers:
            # A worker compares: what names it otherwise, it would skip at every poll.
            if one.current is None or told(one.current.worker, ids) != worker:
                continue
            await machines.offered(one)
            yield context_message(self.package.names, one, ids)

    @answered
    async def GetWorkflowActions(self, request: Any, context: Any) -> Any:
        """Return all actions of a workflow; in the old package none of one that there is not.

        Those of a finished one are refused to later workers, which skip it then: else they would report RUNNING, which
        is refused, for ever. To earlier ones, which end on a refusal, they are told.
        """
        id = checked(request.workflow_id, "invalid workflow id")
        try:
            found = await self.engine.machines.get(id)
        except Refusal as refusal:
            if refusal.kind is WORKFLOW_NOT_FOUND and self.package.is_old:
                return self.package.names.WorkflowActionList()
            raise
        if found.position.has_ended and not self.package.is_old:
            outcome = found.workflow.outcome or "failed"
            raise Refusal(WORKFLOW_HAS_BEEN_DONE, at="$.id", id=id, outcome=outcome)
        return actions_message(
            self.package.names, found.plan, await self._ids_of(found.plan), is_old=self.package.is_old
        )

    @answered
    async def ReportActionStatus(self, request: Any, context: Any) -> Any:
        """Take what became of an action."""
        return await self.take(request)

    async def take(self, request: Any) -> Any:
        """Take a report, and note a worker that cannot be stopped from repeating it."""
        id = checked(request.workflow_id, "invalid workflow id")
        report = Report(
            task_name=checked(request.task_name, "invalid task name"),
            action_name=checked(request.action_name, "invalid action name"),
            state=request.action_status,
            seconds=request.seconds,
            # Refused for this, a worker would say the same for ever.
            message=storable(request.message),
            worker=storable(request.worker_id)[:_LONGEST_WORKER],
        )
        try:
            await self.engine.machines.report(id, report, caller=CALLER)
        except Refusal as refusal:
            if refusal.kind is WORKFLOW_NOT_FOUND:
                raise Refused(self.package.unknown_workflow, "invalid workflow id") from None
            if refusal.kind is WORKFLOW_HAS_BEEN_DONE and not self.package.is_old:
                await self.engine.machines.stuck(id, report)
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
    """Return a text as Postgres can keep it, and as much of it as an event has room for."""
    return text[:_LONGEST_TEXT].replace("\0", "\N{REPLACEMENT CHARACTER}")
