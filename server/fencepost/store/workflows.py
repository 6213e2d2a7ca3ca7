"""The statements about workflows, each a method of the same name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar

from msgspec import Raw

from fencepost.clock import Clock
from fencepost.domain.builtin import ENGINE
from fencepost.domain.listing import Direction, Filter, Portion, Sort
from fencepost.domain.task import Entry, ShortTask, Task, task_of
from fencepost.domain.workflow import Step, Workflow
from fencepost.store import activities
from fencepost.store.batches import Batches, Done, Job, Outcome, Row, Wakeup
from fencepost.store.calls import Call, CreateWorkflow, Numbered, TaskCall, as_json
from fencepost.store.connection import Connection, fetch
from fencepost.store.database import Database
from fencepost.store.decisions import DecideCall, decide
from fencepost.store.rows import RESOURCE
from fencepost.store.search import SHARE, Search, of_workflows
from fencepost.store.start_requests import create_workflows
from fencepost.store.statements import short_statement, statement
from fencepost.store.workflow_tree import (
    Ending,
    EndWorkflow,
    WorkflowEvent,
    advance,
    change_activities,
    end_of,
    end_tree,
    lock_workflows,
)

T = TypeVar("T")
C = TypeVar("C", bound=Call)

NOTIFIED_VERBS = ("success", "fail", "cancel", "retry")

# Rows of one page; a page also ends at the size limit of answers.
_MOST = 100_000
_RESOURCE_FIELDS = len(Workflow._fields)


class Found(NamedTuple):
    """A workflow and its further columns: its number, its creator, its begin, and how it ended."""

    seq: int
    created_by: str
    begun_at: str | None
    action: str | None
    done_by: str | None
    workflow: Workflow

    @property
    def steps(self) -> list[Step]:
        """Its changes, oldest first; their number is its version."""
        workflow = self.workflow
        at_once = self.begun_at == workflow.created_at
        begun = "in-progress" if at_once else "created"
        steps = [Step("awf.workflow/create-and-execute", self.created_by, workflow.created_at, begun)]
        if self.begun_at is not None and not at_once:
            steps.append(Step("awf.engine/begin", ENGINE, self.begun_at, "in-progress"))
        if self.action is not None and self.done_by is not None:
            steps.append(Step(self.action, self.done_by, workflow.updated_at, "done"))
        return steps


class Shown(NamedTuple, Generic[T]):
    """A page of a workflow's activities or decisions, and the number to continue after (None after the last)."""

    items: Sequence[T]
    following: int | None


class LabelledEntry(NamedTuple):
    """An entry in the log of a workflow's task, and the label of the task."""

    entry: Entry
    label: str | None


class Page(NamedTuple):
    """The workflows of a page, the position of the next (None after the last), and how far a search got in time."""

    workflows: list[Workflow]
    position: tuple[str, int] | None
    searched_to: str | None


class SignalCall(Call, frozen=True):
    """A signal to the workflow `id` with the number `seq`: it is delivered as `event`, once for each `signal_id`."""

    id: str
    seq: int
    signal_id: str
    digest: str
    event: Raw


class _SignalId(Numbered, frozen=True):
    """A call of signal.sql."""

    workflow_seq: int
    id: str
    digest: str


