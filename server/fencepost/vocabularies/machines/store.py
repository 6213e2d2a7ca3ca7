"""The statements of sql/queries/machines on workflows of machines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from psycopg import Rollback

from fencepost.clock import Clock
from fencepost.domain.listing import Portion
from fencepost.domain.workflow import Workflow
from fencepost.store.batches import Batches, Done, Row, Wakeup
from fencepost.store.calls import Call
from fencepost.store.connection import Connection, fetch
from fencepost.store.database import Database
from fencepost.store.statements import statement
from fencepost.store.transitions_by_id import TransitionCall, apply_locked
from fencepost.store.workflow_tree import lock_workflows
from fencepost.vocabularies.machines.position import LatestAction, Report, Transition

# The contexts of this many workflows fit into one message of 26 MiB.
_MAX_WORKFLOWS_PER_WORKER = 10_000

# Characters kept of a worker's name; names in templates are not longer.
_LONGEST_WORKER = 1000
# Statuses of the task from which a report moves it. In any other status, another report was first.
_ALLOWED_STATUSES: dict[Transition, list[str]] = {
    "start": ["ready", "requested"],
    "success": ["ready", "requested", "in-progress"],
    "fail": ["ready", "requested", "in-progress"],
}


class StoredWorkflow(NamedTuple):
    """A workflow and its sequence number."""

    seq: int
    workflow: Workflow


class RecordedReport(NamedTuple):
    """An accepted report; `transition` is its effect, None if it changed nothing."""

    seq: int
    at: str
    task: str
    action: str
    state: int
    seconds: int
    message: str
    worker: str
    transition: str | None


class DataVersion(NamedTuple):
    """A version of the data of a workflow, as JSON text; `data` is None for a version that keeps only its metadata."""

    version: int
    metadata: bytes
    data: bytes | None


class StuckWorker(NamedTuple):
    """A worker that keeps reporting RUNNING for an ended workflow, which is refused every time."""

    since: str
    last_at: str
    task: str
    action: str
    worker: str


class Effect(NamedTuple):
    """The transition that a report applies to the task of its action; `content` is None for a start, else JSON text."""

    task_id: str
    transition: Transition
    content: bytes | None


class _ReportCall(Call, frozen=True):
    """A report about the workflow `id`, and its effect."""

    id: str
    workflow_seq: int
    report: Report
    effect: Effect | None
    caller: str


class MachineStore:
    """Stores machine workflows; reports are applied in batches."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        waiting: int = 20_000,
        on_wakeups: Callable[[Sequence[Wakeup]], None] | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._reports = Batches(database, clock, _apply_reports, waiting=waiting, on_wakeups=on_wakeups)

    async def report(
        self,
        found: StoredWorkflow,
        report: Report,
        *,
        effect: Effect | None,
        caller: str,
    ) -> bool:
        """Record a report and apply its effect to the task of its action, in one transaction.

        Return False, and record nothing, if that task has moved meanwhile or the workflow is gone.
        """
        (row,) = await self._reports.submit([_ReportCall(found.workflow.id, found.seq, report, effect, caller)])
        if isinstance(row, Exception):
            raise row
        return row is not None

    async def current_actions(self, seqs: Sequence[int]) -> dict[int, LatestAction]:
        """Return the latest action of each workflow, by the sequence number of the workflow."""
        rows = await self._database.fetch(statement("machines/current_actions"), {"workflows": list(seqs)})
        return {row[0]: LatestAction._make(row[1:]) for row in rows}

    async def find(self, id: str, *, deleted: bool = False) -> StoredWorkflow | None:
        """Return a machine workflow, or None; with `deleted`, a deleted one too."""
        rows = await self._database.fetch(statement("machines/find"), {"id": id, "deleted": deleted})
        return _stored_workflow(rows[0]) if rows else None

    async def list(self, *, after: int, size: int) -> Portion[StoredWorkflow]:
        """Return a page of workflows after the sequence number `after`, oldest first."""
        page = await self._database.reads.page(statement("machines/list"), {"after": after}, size=size)
        return Portion([_stored_workflow(row) for row in page.items], page.more)

    async def list_of_worker(self, names: Sequence[str], *, live: bool) -> Sequence[StoredWorkflow]:
        """Return the workflows that have actions for any of these worker names, oldest first.

        With `live`, all live workflows; else ended ones too, of which the oldest are left out above the limit.
        """
        params, text = {"names": list(names), "live": live}, statement("machines/list_of_worker")
        if live:
            # No limit: the worker's next action is in the oldest workflow.
            rows: Sequence[Row] = await self._database.fetch(text, {**params, "size": None})
        else:
            rows = (await self._database.reads.page(text, params, size=_MAX_WORKFLOWS_PER_WORKER)).items
        return sorted((_stored_workflow(row) for row in rows), key=lambda found: found.seq)

    async def list_reports(self, workflow_id: str, *, after: int, size: int) -> Portion[RecordedReport]:
        """Return a page of the reports of a workflow, oldest first."""
        params = {"workflow_id": workflow_id, "after": after}
        page = await self._database.reads.page(statement("machines/list_reports"), params, size=size)
        return Portion([RecordedReport._make(row) for row in page.items], page.more)

    async def delete(self, workflow_id: str) -> None:
        """Hide a workflow from lists and workers."""
        params = {"workflow_id": workflow_id, "now": self._clock.now()}
        await self._database.fetch(statement("machines/delete"), params)

    async def save_restart(self, workflow_id: str, task_id: str) -> None:
        """Record that a worker starts its running action again."""
        params = {"workflow_id": workflow_id, "task_id": task_id}
        await self._database.fetch(statement("machines/save_restart"), params)

    async def find_restart(self, workflow_id: str) -> str | None:
        """Return the task of the action that was started again last, or None."""
        rows = await self._database.fetch(statement("machines/find_restart"), {"workflow_id": workflow_id})
        return str(rows[0][0]) if rows else None

    async def save_stuck_worker(self, workflow_id: str, report: Report) -> bool:
        """Record a worker that will repeat a refused report; return whether it is the first one of its workflow."""
        params = {
            "workflow_id": workflow_id,
            "task": report.task_name,
            "action": report.action_name,
            "worker": report.worker[:_LONGEST_WORKER],
            "now": self._clock.now(),
        }
        rows = await self._database.fetch(statement("machines/save_stuck_worker"), params)
        return bool(rows and rows[0][0])

    async def list_stuck_workers(self, workflow_ids: Sequence[str]) -> Mapping[str, StuckWorker]:
        """Return the stuck workers, by workflow id."""
        rows = await self._database.fetch(
            statement("machines/list_stuck_workers"), {"workflow_ids": list(workflow_ids)}
        )
        return {row[0]: StuckWorker._make(row[1:]) for row in rows}

    async def put_data(self, workflow_id: str, metadata: bytes, data: bytes, *, kept: int) -> int | None:
        """Store a new version of a workflow's data and return its number.

        Return None if another version was stored at the same moment, or if the workflow and its history are gone.
        """
        params = {"workflow_id": workflow_id, "metadata": metadata.decode(), "data": data.decode(), "kept": kept}
        rows = await self._database.fetch(statement("machines/put_data"), params)
        return int(rows[0][0]) if rows else None

    async def find_data(self, workflow_id: str, version: int | None) -> DataVersion | None:
        """Return a version of a workflow's data, the newest for None; None if it does not exist."""
        params = {"workflow_id": workflow_id, "version": version}
        rows = await self._database.fetch(statement("machines/find_data"), params)
        return DataVersion._make(rows[0]) if rows else None


