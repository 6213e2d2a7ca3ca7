"""Receipts: what tasks leave whose definition does not keep them (`keep`)."""

from __future__ import annotations

from typing import Any, NamedTuple

from fencepost.clock import Clock
from fencepost.domain.ids import seq_of
from fencepost.domain.task import Task
from fencepost.store.connection import Connection, fetch
from fencepost.store.database import Database
from fencepost.store.statements import statement

# For this time a repeated call is answered from the receipt, and the id of the task is taken.
RECEIPT_AGE = "10 minutes"


class Receipt(NamedTuple):
    """The end of a task: its definition, the action, the outcome, the time, and whether its content was the same."""

    definition: str
    definition_version: int
    action: str
    outcome: str
    at: str
    is_same: bool

    def task(self, id: str, exec_id: str | None, content: bytes | None) -> Task:
        """Return the done task as far as the receipt knows it: without its params, label, requester and versions."""
        succeeded = self.outcome == "succeeded"
        return Task(
            id=id,
            definition=self.definition,
            definition_version=self.definition_version,
            status="done",
            label=None,
            params=None,
            requester=b"{}",
            settings=None,
            created_at=self.at,
            version=0,
            exec_id=exec_id,
            retry_count=0,
            execute_at=None,
            deadline_at=None,
            updated_at=self.at,
            worker=None,
            outcome=self.outcome,
            reason_type=None if succeeded else "awf.task/failed-by-executor",
            reason_message=None if succeeded else "Failed by executor",
            result=content if succeeded else None,
            error=None if succeeded else content,
        )


class ReceiptStore:
    """Runs the statements of sql/queries/receipts. The statements that end tasks write receipts."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def find(self, id: str, exec_id: str, content: bytes | None) -> Receipt | None:
        """Return the receipt of an execution that ended at most `RECEIPT_AGE` ago, None when there is none."""
        params = {
            "id": id,
            "seq": seq_of(id),
            "exec_id": exec_id,
            "content": None if content is None else content.decode(),
            "age": RECEIPT_AGE,
            "now": self._clock.now(),
        }
        rows = await self._database.fetch(statement("receipts/find"), params)
        return Receipt._make(rows[0]) if rows else None

    async def is_named(self, id: str) -> bool:
        """Return whether an id that a caller chose is taken by a task, or by one that left a receipt."""
        return bool((await self._database.fetch(statement("receipts/is_named"), {"id": id}))[0][0])

    async def delete(self, *, batch: int) -> int:
        """Delete the oldest receipts that no longer count, at most `batch`, with log and names; return how many."""
        params = {"age": RECEIPT_AGE, "batch": batch, "now": self._clock.now()}

        def job(connection: Connection) -> int:
            with connection.transaction():
                old = fetch(connection, statement("receipts/delete"), params)
                if old:
                    left = _of(old)
                    fetch(connection, statement("receipts/delete_log"), left)
                    fetch(connection, statement("receipts/delete_names"), left)
            return len(old)

        return await self._database.run_locking(job)


def _of(old: list[tuple[Any, ...]]) -> dict[str, Any]:
    """Return what deleted receipts leave to delete: the tasks, their names, and the time of their log."""
    return {
        "seqs": [seq for seqs, _, _, _ in old for seq in seqs],
        "names": [name for _, names, _, _ in old for name in names],
        "created_at": min(created_at for _, _, created_at, _ in old),
        "at": max(at for _, _, _, at in old),
    }
