"""State transitions of tasks that the caller names by id, without a poll.

A transition runs the statements that polls and workers use, in one transaction. A ready task that is completed by id
is leased, started and completed, and leaves three entries in its log, as three calls would.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import orjson
from psycopg import Rollback

from fencepost.clock import Clock
from fencepost.domain.ids import new_prefixes, seq_of
from fencepost.domain.task import Task
from fencepost.store.activities import notify_workflows
from fencepost.store.batches import Batches, Done, Row, Wakeup
from fencepost.store.connection import Connection, fetch
from fencepost.store.database import Database
from fencepost.store.rows import EXEC_ID, RESOURCE, STATUS
from fencepost.store.statements import statement
from fencepost.store.workflow_tree import lock_workflows

Verb = Literal["claim", "start", "success", "fail", "release", "cancel", "retry"]


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

    async def apply(self, call: dict[str, Any]) -> Task | None:
        """Apply a call of `transition_by_id` and return the changed task.

        None when the task is in no allowed state, or its content was not checked against the task's version.
        """
        (row,) = await self._batches.submit([call])
        if isinstance(row, Exception):
            raise row
        return None if row is None else Task._make(row[RESOURCE])


def transition_by_id(
    id: str,
    verb: Verb,
    *,
    allowed: Collection[str],
    caller: str,
    call: int = 0,
    worker: str | None = None,
    content: bytes | None = None,
    checked: int | None = None,
) -> dict[str, Any]:
    """Return the call that applies `verb` to the task `id` in one of the states of `allowed` (`done` is one).

    `call` is its number in a batch; `content` is the JSON text of a result or error, checked against the schema of the
    definition's version `checked`.
    """
    return {
        "call": call,
        "id": id,
        "verb": verb,
        "allowed": list(allowed),
        "caller": caller,
        "worker": worker,
        "content": content,
        "checked": checked,
    }


def apply(connection: Connection, calls: Sequence[dict[str, Any]], now: datetime | None) -> Done:
    """Apply the calls of `transition_by_id`. A row is the call's number and the resource.

    A task in another state, or with an unchecked content, has no row. A task that has expired before it began is ended
    as the reaper would end it.
    """
    with connection.transaction():
        lock_workflows(
            connection, tasks=[seq for call in calls if (seq := seq_of(call["id"])) is not None], with_parents=True
        )
        return apply_locked(connection, calls, now)


def apply_locked(connection: Connection, calls: Sequence[dict[str, Any]], now: datetime | None) -> Done:
    """Apply calls in the open transaction, which must have locked the workflows of their tasks."""
    asked = [{"call": call["call"], "id": call["id"], "seq": seq_of(call["id"])} for call in calls]
    stands = {
        row[0]: row for row in fetch(connection, statement("tasks/lock_state"), {"calls": _json(asked), "now": now})
    }
    rows: dict[int, Row | Exception] = {}
    over: list[Mapping[str, Any]] = []
    for call, one in zip(calls, asked, strict=True):
        stand = stands.get(call["call"])
        if (status := stand[2] if stand else "done") not in call["allowed"]:
            continue
        if stand is not None and stand[4] and "tasks/claim_by_id" in _steps(call["verb"], status):
            late = [{"call": call["call"], "seq": stand[1], "exec_id": None}]
            fetch(connection, statement("tasks/time_out"), {"calls": _json(late), "now": now})
            over.append(one)
        elif (row := _applied(connection, call, stand, now)) is not None:
            rows[call["call"]] = row
            if row[STATUS] == "done":
                over.append(one)
    return Done(rows, notify_workflows(connection, over, now))


def _applied(connection: Connection, call: Mapping[str, Any], stand: Row | None, now: datetime | None) -> Row | None:
    """Run the statements that lead from a task's state to the wanted one; return the row of the last statement."""
    verb: Verb = call["verb"]
    said = {
        "call": call["call"],
        "id": call["id"],
        "seq": seq_of(call["id"]),
        "caller": call["caller"],
        "exec_id": None if stand is None else stand[3],
    }
    row: Row | None = None
    # A savepoint: when a later step is refused, the earlier ones must not have happened.
    with connection.transaction() as steps:
        for step in _steps(verb, "done" if stand is None else stand[2]):
            row = _run(connection, step, {**said, **_params(step, call)}, now)
            if row is None:
                raise Rollback(steps)
            said["exec_id"] = row[EXEC_ID]
    return row


def _steps(verb: Verb, status: str) -> Sequence[str]:
    """Return the names of a transition's statements, in order."""
    if verb == "claim":
        return ("tasks/claim_by_id",)
    if verb in ("release", "cancel", "retry"):
        return (f"tasks/{verb}",)
    beginning = {"ready": ("tasks/claim_by_id",), "requested": ("tasks/start",)}.get(status, ())
    return beginning if verb == "start" else (*beginning, f"tasks/{verb}")


def _params(step: str, call: Mapping[str, Any]) -> dict[str, Any]:
    """Return a statement's parameters besides the task and the caller."""
    content = None if call["content"] is None else orjson.Fragment(call["content"])
    match step:
        case "tasks/claim_by_id":
            begins = call["verb"] != "claim"
            action = "awf.task/start" if begins else "awf.task/poll"
            return {"start": begins, "action": action, "worker": call["worker"], "prefix": new_prefixes(1)[0]}
        case "tasks/success":
            return {"result": content, "checked": call["checked"]}
        case "tasks/fail":
            return {"error": content, "checked": call["checked"]}
        case "tasks/release":
            return {"action": "awf.task/release"}
    return {}


def _run(connection: Connection, step: str, call: Mapping[str, Any], now: datetime | None) -> Row | None:
    rows = fetch(connection, statement(step), {"calls": _json([call]), "now": now})
    return rows[0] if rows else None


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
