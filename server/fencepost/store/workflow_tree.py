"""The frame of every transaction about workflows: `lock_workflows` first, `advance` last.

Changes of a workflow and of its tasks are serialized by the workflow's lock. An event is recorded in the transaction in
which it happens, and `advance` ends that transaction, so no workflow is left with an event and no decision task.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec import Raw

from fencepost.store.batches import Row, Wakeup
from fencepost.store.calls import Call, as_json
from fencepost.store.connection import Connection, fetch, fetch_together
from fencepost.store.statements import statement


class Ending(NamedTuple):
    """The end of a workflow: `action` is its name in the log; only a failure has a reason; JSON members are text."""

    outcome: Literal["succeeded", "failed", "canceled"]
    action: str
    caller: str
    reason_type: str | None = None
    reason_message: str | None = None
    result: Raw | None = None
    error: Raw | None = None


class EndWorkflow(Call, frozen=True):
    """A call of end.sql: the number of a workflow, and the members of its Ending. The statement ignores `id`."""

    id: str
    seq: int
    outcome: str
    action: str
    caller: str
    reason_type: str | None = None
    reason_message: str | None = None
    result: Raw | None = None
    error: Raw | None = None


class WorkflowEvent(msgspec.Struct, frozen=True):
    """An event for a workflow, an item of `events` of advance.sql."""

    workflow_seq: int
    event: Raw


def end_of(seq: int, ending: Ending) -> EndWorkflow:
    """Return the call that ends a workflow."""
    return EndWorkflow(str(seq), seq, *ending)


def lock_workflows(
    connection: Connection, *, tasks: Sequence[int] = (), workflows: Sequence[int] = (), with_parents: bool = False
) -> set[int]:
    """Lock the live workflows among `workflows` and those of `tasks`; return the numbers of the live ones.

    With `with_parents`, their parents are locked first: a transaction that may end a workflow needs that.
    """
    return {seq for (seq,) in fetch(connection, *locking(tasks, workflows, with_parents=with_parents))}


def locking(
    tasks: Sequence[int], workflows: Sequence[int] = (), *, with_parents: bool = False
) -> tuple[str, dict[str, Any]]:
    """Return the statement of `lock_workflows` with its parameters."""
    params = {"tasks": list(tasks), "workflows": list(workflows), "with_parents": with_parents}
    return statement("workflows/lock"), params


def end_tree(
    connection: Connection, endings: Sequence[EndWorkflow], now: datetime | None
) -> tuple[list[int], list[Wakeup]]:
    """End locked workflows and cancel their live tasks and children, to any depth.

    Returns the numbers of the workflows in `endings`, for `advance` to notify their parents, and wake-ups for the
    places that became free under limits.
    """
    calls = {ending.seq: ending for ending in endings}
    above = list(calls)
    while above:
        rows = fetch(connection, statement("workflows/lock_children"), {"workflows": above})
        below = {seq: calls[parent].caller for seq, parent in rows if seq not in calls}
        calls |= {seq: end_of(seq, Ending("canceled", "awf.engine/cancel", caller)) for seq, caller in below.items()}
        above = list(below)
    params = {"calls": as_json([*calls.values()]), "now": now}
    rows = fetch(connection, statement("workflows/end"), params)
    return [ending.seq for ending in endings], [Wakeup(definition, None) for seq, definition in rows if seq is None]


def advance(
    connection: Connection,
    now: datetime | None,
    *,
    events: Sequence[WorkflowEvent] = (),
    tasks: Sequence[int] = (),
    workflows: Sequence[int] = (),
    decided: Sequence[int] = (),
) -> list[Wakeup]:
    """Deliver events to workflows: `events` themselves, the ends of `tasks`, and the ends of children in `workflows`.

    A workflow in `decided`, with a decision that was just made, gets the next event in its queue. Each workflow with an
    undelivered event has a decision task afterwards; returns wake-ups for the new decision tasks.
    """
    if not (events or tasks or workflows or decided):
        return []
    params = {
        "events": as_json(events),
        "tasks": list(tasks),
        "changed": False,
        "workflows": list(workflows),
        "decided": list(decided),
        "now": now,
    }
    return [Wakeup(*row) for row in fetch(connection, statement("workflows/advance"), params)]


def change_activities(
    connection: Connection, tasks: Sequence[int], change: tuple[str, Mapping[str, Any]], now: datetime | None
) -> tuple[list[Row], list[Wakeup]]:
    """Lock the workflows of activities, run a statement that changes some of these, and notify their workflows.

    All in one round trip, a transaction of its own. A workflow is notified of the activities that this transaction has
    ended. Returns the rows of the statement, and wake-ups for the new decision tasks.
    """
    params = {"events": "[]", "tasks": list(tasks), "changed": True, "workflows": [], "decided": [], "now": now}
    calls = [locking(tasks), change, (statement("workflows/advance"), params)]
    _, rows, woken = fetch_together(connection, calls)
    return rows, [Wakeup(*row) for row in woken]
