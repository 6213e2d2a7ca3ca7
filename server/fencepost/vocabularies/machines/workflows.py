"""Machine workflows: creates them, offers their actions to workers, and applies the reports of workers.

Nothing is cached between calls: each call reads the workflow, its current action and the task of that action.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from typing import NamedTuple

import msgspec

from fencepost.domain.listing import Portion
from fencepost.domain.workflow import Workflow
from fencepost.engine.deciders import Deciders
from fencepost.engine.definitions import Definitions
from fencepost.engine.outcomes import TRIES, too_contended
from fencepost.engine.wakeups import Wakeups
from fencepost.engine.workflows import NewWorkflow, Workflows
from fencepost.errors import UNAVAILABLE, WORKFLOW_NOT_FOUND, Refusal, invalid_params
from fencepost.telemetry import Event, emit
from fencepost.vocabularies.machines.document import MachineTemplate
from fencepost.vocabularies.machines.hardware import HardwareRecords
from fencepost.vocabularies.machines.hardware_document import address_of
from fencepost.vocabularies.machines.plan import Plan, Step, plan_of
from fencepost.vocabularies.machines.position import (
    ActionResult,
    Report,
    State,
    Transition,
    WorkflowPosition,
    position_of,
    transition_for,
)
from fencepost.vocabularies.machines.store import Effect, MachineStore, RecordedReport, StoredWorkflow, StuckWorker
from fencepost.vocabularies.machines.templates import Templates
from fencepost.vocabularies.machines.workflow_data import WorkflowData

_PAGE = 200
_LONGEST_SHOWN = 100


class MachineWorkflow(NamedTuple):
    """A machine workflow: its row, its rendered template, its position, and a worker that repeats a refused report."""

    seq: int
    workflow: Workflow
    plan: Plan
    position: WorkflowPosition
    stuck_worker: StuckWorker | None

    @property
    def current(self) -> Step | None:
        """The first action that has not succeeded, or None."""
        return (
            self.plan.steps[self.position.action_index] if self.position.action_index < len(self.plan.steps) else None
        )


class MachineWorkflows:
    """The machine workflows of a database; methods raise Refusal, `workflow-not-found` for an unknown id."""

    def __init__(
        self,
        store: MachineStore,
        workflows: Workflows,
        definitions: Definitions,
        deciders: Deciders,
        wakeups: Wakeups,
        *,
        hardware: HardwareRecords,
        templates: Templates,
        data: WorkflowData,
    ) -> None:
        self._store = store
        self._workflows = workflows
        self._definitions = definitions
        self._deciders = deciders
        self._wakeups = wakeups
        self.hardware = hardware
        self.templates = templates
        self.data = data

    async def create(
        self, definition: str, params: bytes | None, *, caller: str, id: str | None = None, label: str | None = None
    ) -> MachineWorkflow:
        """Create a workflow from a template and params, a JSON text; when this returns, its first action is scheduled.

        Idempotent for an id, also after the workflow was deleted. Raises Refusal: `definition-not-found`,
        `invalid-params` (hardware that does not fit the template), `already-exists` (same id, other content).
        """
        _, document = await self._definitions.newest_workflow(definition)
        if not isinstance(document, MachineTemplate):
            reason = f"{definition!r} is a document of kind {document.kind}, not machine-template"
            raise invalid_params(reason, "definition")
        new = NewWorkflow(definition, id, label, params, execute_at=None, caller=caller)
        (created,) = await self._workflows.create([new])
        if isinstance(created, Refusal):
            raise created.renamed("params.hardware", "hardware")
        if isinstance(created, Exception):
            raise created
        await self._deciders.run_pending_decisions(created.id)
        # A repeated call returns the same workflow even if it was deleted meanwhile.
        return await self.get(created.id, deleted=True)

    async def list_offered(self, worker: str) -> Sequence[MachineWorkflow]:
        """Return the live workflows with a current action for a worker, oldest first."""
        names = await self.hardware.worker_names(worker)
        found = await self._with_positions(await self._store.list_of_worker([*names], live=True))
        return [one for one in found if _is_turn(one, names)]

    async def record_offer(self, one: MachineWorkflow) -> None:
        """Record that a worker was offered a workflow through `GetWorkflowContexts`.

        If the action is already running, the worker starts it again, and reports no RUNNING for the following actions.
        """
        if one.position.state is State.RUNNING and one.position.task_id is not None:
            await self._store.save_restart(one.workflow.id, one.position.task_id)

    async def record_stuck_worker(self, id: str, report: Report) -> None:
        """Record a worker that will repeat a refused report forever; log a warning for the first one of a workflow."""
        if await self._store.save_stuck_worker(id, report):
            emit(Event.MACHINE_STUCK, worker=report.worker[:_LONGEST_SHOWN], action=report.action_name, workflow=id)

    async def list_of_worker(self, worker: str) -> Sequence[MachineWorkflow]:
        """Return all workflows with an action for a worker, ended ones too, oldest first."""
        names = await self.hardware.worker_names(worker)
        return await self._with_positions(await self._store.list_of_worker([*names], live=False))

    async def get(self, id: str, *, deleted: bool = False) -> MachineWorkflow:
        """Return a machine workflow, with `deleted` also a deleted one; raise Refusal (`workflow-not-found`)."""
        one = await self._store.find(id, deleted=deleted)
        if one is None:
            raise Refusal(WORKFLOW_NOT_FOUND, field="id", id=id)
        return (await self._with_positions([one]))[0]

    async def list(self, *, after: int = 0, size: int = _PAGE) -> Portion[MachineWorkflow]:
        """Return a page of workflows after the sequence number `after`, oldest first."""
        page = await self._store.list(after=after, size=size)
        return Portion(await self._with_positions(page.items), page.more)

    async def iterate(self) -> AsyncIterator[MachineWorkflow]:
        """Yield all workflows, oldest first."""
        after = 0
        more = True
        while more:
            page, more = await self.list(after=after)
            for one in page:
                yield one
                after = one.seq

    async def report(self, id: str, report: Report, *, caller: str) -> None:
        """Apply a worker's report to the current action; a repeated or late report is only recorded.

        When this returns, the next action is scheduled, or the workflow has ended. Raises Refusal:
        `workflow-not-found`, `unavailable` (the workflow begins later), and those of `transition_for`.
        """
        for _ in range(TRIES):
            found = await self._get_with_current_task(id)
            transition = transition_for(found.plan, found.position, report, workflow=found.workflow)
            if transition is not None and found.position.task_id is None:
                continue
            is_resumed = transition == "success" and await self._is_resumed(found)
            effect = _effect(found, report, transition, is_resumed=is_resumed)
            is_recorded = await self._store.report(
                StoredWorkflow(found.seq, found.workflow), report, effect=effect, caller=caller
            )
            if is_recorded:
                if transition is not None:
                    self._wakeups.deadline(0.0)
                    await self._deciders.run_pending_decisions(id)
                return
        raise too_contended(f"workflow {id!r}")

    async def list_reports(self, id: str, *, after: int = 0, size: int) -> Portion[RecordedReport]:
        """Return a page of the reports of a workflow, oldest first; raise Refusal (`workflow-not-found`)."""
        found = await self.get(id)
        return await self._store.list_reports(found.workflow.id, after=after, size=size)

    async def delete(self, id: str, *, caller: str) -> None:
        """Cancel a workflow if it is live, and hide it from lists and workers; raise Refusal (`workflow-not-found`)."""
        found = await self.get(id)
        # Cancel first: a hidden workflow must not run.
        if found.workflow.status != "done":
            try:
                await self._workflows.cancel(id, caller=caller)
            except Refusal as refusal:
                if refusal.kind is UNAVAILABLE:
                    raise
        await self._store.delete(id)

    async def _is_resumed(self, found: MachineWorkflow) -> bool:
        """Return whether the worker of the current action resumed, and so reports no RUNNING."""
        if found.position.state is State.PENDING:
            return True
        return await self._store.find_restart(found.workflow.id) == found.position.task_id

    async def _get_with_current_task(self, id: str) -> MachineWorkflow:
        """Return a workflow; if it is live, with its current action scheduled.

        Includes deleted workflows, so that a worker can still report the end of its action.
        """
        found = await self.get(id, deleted=True)
        if found.workflow.status == "created":
            raise Refusal(UNAVAILABLE, retry_after=1, reason=f"workflow {id!r} begins at {found.workflow.execute_at}")
        if found.position.has_ended or found.position.task_id is not None:
            return found
        # The workflow is between two actions; a server may have stopped before it ran the decision.
        await self._deciders.run_pending_decisions(id)
        return await self.get(id, deleted=True)

    async def _with_positions(self, several: Sequence[StoredWorkflow]) -> Sequence[MachineWorkflow]:
        latest = await self._store.current_actions([one.seq for one in several]) if several else {}
        over = [one.workflow.id for one in several if one.workflow.status == "done"]
        stuck = await self._store.list_stuck_workers(over) if over else {}
        found = []
        for seq, workflow in several:
            document = await self._definitions.work(workflow.definition, workflow.definition_version)
            assert isinstance(document, MachineTemplate), "the statements select this kind only"
            plan = plan_of(document.template, workflow.params)
            position = position_of(workflow, latest.get(seq))
            found.append(MachineWorkflow(seq, workflow, plan, position, stuck.get(workflow.id)))
        return found


def _effect(
    found: MachineWorkflow, report: Report, transition: Transition | None, *, is_resumed: bool
) -> Effect | None:
    """Return the effect of a report on the current task, if it has a transition."""
    if transition is None or found.position.task_id is None:
        return None
    result = ActionResult(State(report.state).wire_name, report.message, report.seconds, resumed=is_resumed)
    content = None if transition == "start" else msgspec.json.encode(result)
    return Effect(found.position.task_id, transition, content)


def _is_turn(one: MachineWorkflow, names: Collection[str]) -> bool:
    if one.workflow.status != "in-progress" or one.position.has_ended or one.current is None:
        return False
    return one.current.worker in names or address_of(one.current.worker) in names
