"""Moves by hand: work on tasks that are named, without a poll, by who is known to be the one to do it.

A move brings a task where it is wanted from where it stands, in one transaction, by the statements that polls and
workers use: what is taken, begun and finished at once leaves three entries in the log, as three calls would.
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
from fencepost.store.activities import told
from fencepost.store.batches import Batches, Done, Hint, Row
from fencepost.store.connection import Connection, fetch
from fencepost.store.database import Database
from fencepost.store.families import lock
from fencepost.store.rows import EXEC_ID, RESOURCE, STATUS
from fencepost.store.statements import statement

Verb = Literal["claim", "start", "success", "fail", "release", "cancel", "retry"]


class HandStore:
    """Moves by hand, in natural batches."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        waiting: int = 20_000,
        on_hints: Callable[[Sequence[Hint]], None] | None = None,
    ) -> None:
        self._batches = Batches(database, clock, move, waiting=waiting, on_hints=on_hints)

    async def move(self, call: dict[str, Any]) -> Task | None:
        """Make a move that `by_hand` described; None when it is in no state that is allowed, or not checked."""
        (row,) = await self._batches.submit([call])
        if isinstance(row, Exception):
            raise row
        return None if row is None else Task._make(row[RESOURCE])


def by_hand(
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
    """Describe a move of the task `id`, out of the states that are `allowed` (`done` is one).

    `call` is its number among others; `content` the JSON text of a result or error, that was checked against the schema
    of version `checked`.
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


def move(connection: Connection, calls: Sequence[dict[str, Any]], now: datetime | None) -> Done:
    """Make the moves that `by_hand` described. A row is the call's number and the resource.

    There is none for a task in another state, or whose content was not checked. One that was to be begun by now ends
    instead, as the reaper would end it.
    """
    with connection.transaction():
        lock(connection, tasks=[seq for call in calls if (seq := seq_of(call["id"])) is not None], with_parents=True)
        return move_locked(connection, calls, now)


def move_locked(connection: Connection, calls: Sequence[dict[str, Any]], now: datetime | None) -> Done:
    """Move tasks in the transaction that is open, and in which the workflows that they belong to are locked."""
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
        elif (row := _moved(connection, call, stand, now)) is not None:
            rows[call["call"]] = row
            if row[STATUS] == "done":
                over.append(one)
    return Done(rows, told(connection, over, now))


def _moved(connection: Connection, call: Mapping[str, Any], stand: Row | None, now: datetime | None) -> Row | None:
    """Run the statements that lead from where a task stands to where it shall be; return the last one's row."""
    verb: Verb = call["verb"]
    said = {
        "call": call["call"],
        "id": call["id"],
        "seq": seq_of(call["id"]),
        "caller": call["caller"],
        "exec_id": None if stand is None else stand[3],
    }
    row: Row | None = None
    # Of its own, because a later step may be refused: then the earlier ones have not happened.
    with connection.transaction() as steps:
        for step in _steps(verb, "done" if stand is None else stand[2]):
            row = _run(connection, step, {**said, **_words(step, call)}, now)
            if row is None:
                raise Rollback(steps)
            said["exec_id"] = row[EXEC_ID]
    return row


def _steps(verb: Verb, status: str) -> Sequence[str]:
    """Return the statements of a move, in their order."""
    if verb == "claim":
        return ("tasks/claim_by_id",)
    if verb in ("release", "cancel", "retry"):
        return (f"tasks/{verb}",)
    beginning = {"ready": ("tasks/claim_by_id",), "requested": ("tasks/start",)}.get(status, ())
    return beginning if verb == "start" else (*beginning, f"tasks/{verb}")


def _words(step: str, call: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a statement takes besides the task and the caller."""
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
