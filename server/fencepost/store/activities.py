"""Changes of tasks that belong to workflows: one transaction changes the task and notifies its workflow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from fencepost.domain.builtin import ENGINE
from fencepost.domain.ids import IdKind, kind_of
from fencepost.store.batches import Done, Wakeup
from fencepost.store.connection import Connection, fetch
from fencepost.store.rows import STATUS
from fencepost.store.statements import statement
from fencepost.store.workflow_tree import advance, end_tree, lock_workflows

# Characters of a decider's own failure message.
_LONGEST_MESSAGE = 1000
_OUT_OF_ATTEMPTS = {
    "outcome": "failed",
    "reason_type": "awf.executor/unknown-error",
    "reason_message": "No attempt was left to decide",
    "action": "awf.engine/fail",
    "caller": ENGINE,
}


def change(
    connection: Connection,
    calls: Sequence[dict[str, Any]],
    now: datetime | None,
    *,
    verb: str,
    text: Callable[[str], str] = statement,
) -> Done:
    """Run a verb's statement for tasks of workflows; its rows are short when `text` is the short statement."""
    with connection.transaction():
        lock_workflows(connection, tasks=[call["seq"] for call in calls], with_parents=_may_end_one(calls))
        params = {"calls": orjson.dumps(calls).decode(), "now": now}
        rows = {row[0]: row for row in fetch(connection, text(f"tasks/{verb}"), params)}
        over = [call for call in calls if call["call"] in rows and rows[call["call"]][STATUS] == "done"]
        return Done(rows, notify_workflows(connection, over, now))


def time_out(connection: Connection, over: Sequence[Mapping[str, Any]], now: datetime | None) -> Sequence[Wakeup]:
    """Time out tasks, of workflows and others; return wake-ups for each, and for the decision tasks that follow."""
    wakeups: list[Wakeup] = []
    for theirs in (False, True):
        some = [call for call in over if (kind_of(call["id"]) is not IdKind.PLAIN) is theirs]
        calls = [{**call, "call": number} for number, call in enumerate(some)]
        params = {"calls": orjson.dumps(calls).decode(), "now": now}
        if not calls:
            continue
        with connection.transaction():
            if theirs:
                lock_workflows(connection, tasks=[call["seq"] for call in calls], with_parents=_may_end_one(calls))
            rows = fetch(connection, statement("tasks/time_out"), params)
            wakeups += [Wakeup(definition, None) for _, definition in rows]
            if theirs:
                wakeups += notify_workflows(connection, [calls[number] for number, _ in rows], now)
    return wakeups


def _may_end_one(calls: Sequence[Mapping[str, Any]]) -> bool:
    return any(kind_of(call["id"]) is IdKind.DECISION for call in calls)


def notify_workflows(
    connection: Connection, over: Sequence[Mapping[str, Any]], now: datetime | None
) -> Sequence[Wakeup]:
    """Notify workflows of the ends of their tasks; end each workflow with a decision that failed for good."""
    activities = [call["seq"] for call in over if kind_of(call["id"]) is IdKind.ACTIVITY]
    decisions = [call["seq"] for call in over if kind_of(call["id"]) is IdKind.DECISION]
    ended: Sequence[int] = ()
    wakeups: Sequence[Wakeup] = ()
    if decisions:
        failed = fetch(connection, statement("workflows/find_by_tasks"), {"tasks": decisions})
        ended, wakeups = end_tree(connection, [_ending(seq, message) for seq, message in failed], now)
    return [*wakeups, *advance(connection, now, tasks=activities, workflows=ended)]


def _ending(workflow: int, message: str | None) -> dict[str, Any]:
    """Return the ending of a workflow after its decision failed for good, with the message of the last attempt."""
    reason = _OUT_OF_ATTEMPTS["reason_message"]
    said = reason if message is None else f"{reason}: {message[:_LONGEST_MESSAGE]}"
    return {**_OUT_OF_ATTEMPTS, "seq": workflow, "reason_message": said}
