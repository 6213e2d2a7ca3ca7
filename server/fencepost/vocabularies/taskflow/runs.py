"""Reads flows: the newest run of each, and the records with all nested flows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import NamedTuple

from msgspec import UNSET, UnsetType

from fencepost.errors import Refusal
from fencepost.vocabularies.taskflow.errors import TASKFLOW_NOT_FOUND
from fencepost.vocabularies.taskflow.plan import Plan
from fencepost.vocabularies.taskflow.progress import Progress, collect_facts, compute_progress
from fencepost.vocabularies.taskflow.record import FlowRecord, flow_record
from fencepost.vocabularies.taskflow.store import ActivityRow, RunRow, TaskflowStore

# The creation time of a run (ISO-8601) and its number.
ListPosition = tuple[str, int]


class Run(NamedTuple):
    """The newest run of a flow, with its activities."""

    row: RunRow
    plan: Plan
    activities: Sequence[ActivityRow]

    @property
    def progress(self) -> Progress:
        """The computed statuses of the run."""
        states = ((one.label, one.id, one.state) for one in self.activities)
        return compute_progress(self.plan, collect_facts(states, self.row.workflow.outcome))

    @property
    def is_over(self) -> bool:
        """Whether the workflow of the run has ended."""
        return self.row.workflow.status == "done"

    def activity(self, label: str) -> ActivityRow | None:
        """Return the activity with a label, None when it has not begun."""
        return next((one for one in self.activities if one.label == label), None)


class Runs:
    """The runs of a database's flows."""

    def __init__(self, store: TaskflowStore) -> None:
        self._store = store

    async def get(self, id: str, field: str = "taskflowId") -> Run:
        """Return the newest run of a flow; raise Refusal (`taskflow-not-found`) for `field`."""
        rows = await self._store.find([id])
        if not rows:
            raise Refusal(TASKFLOW_NOT_FOUND, field=field, id=id)
        return (await self._with_activities(rows))[0]

    async def record(self, run: Run) -> FlowRecord:
        """Return the record of a run with all nested flows, to any depth."""
        runs, below = {run.plan.id: run}, _nested_ids([run])
        while below:
            found = await self._with_activities(await self._store.find([*below]))
            runs |= {one.plan.id: one for one in found}
            below = _nested_ids(found) - runs.keys()
        return _tree(run, runs)

    async def list(
        self, *, position: tuple[str, int] | None, size: int
    ) -> tuple[Sequence[FlowRecord], tuple[str, int] | None]:
        """Return one page of the newest runs, and the position of the next page, None after the last."""
        page = await self._store.list(position=position, size=size)
        runs = await self._first_that_fit(page.items)
        last = runs[-1].row if page.more or len(runs) < len(page.items) else None
        return (
            [flow_record(run.plan, run.progress) for run in runs],
            None if last is None else (last.workflow.created_at, last.seq),
        )

    async def _first_that_fit(self, rows: Sequence[RunRow]) -> Sequence[Run]:
        """Return as many of the first runs as fit into an answer, at least one when there is one."""
        if not rows:
            return []
        begun = await self._store.list_activities_in_part([row.seq for row in rows])
        if not begun.more:
            return _join_activities(rows, begun.items)
        # The activities of the last run that was read are incomplete, those of older runs are missing.
        cut = begun.items[-1].workflow_seq
        whole = [*takewhile(lambda row: row.seq > cut, rows)]
        return _join_activities(whole, begun.items) if whole else await self._with_activities(rows[:1])

    async def _with_activities(self, rows: Sequence[RunRow]) -> Sequence[Run]:
        return _join_activities(rows, await self._store.list_activities([row.seq for row in rows]))


def _join_activities(rows: Sequence[RunRow], activities: Sequence[ActivityRow]) -> Sequence[Run]:
    begun: dict[int, list[ActivityRow]] = defaultdict(list)
    for one in activities:
        begun[one.workflow_seq].append(one)
    return [Run(row, row.document.plan(row.workflow), begun[row.seq]) for row in rows]


def _nested_ids(runs: Sequence[Run]) -> set[str]:
    return {id for run in runs for stage in run.progress.stages for view in stage.tasks for id in view.nested}


def _tree(run: Run, runs: Mapping[str, Run]) -> FlowRecord:
    below = [runs[id] for id in sorted(_nested_ids([run])) if id in runs]
    nested: Mapping[str, FlowRecord] | UnsetType = {one.plan.id: _tree(one, runs) for one in below} or UNSET
    return flow_record(run.plan, run.progress, nested)
