"""Decisions: their actions are applied, all or none, in the transaction that ends the decision task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import msgspec
import orjson
from msgspec.structs import replace

from fencepost.domain.builtin import Timer
from fencepost.domain.event import Reference
from fencepost.errors import INVALID_ACTION, Refusal
from fencepost.store.batches import Done, Row, Wakeup
from fencepost.store.calls import Call, CreateWorkflow, FinishCall, Numbered, as_json, number, raw
from fencepost.store.connection import Connection, fetch
from fencepost.store.start_requests import BeginTimer, begin_timers, create_workflows, lock_for, lock_keys
from fencepost.store.statements import statement
from fencepost.store.workflow_tree import Ending, advance, end_of, end_tree, lock_workflows


class Begin(NamedTuple):
    """An activity that a decision starts; JSON members are text, `execute_at` is ISO-8601 with a zone.

    Only a workflow has an `id`, a `key` and `about`; only a task has a `timer` and `settings`. `place` is the field of
    its action. A start that is not possible has a `refusal`.
    """

    is_workflow: bool
    id: str | None
    label: str
    digest: str
    definition: str
    version: int
    params: bytes | None
    execute_at: str | None
    settings: bytes | None
    key: str | None
    about: tuple[str, ...]
    timer: Timer | None
    place: str
    refusal: Refusal | None


class DecideCall(Call, frozen=True):
    """A decision: the end of its task, the activities that it starts, and the end of its workflow.

    The content of the ending was checked against the definition version `finish.checked`.
    """

    id: str
    finish: FinishCall
    begins: tuple[Begin, ...]
    ending: Ending | None


class CreateActivity(Numbered, frozen=True):
    """A call of create_tasks.sql."""

    workflow_seq: int
    workflow_id: str
    label: str
    digest: str
    definition: str
    version: int
    params: msgspec.Raw | None
    execute_at: str | None
    settings: msgspec.Raw | None
    caller: str


class _LockDecision(Numbered, frozen=True):
    """A call of lock_decisions.sql."""

    id: str
    seq: int | None
    exec_id: UUID | str | None
    labels: tuple[str, ...]


class Situation(NamedTuple):
    """The state that a decision meets: its workflow, the version of its definition, and the used labels."""

    workflow_seq: int
    workflow_id: str
    version: int
    has_result_schema: bool
    has_error_schema: bool
    has_events: bool
    taken: Mapping[str, str]


def decide(
    connection: Connection,
    calls: Sequence[DecideCall],
    now: datetime | None,
    *,
    text: Callable[[str], str] = statement,
) -> Done:
    """Complete decision tasks and apply the actions of each.

    Rows are those of success.sql, in the form of `text`. A call has no row when its execution is not the current one,
    or when its content was not checked for the version of its workflow.
    """
    with connection.transaction():
        lock_for(connection, [begun.timer for call in calls for begun in call.begins])
        seqs = [call.finish.seq for call in calls if call.finish.seq is not None]
        lock_workflows(connection, tasks=seqs, with_parents=any(call.ending for call in calls))
        situations = _situations(connection, calls)
        outcomes: dict[int, Row | Exception] = {}
        good: list[DecideCall] = []
        for call in calls:
            situation = situations.get(call.call)
            if situation is None or _unchecked(call, situation):
                continue
            if refusal := _conflict(call.begins, situation.taken):
                outcomes[call.call] = refusal
            else:
                good.append(call)
        excluded = _excluded(connection, good, situations)
        outcomes |= excluded
        good = [call for call in good if call.call not in excluded]
        if not good:
            return Done(outcomes)
        ends = [replace(call.finish, call=call.call) for call in good]
        rows = fetch(connection, text("tasks/success"), {"calls": as_json(ends), "now": now})
        outcomes |= {row[0]: row for row in rows}
        wakeups = _begin(connection, [(call, situations[call.call]) for call in good], now)
        endings = [end_of(situations[call.call].workflow_seq, call.ending) for call in good if call.ending]
        ended, freed = end_tree(connection, endings, now) if endings else ([], [])
        decided = [one.workflow_seq for call in good if (one := situations[call.call]).has_events]
        return Done(outcomes, [*wakeups, *freed, *advance(connection, now, workflows=ended, decided=decided)])


def _situations(connection: Connection, calls: Sequence[DecideCall]) -> dict[int, Situation]:
    asked = [
        _LockDecision(
            call.id,
            call.finish.seq,
            call.finish.exec_id,
            tuple(begun.label for begun in call.begins),
            call=call.call,
        )
        for call in calls
    ]
    rows = fetch(connection, statement("workflows/lock_decisions"), {"calls": as_json(asked)})
    return {row[0]: Situation._make((*row[1:7], dict(orjson.loads(row[7])))) for row in rows}


def _unchecked(call: DecideCall, situation: Situation) -> bool:
    if call.ending is None or call.finish.checked == situation.version:
        return False
    return situation.has_result_schema if call.ending.outcome == "succeeded" else situation.has_error_schema


def _conflict(begins: Sequence[Begin], taken: Mapping[str, str]) -> Refusal | None:
    """Return the Refusal of a decision: a label belongs to another activity, or an activity cannot be started."""
    digests = dict(taken)
    for begun in begins:
        if begun.refusal is not None and begun.label not in taken:
            return begun.refusal
        if digests.setdefault(begun.label, begun.digest) != begun.digest:
            reason = f"another activity has the label {begun.label!r}"
            return Refusal(INVALID_ACTION, field=begun.place, reason=reason)
    return None


def _excluded(
    connection: Connection, calls: Sequence[DecideCall], situations: Mapping[int, Situation]
) -> dict[int, Refusal]:
    """Lock the keys of new child workflows; return the refusals of decisions that would start a second one."""
    children = [
        (call, begun)
        for call in calls
        for begun in call.begins
        if begun.is_workflow and begun.key is not None and begun.label not in situations[call.call].taken
    ]
    keys = number([_child(begun, situations[call.call], call.finish.caller) for call, begun in children])
    refused: dict[int, Refusal] = {}
    for place, refusal in lock_keys(connection, keys).items():
        call, begun = children[place]
        refused[call.call] = Refusal(INVALID_ACTION, field=begun.place, reason=refusal.message)
    return refused


def _begin(
    connection: Connection, decided: Sequence[tuple[DecideCall, Situation]], now: datetime | None
) -> list[Wakeup]:
    """Start the activities with labels that are not used yet."""
    tasks: list[tuple[CreateActivity, Timer | None]] = []
    children: list[CreateWorkflow] = []
    for call, situation in decided:
        labels = set(situation.taken)
        for begun in call.begins:
            if begun.label in labels:
                continue
            labels.add(begun.label)
            if begun.is_workflow:
                children.append(_child(begun, situation, call.finish.caller))
            else:
                tasks.append((_task(begun, situation, call.finish.caller), begun.timer))
    wakeups: list[Wakeup] = []
    if tasks:
        params = {"calls": as_json(number([task for task, _ in tasks])), "now": now}
        rows = fetch(connection, statement("workflows/create_tasks"), params)
        timers = [
            BeginTimer.of(timer, call=place, seq=row[0])
            for place, ((_, timer), row) in enumerate(zip(tasks, rows, strict=True))
            if timer is not None
        ]
        until = begin_timers(connection, timers, now)
        wakeups += [Wakeup(row[1], until[place][1] if place in until else row[2]) for place, row in enumerate(rows)]
        wakeups += [Wakeup(row[1], row[3]) for row in rows if row[3] is not None]
    if children:
        wakeups += create_workflows(connection, number(children), now).wakeups
    return wakeups


def _task(begun: Begin, situation: Situation, caller: str) -> CreateActivity:
    return CreateActivity(
        situation.workflow_seq,
        situation.workflow_id,
        begun.label,
        begun.digest,
        begun.definition,
        begun.version,
        raw(begun.params),
        begun.execute_at,
        raw(begun.settings),
        caller,
    )


def _child(begun: Begin, situation: Situation, caller: str) -> CreateWorkflow:
    assert begun.id is not None, "a workflow has an id"
    requester = msgspec.json.encode(Reference("AidboxWorkflow", situation.workflow_id))
    return CreateWorkflow(
        begun.id,
        begun.definition,
        begun.version,
        begun.label,
        raw(begun.params),
        begun.execute_at,
        msgspec.Raw(requester),
        caller,
        begun.key,
        begun.about,
        situation.workflow_seq,
        begun.digest,
    )
