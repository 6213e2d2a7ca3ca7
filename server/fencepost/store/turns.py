"""What is done about due times inside a transaction: a start, the note of it and the next due time go together.

Whatever changes a schedule has locked its row, so that nothing happens to one twice or at once, on any number of
servers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
import orjson

from fencepost.domain.ids import seq_of
from fencepost.domain.schedule import ScheduleDefinition
from fencepost.domain.task import Task
from fencepost.domain.workflow import Workflow
from fencepost.errors import Refusal
from fencepost.store.batches import Done, Row, Wakeup
from fencepost.store.connection import Connection, fetch
from fencepost.store.starts import MovedOn, Start, start
from fencepost.store.statements import statement


class Due(NamedTuple):
    """A schedule whose time has come, as it was seen."""

    name: str
    version: int
    definition: ScheduleDefinition
    due_at: datetime
    now: datetime


class Deed(NamedTuple):
    """What to do about a due time: `start`, or to skip it and all before `until` for a `reason`."""

    due: Due
    next_due_at: datetime | None
    start: Start | None = None
    until: datetime | None = None
    reason: str | None = None
    message: str | None = None


class Standing(NamedTuple):
    """A locked schedule; `is_live` says whether what it started last is under way."""

    version: int
    definition: ScheduleDefinition
    due_at: datetime | None
    is_paused: bool
    is_live: bool
    now: datetime


def locked(connection: Connection, name: str, now: datetime | None) -> Standing | None:
    """Lock a schedule until the transaction ends and return where it stands; None when there is none."""
    params = {"name": name, "now": now}
    fetch(connection, statement("schedules/lock"), params)
    rows = fetch(connection, statement("schedules/find"), params)
    if not rows:
        return None
    version, document, due_at, paused_at, is_live, at = rows[0]
    return Standing(
        version, schedule_of(document), due_at and time_of(due_at), paused_at is not None, is_live, time_of(at)
    )


def take(connection: Connection, calls: Sequence[dict[str, Any]], now: datetime | None) -> Done:
    """Do the deeds of calls ({call, id, deed}, the id is the schedule's name) that are still to be done.

    The row of each is its number and what became of it: `started`, `skipped`, `moved-on` when its start met a newer
    definition, or `passed` when a backfill had started it. What another server is doing has no row.
    """
    with connection.transaction():
        claims = _claim(connection, calls)
        starting = [claim for claim in claims if claim.start is not None]
        found, wakeups = start(connection, [claim.start for claim in starting if claim.start is not None], now)
        began = {claim.number: outcome for claim, outcome in zip(starting, found, strict=True)}
        rows: dict[int, Row | Exception] = {}
        notes, moves = [], []
        for claim in claims:
            outcome = claim.outcome(began.get(claim.number))
            rows[claim.number] = (claim.number, outcome["status"])
            if outcome["status"] in ("started", "skipped"):
                times = {"due_at": claim.due.due_at, "until_at": claim.deed.until}
                note = _note(claim.due, "scheduled", {"message": claim.deed.message, **outcome})
                notes.append({**note, **times})
            if outcome["status"] != "moved-on":
                moves.append(_move(claim.due.definition, claim.deed.next_due_at, claim.due.due_at, outcome))
        write(connection, notes, moves, now)
        return Done(rows, wakeups)


def start_by_hand(
    connection: Connection,
    name: str,
    version: int,
    starts: Sequence[tuple[datetime | None, Start]],
    now: datetime | None,
    *,
    id: str | None = None,
) -> Sequence[Wakeup]:
    """Start due times of a locked schedule, or what somebody names by an `id`; raise MovedOn, or for that Refusal."""
    outcomes, wakeups = start(connection, [one for _, one in starts], now)
    if id is not None and isinstance(outcomes[0], Refusal):
        raise outcomes[0]
    kind = "backfill" if id is None else "manual"
    notes = [
        {"name": name, "version": version, "kind": kind, "due_at": at, "id": id, **_began(outcome)}
        for (at, _), outcome in zip(starts, outcomes, strict=True)
    ]
    write(connection, notes, [], now)
    return wakeups


def keep(
    connection: Connection, definition: ScheduleDefinition, version: int, setup: Start | None, now: datetime | None
) -> Sequence[Wakeup]:
    """Let a schedule be at the version that was just put, and start what a new version starts at once; raise MovedOn.

    A due time that nothing was done about stays, unless the new version is due at other times.
    """
    before = locked(connection, definition.name, now)
    if before is not None and before.version == version:
        return ()
    at = time_of(fetch(connection, statement("server/now"), {"now": now})[0][0])
    if before is not None and (before.is_paused or before.definition.same_times(definition)):
        following = before.due_at
    else:
        following = definition.cron.after(at)
    params = {"name": definition.name, "version": version, **moments(definition, following)}
    fetch(connection, statement("schedules/save"), params)
    if setup is None:
        return ()
    deed = Deed(Due(definition.name, version, definition, at, at), following, setup)
    is_paused, is_live = (False, False) if before is None else (before.is_paused, before.is_live)
    reason = "paused" if is_paused else _reason(deed, is_live)
    outcomes, wakeups = start(connection, [setup] if reason is None else [], now)
    outcome = _skipped(reason) if reason is not None else _began(outcomes[0])
    note = _note(deed.due, "setup", {**outcome, "due_at": at})
    write(connection, [note], [_move(definition, following, at, outcome)], now)
    return wakeups


def write(
    connection: Connection, notes: Sequence[Mapping[str, Any]], moves: Sequence[Mapping[str, Any]], now: datetime | None
) -> None:
    """Note what became of due times, and move their schedules on."""
    if notes:
        fetch(connection, statement("schedules/save_runs"), {"calls": orjson.dumps(notes).decode(), "now": now})
    if moves:
        fetch(connection, statement("schedules/advance"), {"calls": orjson.dumps(moves).decode()})


def moments(definition: ScheduleDefinition, due_at: datetime | None) -> dict[str, datetime | None]:
    """Return a due time and that of its start, as statements take them."""
    return {"due_at": due_at, "starts_at": None if due_at is None else definition.starts_at(due_at)}


def schedule_of(document: bytes) -> ScheduleDefinition:
    """Return the schedule behind the text of a definition."""
    return _schedules.decode(document)


def time_of(text: str) -> datetime:
    """Return a time of the database."""
    return datetime.fromisoformat(text)


class _Claim(NamedTuple):
    """A deed that is ours to do; `is_started` says that a backfill has done it, and nothing is left but to go on."""

    number: int
    deed: Deed
    reason: str | None
    is_started: bool

    @property
    def due(self) -> Due:
        return self.deed.due

    @property
    def start(self) -> Start | None:
        return None if self.is_started or self.reason is not None else self.deed.start

    def outcome(self, began: Task | Workflow | Refusal | None) -> dict[str, Any]:
        """Return what became of it, where `began` came of its start."""
        if self.is_started:
            return {"status": "passed"}
        if self.start is None:
            return _skipped(self.reason)
        return {"status": "moved-on"} if began is None else _began(began)


def _claim(connection: Connection, calls: Sequence[dict[str, Any]]) -> Sequence[_Claim]:
    of_name: dict[str, tuple[int, Deed]] = {call["id"]: (call["call"], call["deed"]) for call in calls}
    seen = [
        {"name": deed.due.name, "version": deed.due.version, "due_at": deed.due.due_at} for _, deed in of_name.values()
    ]
    rows = fetch(connection, statement("schedules/claim"), {"calls": orjson.dumps(seen).decode()})
    return [
        _Claim(*of_name[name], _reason(of_name[name][1], is_live), is_started and of_name[name][1].until is None)
        for name, is_live, is_started in rows
    ]


def _reason(deed: Deed, is_live: bool) -> str | None:
    """Return why nothing is started, None when something is."""
    if deed.reason is None and is_live and deed.due.definition.concurrency_policy == "forbid":
        return "still-live"
    return deed.reason


def _began(outcome: Task | Workflow | Refusal | None) -> dict[str, Any]:
    if outcome is None:
        raise MovedOn
    if isinstance(outcome, Refusal):
        return {**_skipped("refused"), "message": outcome.message}
    is_task = isinstance(outcome, Task)
    reference = {"resourceType": "AidboxTask" if is_task else "AidboxWorkflow", "id": outcome.id}
    return {"status": "started", "reference": reference, "seq": seq_of(outcome.id) if is_task else None}


def _skipped(reason: str | None) -> dict[str, Any]:
    return {"status": "skipped", "reason": reason}


def _note(due: Due, kind: str, outcome: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": due.name, "version": due.version, "kind": kind, **outcome}


def _move(
    definition: ScheduleDefinition, next_due_at: datetime | None, last: datetime, outcome: Mapping[str, Any]
) -> dict[str, Any]:
    """Write where a schedule stands after a due time."""
    # What was backfilled says nothing about what the schedule did by itself.
    said = {} if outcome["status"] == "passed" else {"schedule": last, **outcome}
    return {
        "name": definition.name,
        **moments(definition, next_due_at),
        **{f"last_{member}": said.get(member) for member in ("schedule", "status", "reason", "reference", "seq")},
    }


_schedules = msgspec.json.Decoder(ScheduleDefinition)
