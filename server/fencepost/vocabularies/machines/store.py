"""Every statement about the workflows of machines, as a method of its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from psycopg import Rollback

from fencepost.clock import Clock
from fencepost.domain.listing import Portion
from fencepost.domain.workflow import Workflow
from fencepost.store.batches import Batches, Done, Hint, Row
from fencepost.store.connection import Connection, fetch
from fencepost.store.database import Database
from fencepost.store.families import lock
from fencepost.store.hands import by_hand, move_locked
from fencepost.store.statements import statement
from fencepost.vocabularies.machines.position import LatestAction, Report, Transition

# Workflows of one worker in one answer: a message of 26 MiB holds the contexts of so many.
_MOST_OF_WORKER = 10_000

# Of what a worker calls itself; templates have no longer ones.
_LONGEST_WORKER = 1000
# From where a report moves an action: whoever meets it elsewhere was overtaken.
_FROM: dict[Transition, list[str]] = {
    "start": ["ready", "requested"],
    "success": ["ready", "requested", "in-progress"],
    "fail": ["ready", "requested", "in-progress"],
}


class Numbered(NamedTuple):
    """A workflow and its number."""

    seq: int
    workflow: Workflow


class Reported(NamedTuple):
    """A report that was taken; `verb` is what it did, None for nothing."""

    seq: int
    at: str
    task: str
    action: str
    state: int
    seconds: int
    message: str
    worker: str
    verb: str | None


class Data(NamedTuple):
    """A version of what a workflow carries along, JSON text; the data of an old one is gone."""

    version: int
    metadata: bytes
    data: bytes | None


class Stuck(NamedTuple):
    """A worker that reports again and again that an action of a finished workflow runs."""

    since: str
    last_at: str
    task: str
    action: str
    worker: str


class MachineStore:
    """The statements of sql/queries/machines; reports go through natural batches."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        waiting: int = 20_000,
        on_hints: Callable[[Sequence[Hint]], None] | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._reports = Batches(database, clock, _take, waiting=waiting, on_hints=on_hints)

    async def report(
        self,
        found: Numbered,
        report: Report,
        *,
        verb: Transition | None,
        task_id: str | None,
        content: bytes,
        caller: str,
    ) -> bool:
        """Note a report, in one transaction with what it does to the task of its action.

        Return False, and note nothing, when that task was moved by somebody else, or the workflow is gone.
        """
        call = {
            "id": found.workflow.id,
            "workflow_seq": found.seq,
            "report": report,
            "verb": verb,
            "task_id": task_id,
            "content": content,
            "caller": caller,
        }
        (row,) = await self._reports.submit([call])
        if isinstance(row, Exception):
            raise row
        return row is not None

    async def current_actions(self, seqs: Sequence[int]) -> dict[int, LatestAction]:
        """Return the actions that workflows began last, by the number of the workflow."""
        rows = await self._database.fetch(statement("machines/current_actions"), {"workflows": list(seqs)})
        return {row[0]: LatestAction._make(row[1:]) for row in rows}

    async def find(self, id: str, *, deleted: bool = False) -> Numbered | None:
        """Return a workflow of machines, one that was `deleted` only on request; None for one of another kind."""
        rows = await self._database.fetch(statement("machines/find"), {"id": id, "deleted": deleted})
        return _numbered(rows[0]) if rows else None

    async def list(self, *, after: int, size: int) -> Portion[Numbered]:
        """Return the workflows of machines behind the number `after`, the oldest first."""
        page = await self._database.reads.page(statement("machines/list"), {"after": after}, size=size)
        return Portion([_numbered(row) for row in page.items], page.more)

    async def list_of_worker(self, names: Sequence[str], *, live: bool) -> Sequence[Numbered]:
        """Return the workflows in which a worker of these names has something to do, or had, the oldest first.

        Of those that are over, the oldest are left out where all of them do not fit into an answer.
        """
        params, text = {"names": list(names), "live": live}, statement("machines/list_of_worker")
        if live:
            # All: it is the turn of the oldest.
            rows: Sequence[Row] = await self._database.fetch(text, {**params, "size": None})
        else:
            rows = (await self._database.reads.page(text, params, size=_MOST_OF_WORKER)).items
        return sorted((_numbered(row) for row in rows), key=lambda found: found.seq)

    async def list_reports(self, workflow_id: str, *, after: int, size: int) -> Portion[Reported]:
        """Return what was reported of a workflow, the oldest first."""
        params = {"workflow_id": workflow_id, "after": after}
        page = await self._database.reads.page(statement("machines/list_reports"), params, size=size)
        return Portion([Reported._make(row) for row in page.items], page.more)

    async def delete(self, workflow_id: str) -> None:
        """Let a workflow be shown to machines no longer."""
        params = {"workflow_id": workflow_id, "now": self._clock.now()}
        await self._database.fetch(statement("machines/delete"), params)

    async def save_restart(self, workflow_id: str, task_id: str) -> None:
        """Keep that the worker of a running action begins it again."""
        params = {"workflow_id": workflow_id, "task_id": task_id}
        await self._database.fetch(statement("machines/save_restart"), params)

    async def find_restart(self, workflow_id: str) -> str | None:
        """Return the task of the action that was begun again last."""
        rows = await self._database.fetch(statement("machines/find_restart"), {"workflow_id": workflow_id})
        return str(rows[0][0]) if rows else None

    async def save_stuck_worker(self, workflow_id: str, report: Report) -> bool:
        """Keep a report that was refused and will be repeated; return whether it is the first of its workflow."""
        params = {
            "workflow_id": workflow_id,
            "task": report.task_name,
            "action": report.action_name,
            "worker": report.worker[:_LONGEST_WORKER],
            "now": self._clock.now(),
        }
        rows = await self._database.fetch(statement("machines/save_stuck_worker"), params)
        return bool(rows and rows[0][0])

    async def list_stuck_workers(self, workflow_ids: Sequence[str]) -> Mapping[str, Stuck]:
        """Return the workers that repeat themselves, by their workflows."""
        rows = await self._database.fetch(
            statement("machines/list_stuck_workers"), {"workflow_ids": list(workflow_ids)}
        )
        return {row[0]: Stuck._make(row[1:]) for row in rows}

    async def put_data(self, workflow_id: str, metadata: bytes, data: bytes, *, kept: int) -> int | None:
        """Keep a further version of a workflow's data; return None when another one was put at the same moment.

        Or when the workflow and its history are gone.
        """
        params = {"workflow_id": workflow_id, "metadata": metadata.decode(), "data": data.decode(), "kept": kept}
        rows = await self._database.fetch(statement("machines/put_data"), params)
        return int(rows[0][0]) if rows else None

    async def find_data(self, workflow_id: str, version: int | None) -> Data | None:
        """Return a version of a workflow's data, or the newest."""
        params = {"workflow_id": workflow_id, "version": version}
        rows = await self._database.fetch(statement("machines/find_data"), params)
        return Data._make(rows[0]) if rows else None


