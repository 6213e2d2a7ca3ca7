"""The statements about tasks, each a method of the same name."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Literal, NamedTuple, get_args

import msgspec
from msgspec import Raw

from fencepost.clock import Clock
from fencepost.domain.ids import IdKind, new_prefixes, prefix_for, prefix_of, seq_of
from fencepost.domain.listing import Direction, Filter, LogPlace, Portion, Sort
from fencepost.domain.task import Entry, ShortTask, Task, client_requester, task_of
from fencepost.errors import REQUEST_ID_ENDED, REQUEST_ID_REUSED, UNAVAILABLE, Refusal
from fencepost.store.batches import Batches, merge, partition
from fencepost.store.calls import ClaimAsk, CreateTask, NotifyCall, TaskCall
from fencepost.store.connection import Connection, fetch, fetch_together
from fencepost.store.database import Database
from fencepost.store.handovers import ClaimOnCreate, Handover
from fencepost.store.leases import Claim, Claimed
from fencepost.store.limits import Limits
from fencepost.store.receipts import RECEIPT_AGE, ReceiptStore
from fencepost.store.rows import RESOURCE
from fencepost.store.search import SHARE, Search, of_tasks
from fencepost.store.start_requests import create_in_transaction
from fencepost.store.statements import statement
from fencepost.store.workflows import NOTIFIED_VERBS, WorkflowStore

Verb = Literal["start", "success", "fail", "release", "cancel", "retry"]

# The first entries of a log are all kept. Later notifications are thinned out after each `_THINNED` more.
WHOLE_LOG = 1000
_THINNED = 500
# A requestId without leases is kept for this time at least (delete_requests.sql says why).
_REQUEST_AGE = "1 minute"
# From this number of definitions on, a claim first finds out which of them have ready tasks.
_MANY = 64


class Page(NamedTuple):
    """The tasks of a page, the position of the next page (None after the last), and how far a search got in time."""

    tasks: list[Task]
    position: tuple[str, int] | None
    searched_to: str | None


class Attempt(NamedTuple):
    """An earlier action of an execution: its name, its content, and the task after it."""

    action: str
    content: bytes | None
    task: Task


class Created(NamedTuple):
    """A new task, whole or short, and the seconds until it is ready (None when it is)."""

    task: Task | ShortTask
    due_in: float | None


class TaskSeries(NamedTuple):
    """Tasks of one definition to create together; each has its params, an object or null, and perhaps its label.

    JSON members are text, `execute_at` is ISO-8601 with a zone. With a `request_id`, they are created once.
    """

    definition: str
    params: Sequence[bytes]
    labels: Sequence[str | None] | None
    execute_at: str | None
    settings: bytes | None
    caller: str
    request_id: str | None

    @property
    def digest(self) -> str:
        """A hash of the content, which a repeated request has too."""
        content = [self.definition, self.execute_at, self.settings, self.labels, [*map(Raw, self.params)]]
        return blake2b(msgspec.json.encode(content), digest_size=16).hexdigest()


class CreatedSeries(NamedTuple):
    """The ids of the tasks of a series, and the seconds until they are ready (None when they are)."""

    ids: Sequence[str]
    due_in: float | None


class Backlog(NamedTuple):
    """The definitions with ready tasks, each with whether it has a limit, and the seconds until the next deadline.

    `due_in` is negative when a deadline has passed, None when no live task has one.
    """

    ready: Sequence[tuple[str, bool]]
    due_in: float | None


class TaskStore:
    """Runs the statements of sql/queries/tasks; those that change a task are batched (store/batches.py)."""

    def __init__(self, database: Database, clock: Clock, workflows: WorkflowStore, *, waiting: int = 20_000) -> None:
        self._database = database
        self._clock = clock
        self._workflows = workflows
        self.limits = Limits()
        self.receipts = ReceiptStore(database, clock)
        # A claim ends with the task that fills an answer.
        self.answer_bytes = database.answer_bytes
        # Returns the polls that get tasks in the transaction that creates them, if some wait.
        self.hand_over: Callable[[Mapping[str, int]], Handover | None] = lambda _: None
        self._creates: Batches[CreateTask] = Batches(
            database, clock, "tasks/create", locks=False, waiting=waiting, adding=self._claim_with
        )
        self._creates_with_timers = Batches(database, clock, create_in_transaction, locks=False, waiting=waiting)
        self._notifies: Batches[NotifyCall] = Batches(database, clock, "tasks/notify", waiting=waiting)
        self._changes: dict[Verb, Batches[TaskCall]] = {
            verb: Batches(database, clock, f"tasks/{verb}", waiting=waiting) for verb in get_args(Verb)
        }

    @property
    def pressed(self) -> bool:
        """Whether so many calls wait that polls, which lead to more calls, should wait too."""
        return (
            self._creates.pressed
            or self._notifies.pressed
            or any(batches.pressed for batches in self._changes.values())
        )

    async def create(self, calls: Sequence[CreateTask], *, short: bool) -> Sequence[Created | Exception | None]:
        """Return each new task and the seconds until it is ready; None when its id is taken or its version is old.

        A task with a `timer` has an id and begins at once.
        """
        timers = [call.timer is not None for call in calls]
        if not any(timers):
            rows = await self._creates.submit(calls, short=short)
        else:
            plain, timed = partition(calls, timers)
            rows = merge(timers, await self._creates.submit(plain), await self._creates_with_timers.submit(timed))
        return [await self._created(row) if isinstance(row, tuple) else row for row in rows]

    async def create_many(self, series: TaskSeries, version: int) -> CreatedSeries | None:
        """Create the tasks of a series under a version of its definition; None when another one is the newest.

        Raises Refusal (`request-id-reused`).
        """
        request_id = series.request_id
        name = {
            "prefix": new_prefixes(1)[0] if request_id is None else prefix_for(f"{series.caller}\0{request_id}"),
            "digest": None if request_id is None else series.digest,
        }
        params = {
            **name,
            "definition": series.definition,
            "version": version,
            "params": (b"[" + b",".join(series.params) + b"]").decode(),
            "labels": None if series.labels is None else msgspec.json.encode(series.labels).decode(),
            "execute_at": series.execute_at,
            "settings": None if series.settings is None else series.settings.decode(),
            "requester": client_requester(series.caller).decode(),
            "caller": series.caller,
            "now": self._clock.now(),
        }
        rows = await self._database.fetch(statement("tasks/create_many"), params)
        if not rows:
            return None
        ((is_new, ids, due_in),) = rows
        if not is_new:
            # A repeated request, or the reply was lost and the statement ran again.
            size = len(series.params)
            found = await self._database.fetch(statement("tasks/find_created_many"), {**name, "size": size})
            ((same, ids, due_in),) = found
            if not same:
                raise Refusal(REQUEST_ID_REUSED, field="requestId", request_id=request_id)
            if ids is None or ids.count(",") != size - 1:
                raise Refusal(REQUEST_ID_ENDED, field="requestId", request_id=request_id)
        return CreatedSeries(ids.split(","), due_in)

    async def _created(self, row: Sequence[Any]) -> Created | Refusal:
        task = task_of(row[2:])
        if task.status is None:  # it was created before, and the reply was lost
            params = {"prefix": prefix_of(task.id), "before": seq_of(task.id)}
            rows = await self._database.fetch(statement("tasks/find_previous_create"), params)
            if not rows:
                return Refusal(UNAVAILABLE, retry_after=1, reason="the task has ended already and was not kept")
            (row,) = rows
            task = task_of(row[2:])
        return Created(task, row[1])

    async def success_many(
        self,
        ids: Sequence[str],
        exec_ids: Sequence[str],
        results: Sequence[bytes | None] | None,
        caller: str,
        *,
        activities: bool,
    ) -> tuple[Mapping[str, int], Sequence[int]]:
        """End plain tasks, or activities; return the number of ended tasks by definition, and the places of the others.

        The execIds are in the server's own form.
        """
        texts = None if results is None else b"[" + b",".join(result or b"null" for result in results) + b"]"
        params = {
            "ids": msgspec.json.encode(ids).decode(),
            "exec_ids": msgspec.json.encode(exec_ids).decode(),
            "results": None if texts is None else texts.decode(),
            "caller": caller,
            "now": self._clock.now(),
        }
        if activities:
            rows = await self._workflows.success_many([int(exec_id[24:], 16) for exec_id in exec_ids], params)
        else:
            rows = await self._database.fetch(statement("tasks/success_many"), params)
        ended = {definition: number for definition, number in rows if definition is not None}
        return ended, sorted(number for definition, number in rows if definition is None)

    async def change(
        self, verb: Verb, calls: Sequence[TaskCall], *, short: bool = False
    ) -> Sequence[Task | ShortTask | Exception | None]:
        """Run the statement of `verb` for each call; return the changed task, or None where its guard failed."""
        told = [verb in NOTIFIED_VERBS and call.kind is not IdKind.PLAIN for call in calls]
        if not any(told):
            rows = await self._changes[verb].submit(calls, short=short)
        else:
            ours, theirs = partition(calls, told)
            plain = self._changes[verb].submit(ours, short=short)
            rows = merge(told, *await asyncio.gather(plain, self._workflows.change(verb, theirs, short=short)))
        return [task_of(row[1:]) if isinstance(row, tuple) else row for row in rows]

    async def notify(self, calls: Sequence[NotifyCall]) -> Sequence[str | Exception | None]:
        """Renew leases; return each new deadline, or None where the guard failed."""
        rows = await self._notifies.submit(calls)
        for row in rows:
            if isinstance(row, tuple) and row[2] > WHOLE_LOG and row[2] % _THINNED == 0:
                await self._thin(row[3], row[2])
        return [row[1] if isinstance(row, tuple) else row for row in rows]

    async def claim(self, definitions: Sequence[str], asks: Sequence[ClaimAsk]) -> Claimed:
        """Lease ready tasks to `asks` (see claim.sql) and return their answers.

        Asks with a requestId are first answered with what they hold already.
        """
        params = self._claim_params(definitions)
        claim = Claim(params, asks)

        def job(connection: Connection) -> Claimed:
            limited = self.limits.among(connection, definitions)
            if len(definitions) > _MANY:
                ready = fetch(connection, statement("tasks/ready_definitions"), {**params, "size": claim.size})
                params["definitions"] = [name for (name,) in ready]
            if not limited:
                return Claimed(claim.answers(fetch_together(connection, claim.calls())))
            # Several statements, because each must see the commits of other servers that held the lock before.
            with connection.transaction():
                capacity = self.limits.limit_capacity(connection, limited, claim.size, params["now"])
                rows = [fetch(connection, *call) for call in claim.calls(capacity.seqs)]
            return Claimed(claim.answers(rows), capacity.more and capacity.number < claim.size)

        if any(definition in self.limits for definition in definitions):
            return await self._database.run_locking(job)
        return await self._database.run(job)

    def claims_plainly(self, definitions: Sequence[str]) -> bool:
        """Whether one statement can claim for these definitions: they are few, and none had a limit."""
        return len(definitions) <= _MANY and not any(definition in self.limits for definition in definitions)

    def _claim_params(self, definitions: Sequence[str]) -> dict[str, Any]:
        return {"definitions": list(definitions), "most_bytes": self.answer_bytes, "now": self._clock.now()}

    def _claim_with(self, calls: Sequence[CreateTask]) -> ClaimOnCreate | None:
        """Return the claim of the polls that wait for the tasks of a batch of creates."""
        ready = Counter(call.definition for call in calls if call.execute_at is None)
        handover = self.hand_over(ready)
        if handover is None:
            return None
        return ClaimOnCreate(handover, Claim(self._claim_params(handover.definitions), handover.asks))

    async def delete_requests(self, after: tuple[str, str] | None, *, batch: int) -> tuple[str, str] | None:
        """Look at the next `batch` requestIds of polls, and delete those that hold no lease any more.

        `after` is the key (caller, requestId) where the call before ended, None at the start of a pass. The answer is
        the key where this call ended, None at the end of the pass.
        """
        caller, request_id = after or ("", "")
        params = {
            "age": _REQUEST_AGE,
            "after_caller": caller,
            "after_request": request_id,
            "batch": batch,
            "now": self._clock.now(),
        }
        ((last_caller, last_request),) = await self._database.fetch(statement("tasks/delete_requests"), params)
        return None if last_caller is None else (last_caller, last_request)

    async def deliver_cancel(self, id: str, exec_id: str, notification: bytes, caller: str) -> bool:
        """Log that the worker of a canceled task knows; return whether the task was canceled under this execId."""
        params = {
            **_at(id),
            "exec_id": exec_id,
            "notification": notification.decode(),
            "caller": caller,
            "age": RECEIPT_AGE,
            "now": self._clock.now(),
        }
        return bool(await self._database.fetch(statement("tasks/deliver_cancel"), params))

    async def find(self, id: str) -> Task | None:
        """Return a task, None when there is none."""
        rows = await self._database.fetch(statement("tasks/find"), _at(id))
        return Task._make(rows[0][RESOURCE]) if rows else None

    async def find_attempt(self, id: str, exec_id: str, actions: Sequence[str]) -> Attempt | None:
        """Return the earlier action of this execution among `actions`, None when there is none."""
        params = {**_at(id), "exec_id": exec_id, "actions": list(actions)}
        rows = await self._database.fetch(statement("tasks/find_attempt"), params)
        if not rows:
            return None
        action, content = rows[0][RESOURCE.stop :]
        return Attempt(action, content, Task._make(rows[0][RESOURCE]))

    async def matches_execute_at(self, id: str, execute_at: str | None) -> bool:
        """Return whether a task was created with this `executeAt`."""
        rows = await self._database.fetch(statement("tasks/matches_execute_at"), {**_at(id), "execute_at": execute_at})
        return bool(rows and rows[0][0])

    async def list(
        self, wanted: Filter, *, sort: Sort, direction: Direction, position: tuple[str, int] | None, size: int
    ) -> Page:
        """Return one page of tasks."""
        reads = self._database.reads
        found = await Search(reads, of_tasks, wanted, seconds=SHARE * reads.seconds).page(
            sort, direction, position, size
        )
        return Page([Task._make(row[RESOURCE]) for row in found.rows], found.position, found.searched_to)

    async def count(self, wanted: Filter, *, seconds: float) -> int | None:
        """Return the number of tasks; None when the count was not complete in time."""
        return await Search(self._database.reads, of_tasks, wanted, seconds=seconds).count()

    async def first_entry(self, id: str) -> Entry:
        """Return the first entry of a task's log."""
        params = {**_at(id), "after": 0, "size": 1}
        return Entry._make((await self._database.fetch(statement("tasks/entries"), params))[0])

    async def entries(self, id: str, place: LogPlace) -> Portion[Entry]:
        """Return part of a task's log."""
        if place.direction == "asc":
            text, params = statement("tasks/entries"), dict[str, Any](after=place.version or 0)
        else:
            text, params = statement("tasks/last_entries"), {"before": place.version}
        page = await self._database.reads.page(text, {**_at(id), **params}, size=place.size)
        return Portion([Entry._make(row) for row in page.items], page.more)

    async def count_entries(self, id: str) -> int:
        """Return how many entries a task's log has."""
        return int((await self._database.reads.fetch(statement("tasks/count_entries"), _at(id)))[0][0])

    async def _thin(self, seq: int, version: int) -> None:
        """Thin out the heartbeats of a long log; after a failure, the next thinning catches up."""
        params = {"seq": seq, "whole": WHOLE_LOG, "until": version}
        with contextlib.suppress(Refusal):
            await self._database.fetch(statement("tasks/thin_log"), params)

    async def peek(self, definitions: Sequence[str]) -> Backlog:
        """Return which of `definitions` have ready tasks, and the seconds until the next deadline."""
        params = {"definitions": list(definitions), "now": self._clock.now()}
        rows = await self._database.fetch(statement("tasks/peek"), params)
        ready = [(definition, limited) for definition, limited, _ in rows if definition is not None]
        return Backlog(ready, rows[0][2])


def _at(id: str) -> dict[str, Any]:
    return {"id": id, "seq": seq_of(id)}
