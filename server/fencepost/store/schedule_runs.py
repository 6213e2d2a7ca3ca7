"""Runs of schedules: one transaction starts the task or workflow, records the run, and stores the next due time.

Every transaction that changes a schedule locks its row first, so no due time is run twice, on any number of servers.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec
from msgspec import Raw

from fencepost.domain.event import Reference
from fencepost.domain.ids import seq_of
from fencepost.domain.schedule import ScheduleDefinition
from fencepost.domain.task import Task
from fencepost.domain.workflow import Workflow
from fencepost.errors import Refusal
from fencepost.store.batches import Done, Row, Wakeup
from fencepost.store.calls import Call, as_json
from fencepost.store.connection import Connection, fetch
from fencepost.store.start_requests import StaleDefinition, StartRequest, start
from fencepost.store.statements import statement


class DueSchedule(NamedTuple):
    """A schedule that is due, as it was read at `now`."""

    name: str
    version: int
    definition: ScheduleDefinition
    due_at: datetime
    now: datetime


class ScheduledRun(NamedTuple):
    """The action for a due time: the `start`, or the `reason` to skip every due time before `until`."""

    due: DueSchedule
    next_due_at: datetime | None
    start: StartRequest | None = None
    until: datetime | None = None
    reason: str | None = None
    message: str | None = None


class RunCall(Call, frozen=True):
    """A run to apply; `id` is the name of its schedule."""

    id: str
    run: ScheduledRun


class ScheduleState(NamedTuple):
    """The state of a locked schedule; `is_live` says whether the task or workflow that it started last is live."""

    version: int
    definition: ScheduleDefinition
    due_at: datetime | None
    is_paused: bool
    is_live: bool
    now: datetime


def lock_state(connection: Connection, name: str, now: datetime | None) -> ScheduleState | None:
    """Lock a schedule until the transaction ends and return its state; None when there is none."""
    params = {"name": name, "now": now}
    fetch(connection, statement("schedules/lock"), params)
    rows = fetch(connection, statement("schedules/find"), params)
    if not rows:
        return None
    version, document, due_at, paused_at, is_live, at = rows[0]
    return ScheduleState(
        version, schedule_of(document), due_at and time_of(due_at), paused_at is not None, is_live, time_of(at)
    )


def apply_runs(connection: Connection, calls: Sequence[RunCall], now: datetime | None) -> Done:
    """Apply the runs that are still due.

    A row is the call's number and the outcome: `started`, `skipped`, `stale` when the definition of what it starts has
    a newer version, or `passed` when a backfill had started it. A run that another server applies has no row.
    """
    with connection.transaction():
        claims = _claim(connection, calls)
        starting = [claim for claim in claims if claim.start is not None]
        found, wakeups = start(connection, [claim.start for claim in starting if claim.start is not None], now)
        began = {claim.number: outcome for claim, outcome in zip(starting, found, strict=True)}
        rows: dict[int, Row | Exception] = {}
        saved: list[_SaveRun] = []
        moves: list[_Advance] = []
        for claim in claims:
            outcome = claim.outcome(began.get(claim.number))
            rows[claim.number] = (claim.number, outcome.status)
            if outcome.status in ("started", "skipped"):
                outcome = outcome._replace(message=outcome.message or claim.run.message)
                saved.append(_run_record(claim.due, "scheduled", outcome, until_at=claim.run.until))
            if outcome.status != "stale":
                moves.append(_move(claim.due.definition, claim.run.next_due_at, claim.due.due_at, outcome))
        _write(connection, saved, moves, now)
        return Done(rows, wakeups)


def start_now(
    connection: Connection,
    name: str,
    version: int,
    starts: Sequence[tuple[datetime | None, StartRequest]],
    now: datetime | None,
    *,
    id: str | None = None,
) -> Sequence[Wakeup]:
    """Start due times of a locked schedule (a backfill), or one manual run that has an `id`.

    Raises StaleDefinition when a definition is stale, and for a manual run the Refusal of its start.
    """
    outcomes, wakeups = start(connection, [one for _, one in starts], now)
    if id is not None and isinstance(outcomes[0], Refusal):
        raise outcomes[0]
    kind = "backfill" if id is None else "manual"
    saved = [
        _SaveRun(name, version, kind, at, None, id, *_began(outcome)[:4])
        for (at, _), outcome in zip(starts, outcomes, strict=True)
    ]
    _write(connection, saved, [], now)
    return wakeups


def save_version(
    connection: Connection,
    definition: ScheduleDefinition,
    version: int,
    setup: StartRequest | None,
    now: datetime | None,
) -> Sequence[Wakeup]:
    """Save the version that was just put, and start its `execute-on-setup` run; raise StaleDefinition.

    The next due time stays, unless the new version has other due times.
    """
    before = lock_state(connection, definition.name, now)
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
    run = ScheduledRun(DueSchedule(definition.name, version, definition, at, at), following, setup)
    is_paused, is_live = (False, False) if before is None else (before.is_paused, before.is_live)
    reason = "paused" if is_paused else _reason(run, is_live)
    outcomes, wakeups = start(connection, [setup] if reason is None else [], now)
    outcome = _RunOutcome("skipped", reason) if reason is not None else _began(outcomes[0])
    _write(connection, [_run_record(run.due, "setup", outcome)], [_move(definition, following, at, outcome)], now)
    return wakeups


def _write(connection: Connection, saved: Sequence[_SaveRun], moves: Sequence[_Advance], now: datetime | None) -> None:
    """Record the outcomes of due times, and advance their schedules."""
    if saved:
        fetch(connection, statement("schedules/save_runs"), {"calls": as_json(saved), "now": now})
    if moves:
        fetch(connection, statement("schedules/advance"), {"calls": as_json(moves)})


def moments(definition: ScheduleDefinition, due_at: datetime | None) -> dict[str, datetime | None]:
    """Return the parameters of a due time: itself and its start, which jitter delays."""
    return {"due_at": due_at, "starts_at": _starts_at(definition, due_at)}


def _starts_at(definition: ScheduleDefinition, due_at: datetime | None) -> datetime | None:
    return None if due_at is None else definition.starts_at(due_at)


def schedule_of(document: bytes) -> ScheduleDefinition:
    """Return the schedule behind the text of a definition."""
    return _schedules.decode(document)


def time_of(text: str) -> datetime:
    """Return a time of the database."""
    return datetime.fromisoformat(text)


class _RunOutcome(NamedTuple):
    """The outcome of a due time; `message` explains a refused start, `reference` is JSON text.

    `seq` is the number of a started task.
    """

    status: str
    reason: str | None = None
    message: str | None = None
    reference: Raw | None = None
    seq: int | None = None


class _SaveRun(msgspec.Struct, frozen=True, omit_defaults=True):
    """A call of save_runs.sql."""

    name: str
    version: int
    kind: str
    due_at: datetime | None
    until_at: datetime | None
    id: str | None
    status: str
    reason: str | None
    message: str | None
    reference: Raw | None


class _ClaimRun(msgspec.Struct, frozen=True):
    """A call of schedules/claim.sql."""

    name: str
    version: int
    due_at: datetime


class _Advance(msgspec.Struct, frozen=True, omit_defaults=True):
    """A call of schedules/advance.sql."""

    name: str
    due_at: datetime | None
    starts_at: datetime | None
    last_schedule: datetime | None = None
    last_status: str | None = None
    last_reason: str | None = None
    last_reference: Raw | None = None
    last_seq: int | None = None


class _Claim(NamedTuple):
    """A run that this transaction has claimed; `is_started` says that a backfill has already started it."""

    number: int
    run: ScheduledRun
    reason: str | None
    is_started: bool

    @property
    def due(self) -> DueSchedule:
        return self.run.due

    @property
    def start(self) -> StartRequest | None:
        return None if self.is_started or self.reason is not None else self.run.start

    def outcome(self, began: Task | Workflow | Refusal | None) -> _RunOutcome:
        """Return the outcome for the log of runs; `began` is the outcome of its start, if it had one."""
        if self.is_started:
            return _RunOutcome("passed")
        if self.start is None:
            return _RunOutcome("skipped", self.reason)
        return _RunOutcome("stale") if began is None else _began(began)


def _claim(connection: Connection, calls: Sequence[RunCall]) -> Sequence[_Claim]:
    of_name = {call.id: (call.call, call.run) for call in calls}
    seen = [_ClaimRun(run.due.name, run.due.version, run.due.due_at) for _, run in of_name.values()]
    rows = fetch(connection, statement("schedules/claim"), {"calls": as_json(seen)})
    return [
        _Claim(*of_name[name], _reason(of_name[name][1], is_live), is_started and of_name[name][1].until is None)
        for name, is_live, is_started in rows
    ]


def _reason(run: ScheduledRun, is_live: bool) -> str | None:
    """Return the reason for a skip, None for a start."""
    if run.reason is None and is_live and run.due.definition.concurrency_policy == "forbid":
        return "still-live"
    return run.reason


def _began(outcome: Task | Workflow | Refusal | None) -> _RunOutcome:
    if outcome is None:
        raise StaleDefinition
    if isinstance(outcome, Refusal):
        return _RunOutcome("skipped", "refused", outcome.message)
    is_task = isinstance(outcome, Task)
    reference = msgspec.json.encode(Reference("AidboxTask" if is_task else "AidboxWorkflow", outcome.id))
    return _RunOutcome("started", reference=Raw(reference), seq=seq_of(outcome.id) if is_task else None)


def _run_record(due: DueSchedule, kind: str, outcome: _RunOutcome, *, until_at: datetime | None = None) -> _SaveRun:
    return _SaveRun(due.name, due.version, kind, due.due_at, until_at, None, *outcome[:4])


def _move(
    definition: ScheduleDefinition, next_due_at: datetime | None, last: datetime, outcome: _RunOutcome
) -> _Advance:
    """Return the state of a schedule after a due time."""
    starts_at = _starts_at(definition, next_due_at)
    if outcome.status == "passed":
        # A backfilled due time does not change the last outcome of the schedule itself.
        return _Advance(definition.name, next_due_at, starts_at)
    return _Advance(
        definition.name,
        next_due_at,
        starts_at,
        last,
        outcome.status,
        outcome.reason,
        outcome.reference,
        outcome.seq,
    )


_schedules = msgspec.json.Decoder(ScheduleDefinition)
