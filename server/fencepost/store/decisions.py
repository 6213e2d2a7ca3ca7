"""Decisions: their actions are applied, all or none, in the transaction that ends the decision task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from fencepost.errors import INVALID_ACTION, Refusal
from fencepost.store.batches import Done, Row, Wakeup
from fencepost.store.connection import Connection, fetch
from fencepost.store.start_requests import begin_timers, create_workflows, lock_for, lock_keys
from fencepost.store.statements import statement
from fencepost.store.workflow_tree import advance, end_tree, lock_workflows

# The members of a call that success.sql takes.
_SUCCESS = ("call", "id", "seq", "exec_id", "result", "checked", "caller")


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
    calls: Sequence[dict[str, Any]],
    now: datetime | None,
    *,
    text: Callable[[str], str] = statement,
) -> Done:
    """Complete decision tasks and apply the actions of each.

    A call has the members of a call of success.sql, and two more. `begins` has a call of create_tasks.sql or create.sql
    for each start, with `is_workflow`, `timer`, `place`, and the `refusal` of a start that is not possible. `ending` is
    null or a call of end.sql; its content was checked for the definition version `checked`. Rows are those of
    success.sql, in the form of `text`. A call has no row when its execution is not the current one, or when its content
    was not checked for the version of its workflow.
    """
    with connection.transaction():
        lock_for(connection, [begun for call in calls for begun in call["begins"]])
        lock_workflows(
            connection, tasks=[call["seq"] for call in calls], with_parents=any(call["ending"] for call in calls)
        )
        situations = _situations(connection, calls)
        outcomes: dict[int, Row | Exception] = {}
        good: list[dict[str, Any]] = []
        for call in calls:
            situation = situations.get(call["call"])
            if situation is None or _unchecked(call, situation):
                continue
            if refusal := _conflict(call["begins"], situation.taken):
                outcomes[call["call"]] = refusal
            else:
                good.append(call)
        excluded = _excluded(connection, good, situations)
        outcomes |= excluded
        good = [call for call in good if call["call"] not in excluded]
        if not good:
            return Done(outcomes)
        ends = [{name: call[name] for name in _SUCCESS} for call in good]
        rows = fetch(connection, text("tasks/success"), {"calls": orjson.dumps(ends).decode(), "now": now})
        outcomes |= {row[0]: row for row in rows}
        wakeups = _begin(connection, [(call, situations[call["call"]]) for call in good], now)
        endings = [{**call["ending"], "seq": situations[call["call"]].workflow_seq} for call in good if call["ending"]]
        ended, freed = end_tree(connection, endings, now) if endings else ([], [])
        decided = [one.workflow_seq for call in good if (one := situations[call["call"]]).has_events]
        return Done(outcomes, [*wakeups, *freed, *advance(connection, now, workflows=ended, decided=decided)])


def _situations(connection: Connection, calls: Sequence[dict[str, Any]]) -> dict[int, Situation]:
    asked = [
        {**{name: call[name] for name in ("call", "id", "seq", "exec_id")}, "labels": _labels(call)} for call in calls
    ]
    rows = fetch(connection, statement("workflows/lock_decisions"), {"calls": orjson.dumps(asked).decode()})
    return {row[0]: Situation._make((*row[1:7], dict(orjson.loads(row[7])))) for row in rows}


def _unchecked(call: Mapping[str, Any], situation: Situation) -> bool:
    if not call["ending"] or call["checked"] == situation.version:
        return False
    return situation.has_result_schema if call["ending"]["outcome"] == "succeeded" else situation.has_error_schema


def _labels(call: Mapping[str, Any]) -> list[str]:
    return [begun["label"] for begun in call["begins"]]


def _conflict(begins: Sequence[Mapping[str, Any]], taken: Mapping[str, str]) -> Refusal | None:
    """Return the Refusal of a decision: a label belongs to another activity, or an activity cannot be started."""
    digests = dict(taken)
    for begun in begins:
        if begun["refusal"] is not None and begun["label"] not in taken:
            refusal: Refusal = begun["refusal"]
            return refusal
        if digests.setdefault(begun["label"], begun["digest"]) != begun["digest"]:
            reason = f"another activity has the label {begun['label']!r}"
            return Refusal(INVALID_ACTION, at=begun["place"], reason=reason)
    return None


def _excluded(
    connection: Connection, calls: Sequence[Mapping[str, Any]], situations: Mapping[int, Situation]
) -> dict[int, Refusal]:
    """Lock the keys of new child workflows; return the refusals of decisions that would start a second one."""
    children = [
        {**begun, "call": number, "of": call["call"]}
        for call in calls
        for number, begun in enumerate(call["begins"])
        if begun["is_workflow"] and begun["key"] is not None and begun["label"] not in situations[call["call"]].taken
    ]
    refused: dict[int, Refusal] = {}
    for number, refusal in lock_keys(connection, [{**child, "call": n} for n, child in enumerate(children)]).items():
        child = children[number]
        refused[child["of"]] = Refusal(INVALID_ACTION, at=child["place"], reason=refusal.message)
    return refused


def _begin(
    connection: Connection, decided: Sequence[tuple[Mapping[str, Any], Situation]], now: datetime | None
) -> list[Wakeup]:
    """Start the activities with labels that are not used yet."""
    tasks: list[dict[str, Any]] = []
    children: list[dict[str, Any]] = []
    for call, situation in decided:
        labels = set(situation.taken)
        for begun in call["begins"]:
            if begun["label"] in labels:
                continue
            labels.add(begun["label"])
            family = {
                "workflow_seq": situation.workflow_seq,
                "workflow_id": situation.workflow_id,
                "parent_seq": situation.workflow_seq,
                "requester": {"resourceType": "AidboxWorkflow", "id": situation.workflow_id},
                "caller": call["caller"],
            }
            some = children if begun["is_workflow"] else tasks
            some.append({**begun, **family, "call": len(some)})
    wakeups: list[Wakeup] = []
    if tasks:
        rows = fetch(
            connection, statement("workflows/create_tasks"), {"calls": orjson.dumps(tasks).decode(), "now": now}
        )
        timers = [{**task, "seq": row[0]} for task, row in zip(tasks, rows, strict=True) if task["timer"]]
        until = begin_timers(connection, timers, now)
        wakeups += [Wakeup(row[1], until[number][1] if number in until else row[2]) for number, row in enumerate(rows)]
        wakeups += [Wakeup(row[1], row[3]) for row in rows if row[3] is not None]
    if children:
        wakeups += create_workflows(connection, children, now).wakeups
    return wakeups
