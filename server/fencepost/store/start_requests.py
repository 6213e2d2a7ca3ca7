"""Starts of tasks and workflows inside the transaction of a caller, a schedule or a trigger.

A start commits together with its cause: the call, the run of a schedule, or the event.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from msgspec import Raw, structs

from fencepost.domain.builtin import Timer
from fencepost.domain.ids import new_prefixes
from fencepost.domain.task import Task
from fencepost.domain.workflow import Workflow
from fencepost.errors import KEY_TAKEN, Refusal
from fencepost.store.batches import Done, Row, Wakeup
from fencepost.store.calls import CreateTask, CreateWorkflow, Numbered, as_json, raw
from fencepost.store.connection import Connection, fetch
from fencepost.store.statements import statement
from fencepost.store.workflow_tree import WorkflowEvent, advance

_INIT = Raw(b'{"event":"awf.workflow.event/workflow-init"}')

# The column of a task's settings: a row begins with the call's number and the seconds until the task is due.
_SETTINGS = 2 + Task._fields.index("settings")


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
    timer: Timer | None = None
    settings: bytes | None = None
    key: str | None = None
    about: tuple[str, ...] = ()


class BeginTimer(Numbered, frozen=True, kw_only=True):
    """A call of begin_timer.sql: a task by `id` or `seq`, and its timer."""

    id: str | None = None
    seq: int | None = None
    until: str | None
    milliseconds: int | None
    subscription_path: str | None
    subscription_value: int | None

    @classmethod
    def of(cls, timer: Timer, *, call: int, id: str | None = None, seq: int | None = None) -> BeginTimer:
        """Return the call that begins a task with a timer."""
        return cls(call=call, id=id, seq=seq, **structs.asdict(timer))


def start(
    connection: Connection, starts: Sequence[StartRequest], now: datetime | None
) -> tuple[list[Any], list[Wakeup]]:
    """Start all in the open transaction; return a Task or Workflow for each, and wake-ups.

    The outcome is a Refusal for a workflow with a taken key. It is None when the id is taken, or the definition has a
    newer version: then roll back and check the request again, or use what has the id.
    """
    outcomes: list[Any] = [None] * len(starts)
    wakeups: list[Wakeup] = []
    tasks = [_create_task(one, place) for place, one in enumerate(starts) if not one.is_workflow]
    if tasks:
        done = create_tasks(connection, tasks, now)
        wakeups += done.wakeups
        for place, row in done.outcomes.items():
            outcomes[place] = row if isinstance(row, Exception) else Task._make(row[2:])
    workflows = [_create_workflow(one, place) for place, one in enumerate(starts) if one.is_workflow]
    if workflows:
        done = create_workflows(connection, workflows, now)
        wakeups += done.wakeups
        for place, row in done.outcomes.items():
            outcomes[place] = row if isinstance(row, Exception) else Workflow._make(row[2:])
    return outcomes, wakeups


def _create_task(one: StartRequest, place: int) -> CreateTask:
    return CreateTask(
        one.id,
        # A new prefix for every run: no id is given out twice.
        new_prefixes(1)[0] if one.id is None else None,
        one.definition,
        one.version,
        one.label,
        raw(one.params),
        one.execute_at,
        raw(one.settings),
        Raw(one.requester),
        one.caller,
        one.timer,
        call=place,
    )


def _create_workflow(one: StartRequest, place: int) -> CreateWorkflow:
    assert one.id is not None, "a workflow has an id"
    return CreateWorkflow(
        one.id,
        one.definition,
        one.version,
        one.label,
        raw(one.params),
        one.execute_at,
        Raw(one.requester),
        one.caller,
        one.key,
        one.about,
        call=place,
    )


def create_tasks(connection: Connection, calls: Sequence[CreateTask], now: datetime | None) -> Done:
    """Create tasks and begin those with a `timer`; rows are those of create.sql.

    Subscriptions are locked first (`lock_for`), before any other lock.
    """
    lock_for(connection, [call.timer for call in calls])
    params = {"calls": as_json(calls), "now": now}
    # A row without a status was created by an earlier run of this transaction, before its reply was lost.
    rows = {row[0]: row for row in fetch(connection, statement("tasks/create"), params) if row[5] is not None}
    timers = [
        BeginTimer.of(call.timer, call=call.call, id=call.id)
        for call in calls
        if call.timer is not None and call.call in rows
    ]
    rows |= begin_timers(connection, timers, now)
    # A task with settings may expire before it is due, so the reaper has to look up its deadline.
    expiring = [Wakeup(row[3], 0.0) for row in rows.values() if row[_SETTINGS] is not None]
    return Done(rows, [*(Wakeup(row[3], row[1]) for row in rows.values()), *expiring])


def lock_for(connection: Connection, timers: Iterable[Timer | None]) -> None:
    """Block the delivery of events until the transaction ends, if one of its new `timers` is a subscription.

    Without the lock, a subscription could miss an event.

    The delivery of an event waits for locks of workflows and tasks, so a transaction must call this before it takes
    any of those.
    """
    if any(timer is not None and timer.is_subscription for timer in timers):
        fetch(connection, statement("subscriptions/block_events"), {})


def create_in_transaction(connection: Connection, calls: Sequence[CreateTask], now: datetime | None) -> Done:
    """Create tasks in a transaction of their own."""
    with connection.transaction():
        return create_tasks(connection, calls, now)


def begin_timers(connection: Connection, timers: Sequence[BeginTimer], now: datetime | None) -> dict[int, Row]:
    """Begin tasks without a worker in this transaction; rows are like those of create.sql."""
    if not timers:
        return {}
    params = {"calls": as_json(timers), "now": now}
    return {row[0]: row for row in fetch(connection, statement("tasks/begin_timer"), params)}


def create_workflows(connection: Connection, calls: Sequence[CreateWorkflow], now: datetime | None) -> Done:
    """Create workflows and their first decision tasks; rows are (call, seq) and the resource.

    A workflow with a taken key is refused. When the workflow that has its key in this batch was not created, it has no
    row.
    """
    refused = lock_keys(connection, calls)
    good = [call for call in calls if call.call not in refused]
    params = {"calls": as_json(good), "now": now}
    rows = {row[0]: row for row in fetch(connection, statement("workflows/create"), params)}
    unmade = {call.key for call in good if call.call not in rows}
    live = {call.call for call in calls if call.key not in unmade}
    events = [WorkflowEvent(row[1], _INIT) for row in rows.values()]
    outcomes: dict[int, Row | Exception] = {number: one for number, one in refused.items() if number in live}
    return Done(outcomes | rows, advance(connection, now, events=events))


def lock_keys(connection: Connection, calls: Sequence[CreateWorkflow]) -> dict[int, Refusal]:
    """Lock the keys of new workflows until the transaction ends; return the refusals by `call`.

    A workflow is refused when another live workflow, or another one of this batch, has its key.
    """
    keyed = [(call.key, call) for call in calls if call.key is not None]
    if not keyed:
        return {}
    keys = {"keys": sorted({key for key, _ in keyed})}
    fetch(connection, statement("workflows/lock_keys"), keys)
    # After the lock, to see the commits of its previous holders.
    holders: dict[str, str] = dict(fetch(connection, statement("workflows/find_key_holders"), keys))
    refused = {}
    for key, call in keyed:
        holder = holders.setdefault(key, call.id)
        if holder != call.id:
            refused[call.call] = Refusal(KEY_TAKEN, key=key, id=holder)
    return refused
