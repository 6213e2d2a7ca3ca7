"""The statements of taskflows, each as a method with its name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from fencepost.domain.listing import Portion
from fencepost.domain.workflow import Workflow
from fencepost.store.database import Database
from fencepost.store.statements import statement
from fencepost.vocabularies.taskflow.document import FLOW, TaskflowDefinition
from fencepost.vocabularies.taskflow.progress import TaskState
from fencepost.vocabularies.taskflow.replay import ActivityChange

# Most activities that are read for one page of flows.
_MAX_ACTIVITIES = 100_000


class RunRow(NamedTuple):
    """The newest run of a flow: its workflow, and the document version that it runs under."""

    taskflow_id: str
    seq: int
    document: TaskflowDefinition
    workflow: Workflow


class ActivityRow(NamedTuple):
    """An activity of a run: a task or a child workflow, and its state."""

    workflow_seq: int
    label: str
    id: str
    exec_id: str | None
    state: TaskState


class TemplateRow(NamedTuple):
    """A flow that begins by name; `created_at` is the time of its first version."""

    name: str
    document: TaskflowDefinition
    created_at: str


class TaskflowStore:
    """The statements of sql/queries/taskflow."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, ids: Sequence[str]) -> Sequence[RunRow]:
        """Return the newest run of each of these flows; unknown ids are left out."""
        lane = self._database if len(ids) == 1 else self._database.reads
        rows = await lane.fetch(statement("taskflow/find"), {"ids": [*ids]})
        return [_run(row) for row in rows]

    async def list(self, *, position: tuple[str, int] | None, size: int) -> Portion[RunRow]:
        """Return the newest runs of flows after a position, which is the creation time and number of a run."""
        at, seq = position or (None, None)
        params = {"position": at, "position_seq": seq}
        reads = self._database.reads
        page = await reads.page(statement("taskflow/list"), params, size=size, most_bytes=reads.answer_bytes // 2)
        return Portion([_run(row) for row in page.items], page.more)

    async def list_activities(self, workflows: Sequence[int]) -> Sequence[ActivityRow]:
        """Return the activities of runs, in the order of beginning."""
        lane = self._database if len(workflows) == 1 else self._database.reads
        rows = await lane.fetch(statement("taskflow/list_activities"), {"workflows": [*workflows]})
        return [_activity(row) for row in rows]

    async def list_activities_in_part(self, workflows: Sequence[int]) -> Portion[ActivityRow]:
        """Return the activities of runs, the newest run first, as many as fit into half an answer."""
        reads, params = self._database.reads, {"workflows": [*workflows]}
        text, most = statement("taskflow/list_activities"), reads.answer_bytes // 2
        page = await reads.page(text, params, size=_MAX_ACTIVITIES, most_bytes=most)
        return Portion([_activity(row) for row in page.items], page.more)

    async def count_changes(self, workflow_seq: int) -> tuple[str | None, int]:
        """Return the outcome of a run, and a number that grows with every change of its activities."""
        ((outcome, changes),) = await self._database.reads.fetch(
            statement("taskflow/count_changes"), {"workflow_seq": workflow_seq}
        )
        return outcome, changes

    async def list_changes(self, workflow_seq: int, taken: Sequence[int]) -> Sequence[ActivityChange]:
        """Return the log entries of the activities of a run, in the order of each log.

        `taken` holds the last known log version of each activity, by its number; only later entries are returned.
        """
        params = {"workflow_seq": workflow_seq, "taken": [*taken]}
        rows = await self._database.reads.fetch(statement("taskflow/list_changes"), params)
        return [ActivityChange(row[0], row[1], row[2], row[3], row[4], TaskState._make(row[5:])) for row in rows]

    async def list_templates(self, *, after: str | None = None, size: int) -> Portion[TemplateRow]:
        """Return flows that begin by name, after the name `after`."""
        params = {"names": None, "built_in": [FLOW], "after": after}
        page = await self._database.reads.page(statement("taskflow/list_templates"), params, size=size)
        return Portion([_template(row) for row in page.items], page.more)

    async def find_template(self, name: str) -> TemplateRow | None:
        """Return a flow that begins by name, None for an unknown one."""
        params = {"names": [name], "built_in": [FLOW], "after": None, "size": 1}
        rows = await self._database.fetch(statement("taskflow/list_templates"), params)
        return _template(rows[0]) if rows else None


def _run(row: Sequence[object]) -> RunRow:
    taskflow_id, seq, text, *resource = row
    assert isinstance(taskflow_id, str)
    assert isinstance(seq, int)
    assert isinstance(text, bytes)
    return RunRow(taskflow_id, seq, _document(text), Workflow._make(resource))


def _activity(row: Sequence[Any]) -> ActivityRow:
    return ActivityRow(row[0], row[2], row[3], row[5], TaskState._make(row[6:]))


def _template(row: Sequence[Any]) -> TemplateRow:
    name, text, created_at = row
    return TemplateRow(name, _document(text), created_at)


def _document(text: bytes) -> TaskflowDefinition:
    return _documents.decode(text)


_documents = msgspec.json.Decoder(TaskflowDefinition)
