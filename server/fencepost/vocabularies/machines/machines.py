"""The workflows of machines: what their workers are offered, what they report, and how it all stands.

Nothing is kept in memory: each call finds the workflow, the action and the task behind it anew.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from typing import NamedTuple

import msgspec

from fencepost.domain.listing import Portion
from fencepost.domain.workflow import Workflow
from fencepost.engine.deciders import Deciders
from fencepost.engine.definitions import Definitions
from fencepost.engine.hints import Hints
from fencepost.engine.outcomes import TRIES, contended
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
    WorkflowPosition,
    position_of,
    transition_for,
)
from fencepost.vocabularies.machines.store import MachineStore, RecordedReport, StoredWorkflow, StuckWorker
from fencepost.vocabularies.machines.templates import Templates
from fencepost.vocabularies.machines.workflow_data import Carried

_PAGE = 200
_LONGEST_SHOWN = 100


class MachineWorkflow(NamedTuple):
    """A workflow of machines: its row, its rendered template, where it stands, and who cannot be told that it ended."""

    seq: int
    workflow: Workflow
    plan: Plan
    position: WorkflowPosition
    stuck: StuckWorker | None

    @property
    def current(self) -> Step | None:
        """The first action that has not succeeded, if there is one."""
        return (
            self.plan.steps[self.position.action_index] if self.position.action_index < len(self.plan.steps) else None
        )


class Machines:
    """The machines of a database."""

    def __init__(
        self,
        store: MachineStore,
        workflows: Workflows,
        definitions: Definitions,
        deciders: Deciders,
        hints: Hints,
        *,
        hardware: HardwareRecords,
        templates: Templates,
        carried: Carried,
    ) -> None:
        self._store = store
        self._workflows = workflows
        self._definitions = definitions
        self._deciders = deciders
        self._hints = hints
        self.hardware = hardware
        self.templates = templates
        self.carried = carried

    async def create(self, new: NewWorkflow) -> MachineWorkflow:
        """Begin a workflow of a template; raise Refusal."""
        _, document = await self._definitions.newest_workflow(new.definition)
        if not isinstance(document, MachineTemplate):
            reason = f"{new.definition!r} is the definition of a {document.kind}, and not of machines"
            raise invalid_params(reason, "$.definition")
        (created,) = await self._workflows.create([new])
        if isinstance(created, Refusal) and created.at is not None:
            created.at = created.at.replace("$.params.hardware", "$.hardware", 1)
        if isinstance(created, Exception):
            raise created
        await self._deciders.settle(created.id)
        # Said again after it was deleted, it is still the same.
        return await self.get(created.id, deleted=True)

    async def offers(self, worker: str) -> Sequence[MachineWorkflow]:
        """Return the live workflows in which it is a worker's turn, the oldest first."""
        names = await self.hardware.worker_names(worker)
        found = await self._with_positions(await self._store.list_of_worker([*names], live=True))
        return [one for one in found if _is_turn(one, names)]

    async def offered(self, one: MachineWorkflow) -> None:
        """Note that a worker of the protocol with contexts was offered a workflow.

        Told that its action is running, it begins that again, and announces none of the actions that follow.
        """
        if one.position.state is State.RUNNING and one.position.task_id is not None:
            await self._store.save_restart(one.workflow.id, one.position.task_id)

    async def stuck(self, id: str, report: Report) -> None:
        """Note a worker that will repeat a refused report for ever; the first time is a warning in the log."""
        if await self._store.save_stuck_worker(id, report):
            emit(Event.MACHINE_STUCK, worker=report.worker[:_LONGEST_SHOWN], action=report.action_name, workflow=id)

    async def all_of(self, worker: str) -> Sequence[MachineWorkflow]:
        """Return the workflows in which a worker has something to do, or had, the oldest first."""
        names = await self.hardware.worker_names(worker)
        return await self._with_positions(await self._store.list_of_worker([*names], live=False))

    async def get(self, id: str, *, deleted: bool = False) -> MachineWorkflow:
        """Return a workflow of machines, one that was `deleted` only on request; raise Refusal when there is none."""
        one = await self._store.find(id, deleted=deleted)
        if one is None:
            raise Refusal(WORKFLOW_NOT_FOUND, at="$.id", id=id)
        return (await self._with_positions([one]))[0]

    async def all(self, *, after: int = 0, size: int = _PAGE) -> Portion[MachineWorkflow]:
        """Return one page of workflows, the oldest first, behind the number `after`."""
        page = await self._store.list(after=after, size=size)
        return Portion(await self._with_positions(page.items), page.more)

    async def each(self) -> AsyncIterator[MachineWorkflow]:
        """Yield all workflows, the oldest first."""
        after = 0
        more = True
        while more:
            page, more = await self.all(after=after)
            for one in page:
                yield one
                after = one.seq

    async def report(self, id: str, report: Report, *, caller: str) -> None:
        """Take what a worker says of an action: it moves the action, or is noted when it comes again or too late.

        When it returns, what follows is there: the next action, or the end. Raises Refusal (`transition_for`).
        """
        for _ in range(TRIES):
            found = await self._get_with_current_task(id)
            transition = transition_for(found.plan, found.position, report, workflow=found.workflow)
            if transition is not None and found.position.task_id is None:
                continue
            is_resumed = transition == "success" and await self._is_resumed(found)
            said = ActionResult(State(report.state).wire_name, report.message, report.seconds, resumed=is_resumed)
            taken = await self._store.report(
                StoredWorkflow(found.seq, found.workflow),
                report,
                transition=transition,
                task_id=found.position.task_id,
                content=msgspec.json.encode(said),
                caller=caller,
            )
            if taken:
                if transition is not None:
                    self._hints.deadline(0.0)
                    await self._deciders.settle(id)
                return
        raise contended(f"workflow {id!r}")

    async def reports(self, id: str, *, after: int = 0, size: int) -> Portion[RecordedReport]:
        """Return what was reported of a workflow, the oldest first; raise Refusal when there is none."""
        found = await self.get(id)
        return await self._store.list_reports(found.workflow.id, after=after, size=size)

    async def delete(self, id: str, *, caller: str) -> None:
        """Cancel a workflow if it is live, and show it to machines no longer; raise Refusal when there is none."""
        found = await self.get(id)
        # First the end: a workflow that nobody sees must not go on.
        if found.workflow.status != "done":
            try:
                await self._workflows.cancel(id, caller=caller)
            except Refusal as refusal:
                if refusal.kind is UNAVAILABLE:
                    raise
        await self._store.delete(id)

    async def _is_resumed(self, found: MachineWorkflow) -> bool:
        """Whether the current action is one of a pass in which its worker announces none."""
        if found.position.state is State.PENDING:
            return True
        return await self._store.find_restart(found.workflow.id) == found.position.task_id

    async def _get_with_current_task(self, id: str) -> MachineWorkflow:
        """Return a workflow with its current action there as a task, if it is live.

        Also a deleted one, which is over: a worker that is still at it must be able to tell its end.
        """
        found = await self.get(id, deleted=True)
        if found.workflow.status == "created":
            raise Refusal(UNAVAILABLE, retry_after=1, reason=f"workflow {id!r} begins at {found.workflow.execute_at}")
        if found.position.has_ended or found.position.task_id is not None:
            return found
        # Between two actions: its decision may have been left behind by a server that died.
        await self._deciders.settle(id)
        return await self.get(id, deleted=True)

    async def _with_positions(self, several: Sequence[StoredWorkflow]) -> Sequence[MachineWorkflow]:
        latest = await self._store.current_actions([one.seq for one in several]) if several else {}
        over = [one.workflow.id for one in several if one.workflow.status == "done"]
        stuck = await self._store.list_stuck_workers(over) if over else {}
        found = []
        for seq, workflow in several:
            document = await self._definitions.work(workflow.definition, workflow.definition_version)
            assert isinstance(document, MachineTemplate), "only such are listed"
            plan = plan_of(document.template, workflow.params)
            position = position_of(workflow, latest.get(seq))
            found.append(MachineWorkflow(seq, workflow, plan, position, stuck.get(workflow.id)))
        return found


def _is_turn(one: MachineWorkflow, names: Collection[str]) -> bool:
    if one.workflow.status != "in-progress" or one.position.has_ended or one.current is None:
        return False
    return one.current.worker in names or address_of(one.current.worker) in names