class WorkflowStore:
    """Runs the statements of sql/queries/workflows; those that change a workflow are batched (store/batches.py)."""

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
        self._on_wakeups = on_wakeups

        def batches(job: Job[C], short: Job[C] | None = None, *, locks: bool = True) -> Batches[C]:
            return Batches(database, clock, job, short=short, locks=locks, waiting=waiting, on_wakeups=on_wakeups)

        self._creates = batches(_create, locks=False)
        self._decisions = batches(decide, partial(decide, text=short_statement))
        self._signals = batches(_signal)
        self._ends = batches(_end)
        self._changes: dict[str, Batches[TaskCall]] = {
            verb: batches(
                partial(activities.change, verb=verb), partial(activities.change, verb=verb, text=short_statement)
            )
            for verb in NOTIFIED_VERBS
        }

    async def create(self, calls: Sequence[CreateWorkflow]) -> Sequence[Workflow | Exception | None]:
        """Return each new workflow, or None when its id is taken or its version is old."""
        rows = await self._creates.submit(calls)
        return [Workflow._make(row[2:]) if isinstance(row, tuple) else row for row in rows]

    async def change(self, verb: str, calls: Sequence[TaskCall], *, short: bool) -> Sequence[Outcome]:
        """Run a verb for located tasks of workflows; the outcomes are those of the verb's statement."""
        return await self._changes[verb].submit(calls, short=short)

    async def success_many(self, seqs: Sequence[int], params: Mapping[str, Any]) -> Sequence[Row]:
        """Run success_many.sql for activities with these numbers, and notify their workflows; return its rows."""
        ending = statement("tasks/success_many"), params
        rows, wakeups = await self._database.run(
            lambda connection: change_activities(connection, seqs, ending, params["now"])
        )
        if self._on_wakeups is not None and wakeups:
            self._on_wakeups(wakeups)
        return rows

    async def decide(
        self, calls: Sequence[DecideCall], *, short: bool = False
    ) -> Sequence[Task | ShortTask | Exception | None]:
        """Complete decision tasks and apply their actions (store/decisions.py); None where a guard failed."""
        rows = await self._decisions.submit(calls, short=short)
        return [task_of(row[1:]) if isinstance(row, tuple) else row for row in rows]

    async def signal(self, calls: Sequence[SignalCall]) -> Sequence[bool | Exception | None]:
        """Deliver signals to live workflows; False for one with a used `signal_id` and other content.

        None for a finished workflow. A repeated signal is not delivered again.
        """
        rows = await self._signals.submit(calls)
        return [row[1] if isinstance(row, tuple) else row for row in rows]

    async def find_signal(self, call: SignalCall) -> bool | None:
        """Return whether a workflow, live or finished, accepted this signal; None when it accepted none of this id."""
        params = {"workflow_seq": call.seq, "id": call.signal_id, "digest": call.digest}
        rows = await self._database.fetch(statement("workflows/find_signal"), params)
        return rows[0][0] if rows else None

    async def cancel(self, seq: int, *, caller: str) -> bool:
        """Cancel a workflow with its tasks and children; return False when it is done."""
        (row,) = await self._ends.submit([end_of(seq, Ending("canceled", "awf.workflow/cancel", caller))])
        if isinstance(row, Exception):
            raise row
        return row is not None

    async def find(self, id: str) -> Found | None:
        """Return a workflow, None when there is none."""
        rows = await self._database.fetch(statement("workflows/find"), {"id": id})
        return Found._make((*rows[0][:5], Workflow._make(rows[0][5:]))) if rows else None

    async def list(
        self, wanted: Filter, *, sort: Sort, direction: Direction, position: tuple[str, int] | None, size: int
    ) -> Page:
        """Return one page of workflows."""
        reads = self._database.reads
        search = Search(reads, of_workflows, wanted, seconds=SHARE * reads.seconds)
        found = await search.page(sort, direction, position, size)
        workflows = [Workflow._make(row[:_RESOURCE_FIELDS]) for row in found.rows]
        return Page(workflows, found.position, found.searched_to)

    async def count(self, wanted: Filter, *, seconds: float) -> int | None:
        """Return the number of workflows; None when the count was not complete in time."""
        return await Search(self._database.reads, of_workflows, wanted, seconds=seconds).count()

    async def list_tasks(self, seq: int, *, decides: bool, size: int, looks: bool = False) -> Sequence[Task]:
        """Return the decisions of a workflow, or those of its activities that are tasks, oldest first."""
        params = {"workflow_seq": seq, "decides": decides, "after": None, "size": size}
        rows = await self._lane(looks=looks).fetch(statement("workflows/list_tasks"), params)
        return [Task._make(row[RESOURCE]) for row in rows]

    def _lane(self, *, looks: bool) -> Database:
        return self._database.reads if looks else self._database

    async def decisions(self, seq: int, *, after: int | None) -> Shown[Task]:
        """Return the decisions of a workflow after a seq, oldest first, as many as fit into half an answer."""
        page = await self._page(statement("workflows/list_tasks"), seq, after, decides=True)
        tasks = [Task._make(row[RESOURCE]) for row in page.items]
        return Shown(tasks, page.items[-1][-1] if page.more else None)

    async def begun(self, seq: int, *, after: int | None) -> Shown[Task | Workflow]:
        """Return the activities of a workflow after a seq, tasks and workflows in the order of their creation."""
        tasks = await self._page(statement("workflows/list_tasks"), seq, after, decides=False)
        children = await self._page(statement("workflows/list_children"), seq, after, decides=False)
        found: dict[int, Task | Workflow] = {row[-1]: Task._make(row[RESOURCE]) for row in tasks.items}
        found |= {row[-1]: Workflow._make(row[:-1]) for row in children.items}
        # Stop where a page that was cut ends: its next rows come before later rows of the other page.
        until = min((page.items[-1][-1] for page in (tasks, children) if page.more), default=None)
        shown = [found[number] for number in sorted(found) if until is None or number <= until]
        return Shown(shown, until)

    async def _page(self, text: str, seq: int, after: int | None, **params: Any) -> Portion[Row]:
        reads = self._database.reads
        asked = {"workflow_seq": seq, "after": after, **params}
        return await reads.page(text, asked, size=_MOST, most_bytes=reads.answer_bytes // 2)

    async def holder(self, key: str) -> str | None:
        """Return the id of the live workflow that has a key, without locking it."""
        rows = await self._database.fetch(statement("workflows/find_key_holders"), {"keys": [key]})
        return rows[0][1] if rows else None

    async def find_decision(self, id: str) -> tuple[str, str, int] | None:
        """Return (id, status, lost attempts) of the decision task that a live workflow waits for."""
        rows = await self._database.fetch(statement("workflows/find_decision"), {"id": id})
        return (rows[0][0], rows[0][1], rows[0][2]) if rows else None

    async def entries(self, seq: int, *, decides: bool, size: int) -> Sequence[LabelledEntry]:
        """Return the log of a workflow's decisions, or of its activities that are tasks, in the order of time."""
        params = {"workflow_seq": seq, "decides": decides, "size": size}
        rows = await self._database.reads.fetch(statement("workflows/entries"), params)
        return [LabelledEntry(Entry._make(row[:-1]), row[-1]) for row in rows]

    async def list_children(self, seq: int, *, size: int, looks: bool = False) -> Sequence[Workflow]:
        """Return the activities of a workflow that are workflows, oldest first."""
        params = {"workflow_seq": seq, "after": None, "size": size}
        rows = await self._lane(looks=looks).fetch(statement("workflows/list_children"), params)
        return [Workflow._make(row[:-1]) for row in rows]


def _create(connection: Connection, calls: Sequence[CreateWorkflow], now: datetime | None) -> Done:
    with connection.transaction():
        return create_workflows(connection, calls, now)


def _signal(connection: Connection, calls: Sequence[SignalCall], now: datetime | None) -> Done:
    with connection.transaction():
        live = lock_workflows(connection, workflows=[call.seq for call in calls])
        heard = [call for call in calls if call.seq in live]
        if not heard:
            return Done({})
        ids = [_SignalId(call.seq, call.signal_id, call.digest, call=call.call) for call in heard]
        params = {"calls": as_json(ids)}
        new: dict[int, bool] = dict(fetch(connection, statement("workflows/signal"), params))
        rows: dict[int, Row | Exception] = {call.call: (call.call, call.call in new) for call in heard}
        events = [WorkflowEvent(call.seq, call.event) for call in heard if new.get(call.call)]
        return Done(rows, advance(connection, now, events=events))


def _end(connection: Connection, calls: Sequence[EndWorkflow], now: datetime | None) -> Done:
    with connection.transaction():
        live = lock_workflows(connection, workflows=[call.seq for call in calls], with_parents=True)
        ending = [call for call in calls if call.seq in live]
        if not ending:
            return Done({})
        ended, wakeups = end_tree(connection, ending, now)
        rows: dict[int, Row | Exception] = {call.call: (call.call,) for call in ending}
        return Done(rows, [*wakeups, *advance(connection, now, workflows=ended)])
