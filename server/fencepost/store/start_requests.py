"""Starts of tasks and workflows inside the transaction of a caller, a schedule or a trigger.

A start commits together with its cause: the call, the run of a schedule, or the event.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from fencepost.domain.ids import new_prefixes
from fencepost.domain.task import Task
from fencepost.domain.workflow import Workflow
from fencepost.errors import KEY_TAKEN, Refusal
from fencepost.store.batches import Done, Row, Wakeup
from fencepost.store.connection import Connection, fetch
from fencepost.store.statements import statement
from fencepost.store.workflow_tree import advance

_INIT = {"event": "awf.workflow.event/workflow-init"}
# The members that only a child workflow has.
_CHILD = {"parent_seq": None, "digest": None, "key": None, "about": ()}

# The column of a task's settings: a row begins with the call's number and the seconds until the task is due.
_SETTINGS = 2 + Task._fields.index("settings")

# The parameters of begin_timer.sql: from the call, and from its timer.
_CALL = ("call", "id", "seq")
_TIMER = ("until", "milliseconds", "subscription_path", "subscription_value")


class StaleDefinition(Exception):
    """A definition has a newer version than the one that a start was checked against; nothing was done."""


class StartRequest(NamedTuple):
    """A checked request: a task or a workflow to start under a version of its definition; JSON members are text.

    A workflow always has an `id`. `timer` is for tasks without a worker (domain/builtin.py).
    """

    is_workflow: bool
    id: str | None
    definition: str
    version: int
    label: str | None
    params: bytes | None
    execute_at: str | None
    requester: bytes
    caller: str
    timer: Mapping[str, Any] | None = None
    settings: bytes | None = None
    key: str | None = None
    about: tuple[str, ...] = ()


def start(
    connection: Connection, starts: Sequence[StartRequest], now: datetime | None
) -> tuple[list[Any], list[Wakeup]]:
    """Start all in the open transaction; return a Task or Workflow for each, and wake-ups.

    The outcome is a Refusal for a workflow with a taken key. It is None when the id is taken, or the definition has a
    newer version: then roll back and check the request again, or use what has the id.
    """
    outcomes: list[Any] = [None] * len(starts)
    wakeups: list[Wakeup] = []
    for is_workflow, begin in ((False, create_tasks), (True, create_workflows)):
        places = [place for place, one in enumerate(starts) if one.is_workflow == is_workflow]
        calls = [{**call_of(starts[place]), "call": place} for place in places]
        if calls:
            done = begin(connection, calls, now)
            wakeups += done.wakeups
            for place, row in done.outcomes.items():
                if isinstance(row, Exception):
                    outcomes[place] = row
                else:
                    outcomes[place] = Workflow._make(row[2:]) if is_workflow else Task._make(row[2:])
    return outcomes, wakeups


def call_of(one: StartRequest) -> dict[str, Any]:
    """Return the call of a start for the statements."""
    return {
        "id": one.id,
        "definition": one.definition,
        "version": one.version,
        "label": one.label,
        "params": None if one.params is None else orjson.Fragment(one.params),
        "execute_at": one.execute_at,
        "settings": None if one.settings is None else orjson.Fragment(one.settings),
        "key": one.key,
        "about": one.about,
        "requester": orjson.Fragment(one.requester),
        "caller": one.caller,
        "timer": one.timer,
    }


def create_tasks(connection: Connection, calls: Sequence[dict[str, Any]], now: datetime | None) -> Done:
    """Create tasks and begin those with a `timer`; rows are those of create.sql.

    Subscriptions are locked first (`lock_for`), before any other lock.
    """
    lock_for(connection, calls)
    for call, prefix in zip(calls, new_prefixes(len(calls)), strict=True):
        call["prefix"] = prefix if call["id"] is None else None
    params = {"calls": orjson.dumps(calls).decode(), "now": now}
    # A row without a status was created by an earlier run of this transaction, before its reply was lost.
    rows = {row[0]: row for row in fetch(connection, statement("tasks/create"), params) if row[5] is not None}
    rows |= begin_timers(connection, [call for call in calls if call.get("timer") and call["call"] in rows], now)
    # A task with settings may expire before it is due, so the reaper has to look up its deadline.
    expiring = [Wakeup(row[3], 0.0) for row in rows.values() if row[_SETTINGS] is not None]
    return Done(rows, [*(Wakeup(row[3], row[1]) for row in rows.values()), *expiring])


def lock_for(connection: Connection, calls: Iterable[Mapping[str, Any]]) -> None:
    """Block the delivery of events until the transaction ends, if it creates a subscription that could miss one.

    The delivery of an event waits for locks of workflows and tasks, so a transaction must call this before it takes
    any of those.
    """
    if any(is_subscription(call.get("timer")) for call in calls):
        fetch(connection, statement("subscriptions/block_events"), {})


def is_subscription(timer: Mapping[str, Any] | None) -> bool:
    """Return whether a task with this `timer` waits for an event."""
    return timer is not None and "subscription_path" in timer


def create_in_transaction(connection: Connection, calls: Sequence[dict[str, Any]], now: datetime | None) -> Done:
    """Create tasks in a transaction of their own."""
    with connection.transaction():
        return create_tasks(connection, calls, now)


def begin_timers(connection: Connection, calls: Sequence[dict[str, Any]], now: datetime | None) -> dict[int, Row]:
    """Begin tasks without a worker in this transaction, by `id` or `seq`; rows are like those of create.sql."""
    if not calls:
        return {}
    timers = [{**dict.fromkeys(_TIMER), **{name: call.get(name) for name in _CALL}, **call["timer"]} for call in calls]
    params = {"calls": orjson.dumps(timers).decode(), "now": now}
    return {row[0]: row for row in fetch(connection, statement("tasks/begin_timer"), params)}


def create_workflows(connection: Connection, calls: Sequence[dict[str, Any]], now: datetime | None) -> Done:
    """Create workflows and their first decision tasks; rows are (call, seq) and the resource.

    A workflow with a taken key is refused. When the workflow that has its key in this batch was not created, it has no
    row.
    """
    refused = lock_keys(connection, calls)
    good = [call for call in calls if call["call"] not in refused]
    params = {"calls": orjson.dumps([{**_CHILD, **call} for call in good]).decode(), "now": now}
    rows = {row[0]: row for row in fetch(connection, statement("workflows/create"), params)}
    unmade = {call["key"] for call in good if call["call"] not in rows}
    live = {call["call"] for call in calls if call.get("key") not in unmade}
    events = [{"workflow_seq": row[1], "event": _INIT} for row in rows.values()]
    outcomes: dict[int, Row | Exception] = {number: one for number, one in refused.items() if number in live}
    return Done(outcomes | rows, advance(connection, now, events=events))


def lock_keys(connection: Connection, calls: Sequence[Mapping[str, Any]]) -> dict[int, Refusal]:
    """Lock the keys of new workflows until the transaction ends; return the refusals by `call`.

    A workflow is refused when another live workflow, or another one of this batch, has its key.
    """
    keyed = [call for call in calls if call.get("key") is not None]
    if not keyed:
        return {}
    keys = {"keys": sorted({call["key"] for call in keyed})}
    fetch(connection, statement("workflows/lock_keys"), keys)
    # After the lock, to see the commits of its previous holders.
    holders: dict[str, str] = dict(fetch(connection, statement("workflows/find_key_holders"), keys))
    refused = {}
    for call in keyed:
        holder = holders.setdefault(call["key"], call["id"])
        if holder != call["id"]:
            refused[call["call"]] = Refusal(KEY_TAKEN, key=call["key"], id=holder)
    return refused
