"""Device runs. Each is a workflow; this module presents it in device terms."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from fencepost.domain.document import Definition
from fencepost.domain.ids import IdKind, kind_of
from fencepost.domain.listing import Filter, Portion
from fencepost.domain.task import Task, workflow_of
from fencepost.domain.workflow import Workflow
from fencepost.engine.deciders import Deciders
from fencepost.engine.definitions import Definitions
from fencepost.engine.outcomes import TRIES, too_contended
from fencepost.engine.tasks import Tasks
from fencepost.engine.transitions_by_id import TransitionsById, UnexpectedState
from fencepost.engine.workflows import NewWorkflow, Workflows
from fencepost.errors import DEFINITION_NOT_FOUND, TASK_NOT_FOUND, WORKFLOW_HAS_BEEN_DONE, WORKFLOW_NOT_FOUND, Refusal
from fencepost.store.pages import size_of
from fencepost.store.transitions_by_id import Verb as Transition
from fencepost.store.workflows import Found
from fencepost.vocabularies.devices.document import DEVICE_PREFIX, DeviceWorkflow, parse_run_params
from fencepost.vocabularies.devices.errors import REPORT_REFUSED, RUN_IS_OVER, RUN_NOT_FOUND
from fencepost.vocabularies.devices.labels import StepTry
from fencepost.vocabularies.devices.registry import DeviceRegistry
from fencepost.vocabularies.devices.reports import Report
from fencepost.vocabularies.devices.statuses import (
    ALLOWED_FROM,
    CORE_STATUSES,
    RESULTING_STATUS,
    RunStatus,
    Verb,
    run_status,
    task_status,
)
from fencepost.vocabularies.devices.store import DeviceStore

_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
_NAME = re.compile(r"[A-Za-z0-9_./-]{1,605}")
_TRANSITIONS: dict[Verb, Transition] = {
    "start": "start",
    "complete": "success",
    "reject": "fail",
    "abort": "fail",
    "fail": "fail",
}
# More than a run can have: an attempt has at most a thousand steps.
_MAX_ACTIVITIES = 1_000_000
_PAGE = 1000

# Runs of a page that are read concurrently.
_CONCURRENT_READS = 4


class Run(NamedTuple):
    """A run with its number, its tasks and its child workflows, the oldest first."""

    seq: int
    workflow: Workflow
    device: str
    tasks: Sequence[Task]
    children: Sequence[Workflow]

    @property
    def activities(self) -> list[Task | Workflow]:
        """Tasks and child workflows."""
        return [*self.tasks, *self.children]

    @property
    def status(self) -> RunStatus:
        """The device status of the run."""
        return run_status(self.workflow, self.activities)

    @property
    def attempt(self) -> int:
        """How many times the run has begun at its first step."""
        tries = [StepTry.parse(one.label) for one in self.activities if one.label is not None]
        return max(tries).attempt if tries else 1


class Runs:
    """The device runs of a database. Ids are text; `caller` is the client's id."""

    def __init__(
        self,
        workflows: Workflows,
        tasks: Tasks,
        definitions: Definitions,
        transitions: TransitionsById,
        deciders: Deciders,
        registry: DeviceRegistry,
        store: DeviceStore,
    ) -> None:
        self._workflows = workflows
        self._tasks = tasks
        self._definitions = definitions
        self._transitions = transitions
        self._deciders = deciders
        self._registry = registry
        self._store = store

    async def begin(self, workflow: str, params: bytes, *, id: str | None, caller: str) -> Run:
        """Begin a run with params (JSON text); idempotent for an `id` with the same content.

        Raises Refusal with fields of `params`: `definition-not-found`, `invalid-params`, `key-taken` while the device
        has another live run, and `already-exists` for an `id` with other content.
        """
        await self.workflow(workflow)
        (begun,) = await self._workflows.create([NewWorkflow(workflow, id, None, params, None, caller)])
        if isinstance(begun, Refusal):
            raise begun.renamed("params", "")
        if isinstance(begun, Exception):
            raise begun
        await self._deciders.run_pending_decisions(begun.id)
        return await self.get(begun.id)

    async def stop(self, id: str, *, caller: str) -> Run:
        """End a run and its live task as ABORTED; idempotent.

        Raises Refusal: `workflow-run-not-found`, and `workflow-run-is-over` for a run that ended otherwise.
        """
        run = await self.get(id)
        if run.workflow.status != "done":
            try:
                await self._workflows.cancel(id, caller=caller)
            except Refusal as refusal:
                if refusal.kind is not WORKFLOW_HAS_BEEN_DONE:
                    raise
            run = await self.get(id)
        if run.status != "ABORTED":
            raise Refusal(RUN_IS_OVER, field="id", id=id, status=run.status)
        return run

    async def get(self, id: str, *, read_only: bool = False) -> Run:
        """Return a run with its activities; raise Refusal (`workflow-run-not-found`).

        With `read_only`, it uses the connections of plain reads.
        """
        if not _ID.fullmatch(id):
            raise Refusal(RUN_NOT_FOUND, field="id", id=id[:64])
        try:
            found = await self._workflows.get(id)
        except Refusal as refusal:
            if refusal.kind is not WORKFLOW_NOT_FOUND:
                raise
            raise Refusal(RUN_NOT_FOUND, field="id", id=id) from None
        device = await self.device_of(found.workflow)
        if device is None:
            raise Refusal(RUN_NOT_FOUND, field="id", id=id)
        held, children = await self._workflows.activities(found.seq, size=_MAX_ACTIVITIES, looks=read_only)
        return Run(found.seq, found.workflow, device, [one.task for one in held], children)

    async def list(
        self, workflow: str, *, position: tuple[str, int] | None, size: int
    ) -> tuple[Sequence[Run], tuple[str, int] | None]:
        """Return one page of the runs of a device workflow, the newest first, and the position of the next page."""
        await self.workflow(workflow)
        page = await self._workflows.list(
            Filter(include=[workflow]), sort="created_at", direction="desc", position=position, size=size
        )
        runs: list[Run] = []
        left = self._store.answer_bytes
        for offset in range(0, len(page.workflows), _CONCURRENT_READS):
            some = page.workflows[offset : offset + _CONCURRENT_READS]
            for run in await asyncio.gather(*(self.get(found.id, read_only=True) for found in some)):
                if left <= 0:
                    return runs, (runs[-1].workflow.created_at, runs[-1].seq)
                runs.append(run)
                left -= sum(map(size_of, (run.workflow, *run.activities)))
        return runs, page.position

    async def workflow(self, name: str) -> Definition:
        """Return a device workflow; raise Refusal (`definition-not-found`) for an unknown one."""
        try:
            definition = await self._definitions.newest(name) if _NAME.fullmatch(name) else None
        except Refusal as refusal:
            raise refusal.about("workflow") from None
        if definition is None or not isinstance(definition.document, DeviceWorkflow):
            raise Refusal(DEFINITION_NOT_FOUND, field="workflow", name=name[:605], hint="")
        return definition

    async def workflows(self, *, after: str | None, size: int) -> Portion[Definition]:
        """Return device workflows in the order of their names, after the name `after`."""
        names = sorted(name for name in await self._definitions.names_of([DeviceWorkflow.kind]) if name > (after or ""))
        page = [await self._definitions.newest(name) for name in names[:size]]
        return Portion(page, more=len(names) > len(page))

    async def task(self, id: str) -> Task:
        """Return a task of a run; raise Refusal (`task-not-found`) for any other task."""
        return (await self._task(id))[0]

    async def _task(self, id: str) -> tuple[Task, Found]:
        """Return a task of a run and the workflow of the run."""
        if not _ID.fullmatch(id) or kind_of(id) is not IdKind.ACTIVITY:
            raise Refusal(TASK_NOT_FOUND, field="id", id=id[:64])
        task = (await self._tasks.get(id)).task
        run = await self._workflows.get(workflow_of(task))
        device = await self.device_of(run.workflow)
        if device is None or task.definition != DEVICE_PREFIX + device:
            raise Refusal(TASK_NOT_FOUND, field="id", id=id)
        return task, run

    async def task_of(self, device: str) -> Task | None:
        """Return the live task of a device, None without one."""
        return (await self.tasks_of(device)).get(device)

    async def tasks_of(self, *devices: str) -> Mapping[str, Task]:
        """Return the live tasks of several devices, by the name of the device."""
        tasks = await self._store.list_tasks(*devices)
        return {task.definition.removeprefix(DEVICE_PREFIX): task for task in reversed(tasks)}

    async def report(self, id: str, report: Report, *, caller: str) -> Task:
        """Apply a report of a device to a task of a run and return the task; a repeated report has no effect.

        A report that ends the task also runs the next decision of the run, unless another server is making it. Raises
        Refusal: `task-not-found`, and `report-refused` when the report does not fit the status of the task.
        """
        task, run = await self._task(id)
        before = task_status(task.status, task.outcome, task.error)
        updated = await self._apply(task, report, caller)
        await self._registry.heartbeat(task.definition.removeprefix(DEVICE_PREFIX))
        if updated.status == "done" and before not in ("COMPLETED", "REJECTED", "ABORTED"):
            await self._deciders.run_pending_decisions(run.workflow.id, run)
        return updated

    async def device_of(self, workflow: Workflow) -> str | None:
        """Return the device of a run, None for any other workflow."""
        definition = await self._definitions.work(workflow.definition, workflow.definition_version)
        return (
            definition.device_of(parse_run_params(workflow.params)) if isinstance(definition, DeviceWorkflow) else None
        )

    async def _apply(self, task: Task, report: Report, caller: str) -> Task:
        """Apply a report, with a retry when the status of the task changes meanwhile."""
        verb, device = report.verb, task.definition.removeprefix(DEVICE_PREFIX)
        for _ in range(TRIES):
            status = task_status(task.status, task.outcome, task.error)
            if status == RESULTING_STATUS[verb]:
                return task
            if status not in ALLOWED_FROM[verb]:
                wanted = " or ".join(ALLOWED_FROM[verb])
                raise Refusal(REPORT_REFUSED, field="id", id=task.id, status=status, verb=verb, wanted=wanted)
            try:
                return await self._transitions.apply(
                    task.id,
                    _TRANSITIONS[verb],
                    allowed=CORE_STATUSES[status],
                    caller=caller,
                    worker=device,
                    content=report.content_from(status),
                )
            except UnexpectedState as unexpected:
                task = unexpected.task
        raise too_contended(f"task {task.id!r}")
