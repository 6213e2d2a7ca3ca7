"""Events, accepted in one transaction with their effects: the starts of triggers, and the ends of subscriptions.

    enter       blocks new subscriptions until the commit, so that none is missed
    take        records the event, once; a concurrent repetition waits here and then returns the first outcome
    complete    completes the subscriptions that match, and notifies their workflows
    start       starts the tasks and workflows that triggers request
    settle      records the outcome for repetitions

Locks are taken in this order, workflows before tasks. A transaction that creates subscriptions takes the lock of
`enter` first, too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw

from fencepost.clock import Clock
from fencepost.domain import lossless_json
from fencepost.domain.event import Event, Outcome, Reference, Started
from fencepost.domain.ids import IdKind, kind_of
from fencepost.domain.matching import MISSING, IndexKey, index_key_in, matches, read_rules
from fencepost.domain.task import Task
from fencepost.errors import EVENT_EXISTS, Refusal
from fencepost.store.batches import Batches, Done, Row, Wakeup
from fencepost.store.calls import Call, Numbered, as_json
from fencepost.store.connection import Connection, fetch
from fencepost.store.database import Database
from fencepost.store.start_requests import StaleDefinition, StartRequest, start
from fencepost.store.statements import statement
from fencepost.store.workflow_tree import advance, lock_workflows

# Few a batch: each event may start a lot, and a batch is one transaction.
_MOST = 100


class Choice(NamedTuple):
    """A trigger that matches an event: its version, and the start that it requests, or the reason for none."""

    trigger: str
    version: int
    start: StartRequest | None
    reason: str | None


class Publication(NamedTuple):
    """An event to accept, and the choices of its triggers, as of a number of changes of triggers."""

    event: Event
    caller: str
    changes: int
    choices: Sequence[Choice]


class EventStore:
    """Runs the statements of sql/queries/events and sql/queries/subscriptions."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        waiting: int = 20_000,
        on_wakeups: Callable[[Sequence[Wakeup]], None] | None = None,
    ) -> None:
        self._batches = Batches(
            database, clock, _publish, locks=False, most=_MOST, waiting=waiting, on_wakeups=on_wakeups
        )

    async def publish(self, publications: Sequence[Publication]) -> Sequence[Outcome | Exception]:
        """Accept each event once; return its effects, those of the first time for a repetition.

        The outcome of a refused event is an exception: StaleDefinition, or a Refusal (`already-exists`).
        """
        calls = [_PublishCall(one.event.key, one) for one in publications]
        return [_outcome(row) for row in await self._batches.submit(calls)]


class _PublishCall(Call, frozen=True):
    """A publication; `id` is the key of its event."""

    id: str
    publication: Publication


class _CreateEvent(msgspec.Struct, frozen=True):
    """A call of events/create.sql."""

    key: str
    source: str
    id: str
    digest: str
    content: Raw
    caller: str
    triggers: int


class _Complete(Numbered, frozen=True):
    """A call of subscriptions/complete.sql."""

    seq: int
    exec_id: str
    event_key: str


class _Place(msgspec.Struct, frozen=True):
    """An item of `places` of subscriptions/find.sql."""

    place: int
    path: str
    value: int


class _SaveOutcome(msgspec.Struct, frozen=True):
    """A call of save_outcomes.sql."""

    key: str
    outcome: Raw


class _TriggerStart(msgspec.Struct, frozen=True):
    """An item of `starts` of save_outcomes.sql."""

    event_key: str
    trigger: str
    trigger_version: int
    status: str
    reference: Reference | None
    reason: str | None


class _Waiting(NamedTuple):
    """A subscription with an index key of an event."""

    seq: int
    id: str
    exec_id: str
    params: bytes


def _outcome(row: Any) -> Outcome | Exception:
    assert row is not None, "each call has an outcome"
    return row if isinstance(row, Exception) else msgspec.json.decode(row[1], type=Outcome)


def _publish(connection: Connection, calls: Sequence[_PublishCall], now: datetime | None) -> Done:
    publications = {call.call: call.publication for call in calls}
    with connection.transaction():
        _enter(connection, publications.values())
        taken = _take(connection, publications.values(), now)
        new = {number: one for number, one in publications.items() if one.event.key in taken}
        before = [one for one in publications.values() if one.event.key not in taken]
        outcomes = _taken_before(connection, before)
        rows: dict[int, Row | Exception] = {
            number: outcomes[one.event.key] for number, one in publications.items() if number not in new
        }
        if not new:
            return Done(rows)
        completed, wakeups = _complete(connection, new, now)
        new, started, begun = _start(connection, new, now)
        wakeups += begun
        said = {number: msgspec.json.encode(Outcome(started[number], completed[number])) for number in new}
        _settle(connection, new, started, said)
        return Done({**rows, **{number: (number, text) for number, text in said.items()}}, wakeups)


def _enter(connection: Connection, publications: Any) -> None:
    starts = [choice.start for one in publications for choice in one.choices if choice.start is not None]
    if any(one.timer is not None and one.timer.is_subscription for one in starts):
        fetch(connection, statement("events/block_other_subscriptions"), {})
    else:
        fetch(connection, statement("events/block_subscriptions"), {})


def _take(connection: Connection, publications: Any, now: datetime | None) -> set[str]:
    """Record the events that are new; return their keys."""
    calls = [
        _CreateEvent(
            one.event.key,
            one.event.source,
            one.event.id,
            one.event.digest,
            Raw(one.event.content),
            one.caller,
            one.changes,
        )
        for one in publications
    ]
    rows = fetch(connection, statement("events/create"), {"calls": as_json(calls), "now": now})
    return {key for (key,) in rows}