def _take(connection: Connection, calls: Sequence[dict[str, Any]], now: datetime | None) -> Done:
    """Take reports, each whole or not at all."""
    rows: dict[int, Row | Exception] = {}
    hints: list[Hint] = []
    with connection.transaction():
        lock(connection, workflows=[call["workflow_seq"] for call in calls], with_parents=True)
        for call in calls:
            with connection.transaction() as alone:
                moved = _moved(connection, call, now)
                if moved is None or not fetch(
                    connection, statement("machines/save_report"), {**_noted(call), "now": now}
                ):
                    raise Rollback(alone)
                rows[call["call"]] = (call["call"],)
                hints += moved
    return Done(rows, hints)


def _moved(connection: Connection, call: dict[str, Any], now: datetime | None) -> Sequence[Hint] | None:
    """Do what a report does, and begin the time limit of the workflow with the first one; None if it was overtaken."""
    verb: Transition | None = call["verb"]
    if verb is None:
        return ()
    content = None if verb == "start" else call["content"]
    by = {"caller": call["caller"], "worker": call["report"].worker or None}
    moves = [by_hand(call["task_id"], verb, allowed=_FROM[verb], content=content, **by)]
    limits = fetch(connection, statement("machines/find_time_limit"), {"workflow_seq": call["workflow_seq"]})
    moves += [by_hand(id, "start", allowed=["ready"], call=1, **by) for (id,) in limits]
    done = move_locked(connection, moves, now)
    return done.hints if 0 in done.outcomes else None


def _noted(call: dict[str, Any]) -> dict[str, Any]:
    report: Report = call["report"]
    return {
        "workflow_id": call["id"],
        "task": report.task_name,
        "action": report.action_name,
        "state": int(report.state),
        "seconds": report.seconds,
        "message": report.message,
        "worker": report.worker,
        "verb": call["verb"],
    }


def _numbered(row: Row) -> Numbered:
    return Numbered(row[0], Workflow._make(row[1:]))
