"""State transitions of tasks that the caller names by id, without a poll.

A transition runs the statements that polls and workers use, in one transaction. A ready task that is completed by id
is leased, started and completed, and leaves three entries in its log, as three calls would.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Literal, NamedTuple

from psycopg import Rollback

from fencepost.clock import Clock
from fencepost.domain.ids import IdKind, kind_of, new_prefixes, seq_of
from fencepost.domain.task import Task
from fencepost.store.activities import TimeOutCall, notify_workflows
from fencepost.store.batches import Batches, Done, Row, Wakeup
from fencepost.store.calls import (
    Call,
    FinishCall,
    LeaseCall,
    Numbered,
    ReleaseCall,
    TaskCall,
    as_json,
    number,
    raw,
)
from fencepost.store.connection import Connection, fetch
from fencepost.store.database import Database
from fencepost.store.rows import EXEC_ID, RESOURCE, STATUS
from fencepost.store.statements import statement
from fencepost.store.workflow_tree import lock_workflows

Verb = Literal["claim", "start", "success", "fail", "release", "cancel", "retry"]


class TransitionCall(Call, frozen=True, kw_only=True):
    """A transition: `verb` is applied to the task `id` if it is in one of the states of `allowed` (`done` is one).

    `content` is the JSON text of a result or error, checked against the schema of the definition's version `checked`.
    """

    id: str
    verb: Verb
    allowed: Collection[str]
    caller: str
    worker: str | None = None
    content: bytes | None = None
    checked: int | None = None


class _LockState(Numbered, frozen=True):
    """A call of lock_state.sql, which ignores `kind`."""

    id: str
    seq: int | None
    kind: IdKind


class _ClaimById(TaskCall, frozen=True):
    """A call of claim_by_id.sql."""

    start: bool
    action: str
    worker: str | None
    prefix: str


class _State(NamedTuple):
    """The state of a locked live task; `is_late` says whether it is ready and has expired."""

    seq: int
    status: str
    exec_id: str | None
    is_late: bool


class TransitionStore:
    """Applies transitions by id, in natural batches."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        waiting: int = 20_000,
        on_wakeups: Callable[[Sequence[Wakeup]], None] | None = None,
    ) -> None:
        self._batches = Batches(database, clock, apply, waiting=waiting, on_wakeups=on_wakeups)

    async def apply(self, call: TransitionCall) -> Task | None:
        """Apply a transition and return the changed task.

        None when the task is in no allowed state, or its content was not checked against the task's version.
        """
        (row,) = await self._batches.submit([call])
        if isinstance(row, Exception):
            raise row
        return None if row is None else Task._make(row[RESOURCE])


def apply(connection: Connection, calls: Sequence[TransitionCall], now: datetime | None) -> Done:
    """Apply transitions. A row is the place of the call in the batch, and the resource.

    A task in another state, or with an unchecked content, has no row. A task that has expired before it began is ended
    as the reaper would end it.
    """
    with connection.transaction():
        lock_workflows(
            connection, tasks=[seq for call in calls if (seq := seq_of(call.id)) is not None], with_parents=True
        )
        return apply_locked(connection, calls, now)


def apply_locked(connection: Connection, calls: Sequence[TransitionCall], now: datetime | None) -> Done:
    """Apply transitions in the open transaction, which must have locked the workflows of their tasks."""
    calls = number(calls)
    locks = [_LockState(call.id, seq_of(call.id), kind_of(call.id), call=call.call) for call in calls]
    params = {"calls": as_json(locks), "now": now}
    states = {row[0]: _State._make(row[1:]) for row in fetch(connection, statement("tasks/lock_state"), params)}
    rows: dict[int, Row | Exception] = {}
    over: list[_LockState] = []
    for call, lock in zip(calls, locks, strict=True):
        state = states.get(call.call)
        if (state.status if state else "done") not in call.allowed:
            continue
        if state is not None and state.is_late and "tasks/claim_by_id" in _steps(call.verb, state.status):
            late = TimeOutCall(state.seq, lock.kind, None, call=call.call)
            fetch(connection, statement("tasks/time_out"), {"calls": as_json([late]), "now": now})
            over.append(lock)
        elif (row := _applied(connection, call, state, now)) is not None:
            rows[call.call] = row
            if row[STATUS] == "done":
                over.append(lock)
    return Done(rows, notify_workflows(connection, over, now))


def _applied(connection: Connection, call: TransitionCall, state: _State | None, now: datetime | None) -> Row | None:
    """Run the statements that lead from a task's state to the wanted one; return the row of the last statement."""
    exec_id = None if state is None else state.exec_id
    row: Row | None = None
    # A savepoint: when a later step is refused, the earlier ones must not have happened.
    with connection.transaction() as steps:
        for step in _steps(call.verb, "done" if state is None else state.status):
            params = {"calls": as_json([_step_call(step, call, exec_id)]), "now": now}
            row = next(iter(fetch(connection, statement(step), params)), None)
            if row is None:
                raise Rollback(steps)
            exec_id = row[EXEC_ID]
    return row


def _steps(verb: Verb, status: str) -> Sequence[str]:
    """Return the names of a transition's statements, in order."""
    if verb == "claim":
        return ("tasks/claim_by_id",)
    if verb in ("release", "cancel", "retry"):
        return (f"tasks/{verb}",)
    beginning = {"ready": ("tasks/claim_by_id",), "requested": ("tasks/start",)}.get(status, ())
    return beginning if verb == "start" else (*beginning, f"tasks/{verb}")


def _step_call(step: str, call: TransitionCall, exec_id: str | None) -> Numbered:
    """Return the call of one statement of a transition."""
    task = (call.id, seq_of(call.id), kind_of(call.id), call.caller)
    match step:
        case "tasks/claim_by_id":
            begins = call.verb != "claim"
            action = "awf.task/start" if begins else "awf.task/poll"
            (prefix,) = new_prefixes(1)
            return _ClaimById(*task, begins, action, call.worker, prefix, call=call.call)
        case "tasks/start":
            return LeaseCall(*task, exec_id, call=call.call)
        case "tasks/success" | "tasks/fail":
            return FinishCall(*task, exec_id, raw(call.content), call.checked, call=call.call)
        case "tasks/release":
            return ReleaseCall(*task, exec_id, "awf.task/release", call=call.call)
        case _:
            return TaskCall(*task, call=call.call)