def _taken_before(connection: Connection, publications: Sequence[Publication]) -> dict[str, Row | Exception]:
    """Return, by key, the outcomes of events that were accepted before, or a Refusal for different content."""
    if not publications:
        return {}
    keys = [one.event.key for one in publications]
    rows = {row[0]: row for row in fetch(connection, statement("events/find"), {"keys": keys})}
    found: dict[str, Row | Exception] = {}
    for one in publications:
        key, digest, outcome = rows.get(one.event.key, (one.event.key, None, None))
        if outcome is None:
            found[key] = StaleDefinition()
        elif digest != one.event.digest:
            found[key] = Refusal(EVENT_EXISTS, field=one.event.id_field, id=one.event.id)
        else:
            found[key] = (key, outcome)
    return found


def _complete(
    connection: Connection, new: Mapping[int, Publication], now: datetime | None
) -> tuple[dict[int, list[str]], list[Wakeup]]:
    """End the subscriptions that events match, each by the first of them, and notify their workflows."""
    completed: dict[int, list[str]] = {number: [] for number in new}
    if not (paths := [path for (path,) in fetch(connection, statement("subscriptions/list_paths"), {})]):
        return completed, []
    chosen = _chosen(connection, {number: lossless_json.read(one.event.content) for number, one in new.items()}, paths)
    if not chosen:
        return completed, []
    activities = {one.seq for one, _ in chosen if kind_of(one.id) is IdKind.ACTIVITY}
    if activities:
        lock_workflows(connection, tasks=list(activities))
    calls = [
        _Complete(one.seq, one.exec_id, new[number].event.key, call=number)
        # Sorted as batches of calls are, so that two transactions that end the same tasks do not deadlock.
        for one, number in sorted(chosen, key=lambda one: one[0].id)
    ]
    params = {"calls": as_json(calls), "now": now}
    ended = fetch(connection, statement("subscriptions/complete"), params)
    for number, id in ended:
        completed[number].append(id)
    over = {id for _, id in ended}
    told = [one.seq for one, _ in chosen if one.seq in activities and one.id in over]
    return completed, advance(connection, now, tasks=told)


def _chosen(
    connection: Connection, resources: Mapping[int, Any], paths: Sequence[str]
) -> Sequence[tuple[_Waiting, int]]:
    """Return the subscriptions that match an event, each with the number of the first matching event."""
    events_at: dict[IndexKey, list[int]] = defaultdict(list)
    for path in paths:
        for number, resource in resources.items():
            if (place := index_key_in(resource, path)) is not None:
                events_at[place].append(number)
    places = [_Place(n, place.path, place.value) for n, place in enumerate(events_at)]
    rows = fetch(connection, statement("subscriptions/find"), {"places": as_json(places)})
    numbers = list(events_at.values())
    candidates: dict[_Waiting, set[int]] = defaultdict(set)
    for place, *waiting in rows:
        candidates[_Waiting._make(waiting)].update(numbers[place])
    chosen = []
    for one, events in candidates.items():
        rules = read_rules(one.params)
        if (first := next((n for n in sorted(events) if matches(rules, resources[n])), MISSING)) is not MISSING:
            chosen.append((one, first))
    return chosen


def _start(
    connection: Connection, new: Mapping[int, Publication], now: datetime | None
) -> tuple[dict[int, Publication], dict[int, list[Started]], list[Wakeup]]:
    """Start the requests of triggers; raise StaleDefinition, which rolls all back, when a definition has changed.

    Also returns the publications, with the reasons of refused starts.
    """
    wanted = [(number, choice) for number, one in new.items() for choice in one.choices if choice.start is not None]
    made, wakeups = start(connection, [choice.start for _, choice in wanted if choice.start is not None], now)
    started: dict[int, list[Started]] = {number: [] for number in new}
    refused: dict[tuple[int, str], str] = {}
    for (number, choice), one in zip(wanted, made, strict=True):
        if one is None:
            raise StaleDefinition
        if isinstance(one, Refusal):
            refused[number, choice.trigger] = one.message
            continue
        reference = Reference("AidboxTask" if isinstance(one, Task) else "AidboxWorkflow", one.id)
        started[number].append(Started(choice.trigger, reference))
    settled = {
        number: one._replace(choices=[_told(choice, refused.get((number, choice.trigger))) for choice in one.choices])
        for number, one in new.items()
    }
    return settled, started, wakeups


def _told(choice: Choice, reason: str | None) -> Choice:
    return choice if reason is None else choice._replace(start=None, reason=reason)


def _settle(
    connection: Connection,
    new: Mapping[int, Publication],
    started: Mapping[int, Sequence[Started]],
    said: Mapping[int, bytes],
) -> None:
    starts = []
    for number, one in new.items():
        references = {begun.trigger: begun.resource for begun in started[number]}
        starts += [
            _TriggerStart(
                one.event.key,
                choice.trigger,
                choice.version,
                "skipped" if choice.start is None else "started",
                None if choice.start is None else references[choice.trigger],
                choice.reason,
            )
            for choice in one.choices
        ]
    calls = [_SaveOutcome(one.event.key, Raw(said[number])) for number, one in new.items()]
    params = {"calls": as_json(calls), "starts": as_json(starts)}
    fetch(connection, statement("events/save_outcomes"), params)
