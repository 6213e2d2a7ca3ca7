# ruff: noqa: N802  # the methods are called as the published services call them
"""The service methods of workers, in both packages: their workflows, the actions of one, and reports."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, NamedTuple

import grpc

from fencepost.errors import WORKFLOW_HAS_BEEN_DONE, WORKFLOW_NOT_FOUND, Refusal
from fencepost.vocabularies.machines.grpc.messages import actions_message, context_message, worker_id_of
from fencepost.vocabularies.machines.grpc.status_codes import GrpcError, refuse, streaming_method, unary_method
from fencepost.vocabularies.machines.plan import Plan
from fencepost.vocabularies.machines.position import Report
from fencepost.vocabularies.machines.workflows import MachineWorkflow, MachineWorkflows

# The caller of all gRPC calls: workers of machines have no credentials.
CALLER = "awf.machine"
# Characters kept of a report's message. A longer one is cut: a worker would repeat a refused report forever.
_LONGEST_TEXT = 100_000
LONGEST_WORKER = 1000


class Package(NamedTuple):
    """One of the two published packages: its generated messages, and the errors that differ between them."""

    messages: Any
    is_old: bool

    @property
    def missing_worker_message(self) -> str:
        """The error for a missing worker id; the new package speaks of a workflow, as the published servers did."""
        return "invalid worker id" if self.is_old else "invalid workflow id"

    @property
    def unknown_workflow_code(self) -> grpc.StatusCode:
        """The status code of a report about an unknown workflow."""
        return grpc.StatusCode.ABORTED if self.is_old else grpc.StatusCode.INVALID_ARGUMENT


class Workers:
    """The three methods that both packages have."""

    def __init__(self, workflows: MachineWorkflows, package: Package) -> None:
        self.workflows = workflows
        self.package = package

    @streaming_method
    async def GetWorkflowContexts(self, request: Any, context: Any) -> AsyncIterator[Any]:
        """Yield the contexts of the workflows with a current action for a worker."""
        worker = required(request.worker_id, self.package.missing_worker_message)
        workflows = self.workflows
        offers = await workflows.list_offered(worker)
        ids = await self.ids(offers)
        for one in offers:
            # A worker compares `current_worker` with its own id, and would skip any other name at every poll.
            if one.current is None or worker_id_of(one.current.worker, ids) != worker:
                continue
            await workflows.record_offer(one)
            yield context_message(self.package.messages, one, ids)

    @unary_method
    async def GetWorkflowActions(self, request: Any, context: Any) -> Any:
        """Return all actions of a workflow; in the old package, none for an unknown workflow.

        In the new package, the actions of an ended workflow are refused: its workers then skip the workflow, instead of
        repeating a refused report of RUNNING forever. Workers of the old package would exit on a refusal.
        """
        id = required(request.workflow_id, "invalid workflow id")
        try:
            found = await self.workflows.get(id)
        except Refusal as refusal:
            if refusal.kind is WORKFLOW_NOT_FOUND and self.package.is_old:
                return self.package.messages.WorkflowActionList()
            raise
        if found.position.has_ended and not self.package.is_old:
            outcome = found.workflow.outcome or "failed"
            raise Refusal(WORKFLOW_HAS_BEEN_DONE, field="id", id=id, outcome=outcome)
        return actions_message(
            self.package.messages, found.plan, await self._ids_of_plan(found.plan), is_old=self.package.is_old
        )

    @unary_method
    async def ReportActionStatus(self, request: Any, context: Any) -> Any:
        """Apply a report of a worker."""
        return await self.apply_report(request)

    async def apply_report(self, request: Any) -> Any:
        """Apply a report, and record a worker that will repeat a refused one."""
        id = required(request.workflow_id, "invalid workflow id")
        report = Report(
            task_name=required(request.task_name, "invalid task name"),
            action_name=required(request.action_name, "invalid action name"),
            state=request.action_status,
            seconds=request.seconds,
            # Cut, not refused: a worker would repeat a refused report forever.
            message=storable_text(request.message),
            worker=storable_text(request.worker_id)[:LONGEST_WORKER],
        )
        try:
            await self.workflows.report(id, report, caller=CALLER)
        except Refusal as refusal:
            if refusal.kind is WORKFLOW_NOT_FOUND:
                raise GrpcError(self.package.unknown_workflow_code, "invalid workflow id") from None
            if refusal.kind is WORKFLOW_HAS_BEEN_DONE and not self.package.is_old:
                await self.workflows.record_stuck_worker(id, report)
            raise
        return self.package.messages.Empty()

    async def ids(self, several: Iterable[MachineWorkflow]) -> Mapping[str, str]:
        """Return ids of the workers of workflows, by name; empty in the new package, which uses the names."""
        if not self.package.is_old:
            return {}
        return await self.workflows.hardware.worker_ids({worker for one in several for worker in one.plan.workers})

    async def _ids_of_plan(self, plan: Plan) -> Mapping[str, str]:
        return await self.workflows.hardware.worker_ids(plan.workers) if self.package.is_old else {}


def required(text: str, reason: str) -> str:
    """Return an id or a name; raise GrpcError (INVALID_ARGUMENT) if it is empty or has a NUL."""
    if not text or "\0" in text:
        refuse(reason)
    return text


def storable_text(text: str) -> str:
    """Return a text without NUL, which Postgres cannot store, cut to the longest text of an event."""
    return text[:_LONGEST_TEXT].replace("\0", "\N{REPLACEMENT CHARACTER}")