def _apply_reports(connection: Connection, calls: Sequence[_ReportCall], now: datetime | None) -> Done:
    """Apply a batch of reports, each in a savepoint of its own."""
    rows: dict[int, Row | Exception] = {}
    wakeups: list[Wakeup] = []
    with connection.transaction():
        lock_workflows(connection, workflows=[call.workflow_seq for call in calls], with_parents=True)
        for call in calls:
            with connection.transaction() as alone:
                moved = _apply_transition(connection, call, now)
                if moved is None or not fetch(
                    connection, statement("machines/save_report"), {**_report_params(call), "now": now}
                ):
                    raise Rollback(alone)
                rows[call.call] = (call.call,)
                wakeups += moved
    return Done(rows, wakeups)


def _apply_transition(connection: Connection, call: _ReportCall, now: datetime | None) -> Sequence[Wakeup] | None:
    """Apply the transition of a report, and start the workflow's time limit with the first one.

    Return None if the task is no longer in a status from which the report moves it.
    """
    if call.effect is None:
        return ()
    id, verb, content = call.effect
    worker = call.report.worker or None
    moves = [
        TransitionCall(
            id=id, verb=verb, allowed=_ALLOWED_STATUSES[verb], caller=call.caller, worker=worker, content=content
        )
    ]
    limits = fetch(connection, statement("machines/find_time_limit"), {"workflow_seq": call.workflow_seq})
    moves += [
        TransitionCall(id=limit, verb="start", allowed=["ready"], caller=call.caller, worker=worker)
        for (limit,) in limits
    ]
    done = apply_locked(connection, moves, now)
    return done.wakeups if 0 in done.outcomes else None


def _report_params(call: _ReportCall) -> dict[str, Any]:
    report = call.report
    return {
        "workflow_id": call.id,
        "task": report.task_name,
        "action": report.action_name,
        "state": int(report.state),
        "seconds": report.seconds,
        "message": report.message,
        "worker": report.worker,
        "verb": call.effect and call.effect.transition,
    }


def _stored_workflow(row: Row) -> StoredWorkflow:
    return StoredWorkflow(row[0], Workflow._make(row[1:]))
