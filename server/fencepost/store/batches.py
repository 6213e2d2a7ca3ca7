"""Natural batching: calls of one kind that arrive while their statement runs are batched into its next run.

There is no timer, so a single call is not delayed; under load, one commit carries hundreds. Each call has its own
outcome: the rows of a statement begin with the number of the call, and a call without a row failed its guard. When
Postgres refuses a whole batch, its calls are run one by one, so that only the faulty one fails.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import compress
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import psycopg

from fencepost.clock import Clock
from fencepost.errors import UNAVAILABLE, Refusal
from fencepost.store.calls import Call, as_json, number
from fencepost.store.connection import Connection, fetch_together
from fencepost.store.database import Database, StatementRefused
from fencepost.store.statements import short_statement, statement

T = TypeVar("T")
C = TypeVar("C", bound=Call)
Row = tuple[Any, ...]
# A smaller batch waits for one turn of the event loop.
_FEW = 100

# The row of a call, None when its guard failed, or an exception for this call alone.
Outcome = Row | Exception | None


class Wakeup(NamedTuple):
    """A side effect of a job: a task of `definition` is ready (`due_in` is None), or will be in `due_in` seconds."""

    definition: str
    due_in: float | None


class Done(NamedTuple):
    """The results of a job: the outcome of each call by its number, and wake-ups."""

    outcomes: Mapping[int, Row | Exception]
    wakeups: Sequence[Wakeup] = ()


# Runs calls with more than one statement, in a transaction of its own, at a time (None: the database's).
Job = Callable[[Connection, Sequence[C], datetime | None], Done]


class Addition(Protocol):
    """Statements that run after the statement of a batch, in its transaction and its round trip."""

    def calls(self) -> Sequence[tuple[str, Mapping[str, Any]]]:
        """Return the statements with their parameters; called again for a second run after a lost reply."""

    def done(self, rows: Sequence[Row], added: Sequence[Sequence[Row]]) -> Iterable[Row]:
        """Take the rows of the batch and of each added statement, and return the rows of the batch."""

    def failed(self) -> None:
        """Take note that nothing had an effect, or that its effect is unknown."""


class _Submission:
    """Calls that were submitted together; their future is done when the last has its outcome."""

    __slots__ = ("future", "left", "outcomes", "short")

    def __init__(self, count: int, *, short: bool) -> None:
        self.outcomes: list[Outcome] = [None] * count
        self.left = count
        self.short = short
        self.future: asyncio.Future[list[Outcome]] = asyncio.get_running_loop().create_future()


class _Entry(NamedTuple, Generic[C]):
    call: C
    submission: _Submission
    place: int

    def resolve(self, outcome: Outcome) -> None:
        """Set the outcome, and wake the caller after the last one."""
        submission = self.submission
        submission.outcomes[self.place] = outcome
        submission.left -= 1
        if not submission.left and not submission.future.done():
            submission.future.set_result(submission.outcomes)


class Batches(Generic[C]):
    """The waiting calls of one statement that takes `calls` and returns rows that begin with the number of the call.

    Instead of a statement, `work` may be a job that gets the calls and runs several statements. `short` is its form for
    callers of short rows, and `on_wakeups` gets its wake-ups. `adding` may add statements to a batch of a statement.

    Two calls with the same `id` never run at the same time: calls for one task are applied in the order of arrival.
    `locks` is False for statements that only insert: their calls keep the order of arrival, and a second batch runs
    beside the first when it is full. `waiting` is the most calls that may wait; further calls are refused
    (`unavailable`), because an answer after their deadline would be worse.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        work: str | Job[C],
        *,
        short: Job[C] | None = None,
        locks: bool = True,
        most: int = 500,
        waiting: int = 20_000,
        on_wakeups: Callable[[Sequence[Wakeup]], None] | None = None,
        adding: Callable[[Sequence[C]], Addition | None] | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._work = work
        self._short_job = short
        self._on_wakeups = on_wakeups
        self._adding = adding
        self._locks = locks
        self._most_runs = 1 if locks else 2
        self._most = most
        self._most_waiting = waiting
        self._waiting: deque[_Entry[C]] = deque()
        self._under_way: set[str] = set()
        self._running = 0
        # The event loop has only weak references to tasks.
        self._runs: set[asyncio.Task[None]] = set()

    async def submit(self, calls: Sequence[C], *, short: bool = False) -> list[Outcome]:
        """Return the outcome of each call; with `short`, rows may have only the columns of a ShortTask.

        Raises Refusal (`unavailable`) when too many calls wait; then none of these is run.
        """
        if not calls:
            return []
        if len(self._waiting) >= self._most_waiting:
            raise Refusal(UNAVAILABLE, retry_after=1, reason="the server is busy: too many calls wait already")
        submission = _Submission(len(calls), short=short)
        self._waiting.extend(_Entry(call, submission, place) for place, call in enumerate(calls))
        if not self._running or (self._running < self._most_runs and len(self._waiting) >= self._most):
            self._running += 1
            run = asyncio.create_task(self._drain())
            self._runs.add(run)
            run.add_done_callback(self._runs.discard)
        return await submission.future

    @property
    def pressed(self) -> bool:
        """Whether at least half as many calls wait as may wait."""
        return 2 * len(self._waiting) >= self._most_waiting

    async def _drain(self) -> None:
        try:
            while batch := await self._next():
                await self._run(batch)
                self._under_way.difference_update(entry.call.id for entry in batch if entry.call.id is not None)
        finally:
            self._running -= 1

    async def _next(self) -> list[_Entry[C]]:
        """Take the waiting calls; few ones only after a turn of the loop, in which answered callers may call again."""
        if len(self._waiting) < _FEW:
            await asyncio.sleep(0)
        return self._take()

    def _take(self) -> list[_Entry[C]]:
        """Take the calls that may run together; a second call for one task stays until the first has run."""
        batch: list[_Entry[C]] = []
        later: list[_Entry[C]] = []
        while self._waiting and len(batch) < self._most:
            entry = self._waiting.popleft()
            id = entry.call.id
            if id in self._under_way:
                later.append(entry)
                continue
            if id is not None:
                self._under_way.add(id)
            batch.append(entry)
        self._waiting.extendleft(reversed(later))
        if self._locks:
            # Every batch locks its rows in the same order, so that two batches do not deadlock.
            batch.sort(key=lambda entry: str(entry.call.id))
        return batch

    async def _run(self, batch: list[_Entry[C]]) -> None:
        try:
            rows = await self._execute(batch)
        except (psycopg.Error, StatementRefused) as error:
            if len(batch) == 1:
                batch[0].resolve(error)
                return
            for entry in batch:
                await self._run([entry])
        except Exception as error:  # noqa: BLE001 every caller gets it, and the next batch must run
            for entry in batch:
                entry.resolve(error)
        else:
            for place, entry in enumerate(batch):
                entry.resolve(rows.get(place))

    async def _execute(self, batch: list[_Entry[C]]) -> Mapping[int, Row | Exception]:
        short = all(entry.submission.short for entry in batch)
        calls = number([entry.call for entry in batch])
        if isinstance(self._work, str):
            text = short_statement(self._work) if short else statement(self._work)
            params = {"calls": as_json(calls), "now": self._clock.now()}
            if self._adding is not None and (addition := self._adding(calls)) is not None:
                return {row[0]: row for row in await self._fetch_with(addition, text, params)}
            return {row[0]: row for row in await self._database.fetch(text, params)}
        job = self._short_job if short and self._short_job is not None else self._work
        now = self._clock.now()
        done = await self._database.run(lambda connection: job(connection, calls, now))
        if self._on_wakeups is not None and done.wakeups:
            self._on_wakeups(done.wakeups)
        return done.outcomes

    async def _fetch_with(self, addition: Addition, text: str, params: Mapping[str, Any]) -> Iterable[Row]:
        try:
            rows, *added = await self._database.run(
                lambda connection: fetch_together(connection, [(text, params), *addition.calls()])
            )
        except BaseException:
            addition.failed()
            raise
        return addition.done(rows, added)


def partition(calls: Sequence[T], marks: Sequence[bool]) -> tuple[list[T], list[T]]:
    """Return the calls without a mark, and those with one."""
    return [c for c, mark in zip(calls, marks, strict=True) if not mark], list(compress(calls, marks))


def merge(marks: Sequence[bool], unmarked: Iterable[T], marked: Iterable[T]) -> list[T]:
    """Return the outcomes of partitioned calls in the order of the calls."""
    parts = (iter(unmarked), iter(marked))
    return [next(parts[mark]) for mark in marks]
