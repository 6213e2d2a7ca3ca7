"""Changes of tasks that belong to workflows: one transaction changes the task and notifies its workflow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from fencepost.domain.builtin import ENGINE
from fencepost.domain.ids import IdKind
from fencepost.store.batches import Done, Wakeup
from fencepost.store.calls import Numbered, TaskCall, as_json, number
from fencepost.store.connection import Connection, fetch
from fencepost.store.rows import STATUS
from fencepost.store.statements import statement
from fencepost.store.workflow_tree import (
    Ending,
    EndWorkflow,
    advance,
    change_activities,
    end_of,
    end_tree,
    lock_workflows,
)

# Characters of a decider's own failure message.
_LONGEST_MESSAGE = 1000
_OUT_OF_ATTEMPTS = "No attempt was left to decide"


class TimeOutCall(Numbered, frozen=True):
    """A call of time_out.sql: a task, and the execution that its deadline belongs to. The statement ignores `kind`."""

    seq: int
    kind: IdKind
    exec_id: str | None


class TaskOfWorkflow(Protocol):
    """A task of a workflow, or a call about one. A task with a `kind` other than PLAIN has a `seq`."""

    @property
    def seq(self) -> int | None:
        """The number of the task."""

    @property
    def kind(self) -> IdKind:
        """Its role in the workflow."""


def change(
    connection: Connection,
    calls: Sequence[TaskCall],
    now: datetime | None,
    *,
    verb: str,
    text: Callable[[str], str] = statement,
) -> Done:
    """Run a verb's statement for tasks of workflows; its rows are short when `text` is the short statement."""
    params = {"calls": as_json(calls), "now": now}
    if all(call.kind is IdKind.ACTIVITY for call in calls):
        seqs = [call.seq for call in calls if call.seq is not None]
        changed, wakeups = change_activities(connection, seqs, (text(f"tasks/{verb}"), params), now)
        return Done({row[0]: row for row in changed}, wakeups)
    with connection.transaction():
        _lock(connection, calls)
        rows = {row[0]: row for row in fetch(connection, text(f"tasks/{verb}"), params)}
        over = [call for call in calls if call.call in rows and rows[call.call][STATUS] == "done"]
        return Done(rows, notify_workflows(connection, over, now))


def time_out(connection: Connection, over: Sequence[TimeOutCall], now: datetime | None) -> Sequence[Wakeup]:
    """Time out tasks, of workflows and others; return wake-ups for each, and for the decision tasks that follow."""
    wakeups: list[Wakeup] = []
    for theirs in (False, True):
        calls = number([call for call in over if (call.kind is not IdKind.PLAIN) is theirs])
        if not calls:
            continue
        params = {"calls": as_json(calls), "now": now}
        with connection.transaction():
            if theirs:
                _lock(connection, calls)
            rows = fetch(connection, statement("tasks/time_out"), params)
            wakeups += [Wakeup(definition, None) for _, definition in rows]
            if theirs:
                wakeups += notify_workflows(connection, [calls[place] for place, _ in rows], now)
    return wakeups


def _lock(connection: Connection, tasks: Sequence[TaskOfWorkflow]) -> None:
    """Lock the workflows of tasks; the end of a decision may end a workflow."""
    may_end_one = any(task.kind is IdKind.DECISION for task in tasks)
    seqs = [task.seq for task in tasks if task.seq is not None]
    lock_workflows(connection, tasks=seqs, with_parents=may_end_one)


def notify_workflows(connection: Connection, over: Sequence[TaskOfWorkflow], now: datetime | None) -> Sequence[Wakeup]:
    """Notify workflows of the ends of their tasks; end each workflow with a decision that failed for good."""
    activities = [task.seq for task in over if task.kind is IdKind.ACTIVITY and task.seq is not None]
    decisions = [task.seq for task in over if task.kind is IdKind.DECISION and task.seq is not None]
    ended: Sequence[int] = ()
    wakeups: Sequence[Wakeup] = ()
    if decisions:
        failed = fetch(connection, statement("workflows/find_by_tasks"), {"tasks": decisions})
        ended, wakeups = end_tree(connection, [_ending(seq, message) for seq, message in failed], now)
    return [*wakeups, *advance(connection, now, tasks=activities, workflows=ended)]


def _ending(workflow: int, message: str | None) -> EndWorkflow:
    """Return the ending of a workflow after its decision failed for good, with the message of the last attempt."""
    said = _OUT_OF_ATTEMPTS if message is None else f"{_OUT_OF_ATTEMPTS}: {message[:_LONGEST_MESSAGE]}"
    return end_of(workflow, Ending("failed", "awf.engine/fail", ENGINE, "awf.executor/unknown-error", said))
