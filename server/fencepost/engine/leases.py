"""Leases in calls of workers."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from fencepost.domain.ids import ExecId, IdKind, seq_of
from fencepost.domain.task import Task


class Lease(NamedTuple):
    """An execution that a worker holds, and the content of its call, a JSON object's text.

    `exec_id` is the fencing token.
    """

    id: str
    exec_id: ExecId
    caller: str
    content: bytes | None = None

    @property
    def guard(self) -> tuple[str, int | None, IdKind, str, UUID]:
        """The first members of a LeaseCall: they find the task, and exclude calls of any other execution."""
        seq = self.exec_id.seq
        return (self.id, seq_of(self.id) if seq is None else seq, self.exec_id.kind, self.caller, self.exec_id.uuid)


def lease_of(task: Task, caller: str) -> Lease:
    """Return the lease of a task that was polled or started."""
    assert task.exec_id is not None, "it is leased"
    return Lease(task.id, ExecId.of(UUID(task.exec_id)), caller)
