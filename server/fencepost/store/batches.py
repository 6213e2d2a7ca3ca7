"""Natural batching: calls of one kind that arrive while their statement runs go together into its next run.

There is no timer, so that a lone call is not delayed; under load one commit carries hundreds. Each call keeps its own
result: a statement returns rows marked with the number of the call, and a call without a row had its guard fail.
When Postgres refuses a whole batch, its calls are run one by one, so that only the guilty one fails.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

import orjson
import psycopg

from fencepost.clock import Clock
from fencepost.errors import UNAVAILABLE, Refusal
from fencepost.store.database import Database, StatementRefused
from fencepost.store.statements import statement

Row = tuple[Any, ...]


class Batches:
    """The waiting calls of one statement that takes `calls` and returns rows that begin with the number of the call.

    No two calls of one batch share their `id`: calls that touch the same task are decided in the order in which they
    came. `locks` is off for statements that only insert; their calls keep the order in which they came. `waiting` is
    how many may wait: who comes then is told to come again, which is kinder than an answer after its deadline.
    """

    def __init__(
        self, database: Database, clock: Clock, name: str, *, locks: bool = True, most: int = 500, waiting: int = 20_000
    ) -> None:
        self._database = database
        self._clock = clock
        self._text = statement(name)
        self._locks = locks
        self._most = most
        self._most_waiting = waiting
        self._waiting: deque[tuple[dict[str, Any], asyncio.Future[Row | None]]] = deque()
        self._running: asyncio.Task[None] | None = None

    async def submit(self, call: dict[str, Any]) -> Row | None:
        """Return the row of this call, or None when its guard failed; raise what Postgres says of this call alone.

        Raises Refusal (`unavailable`) when too many calls wait already.
        """
        if len(self._waiting) >= self._most_waiting:
            raise Refusal(UNAVAILABLE, retry_after=1, reason="the server is busy: too many calls wait already")
        future: asyncio.Future[Row | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((call, future))
        if self._running is None:
            self._running = asyncio.create_task(self._drain())
        return await future

    @property
    def pressed(self) -> bool:
        """Whether half as many calls wait as may wait."""
        return 2 * len(self._waiting) >= self._most_waiting

    async def _drain(self) -> None:
        try:
            while self._waiting:
                batch = self._take()
                await self._run(batch)
        finally:
            self._running = None

    def _take(self) -> list[tuple[dict[str, Any], asyncio.Future[Row | None]]]:
        """Take the calls that may run together; a second call for one task waits for the next run."""
        batch: list[tuple[dict[str, Any], asyncio.Future[Row | None]]] = []
        later: list[tuple[dict[str, Any], asyncio.Future[Row | None]]] = []
        seen: set[str] = set()
        while self._waiting and len(batch) < self._most:
            entry = self._waiting.popleft()
            if entry[0]["id"] in seen:
                later.append(entry)
            else:
                seen.add(entry[0]["id"])
                batch.append(entry)
        self._waiting.extendleft(reversed(later))
        if self._locks:
            # Every batch locks its rows in one order, so that two of them cannot wait for each other.
            batch.sort(key=lambda entry: str(entry[0]["id"]))
        return batch

    async def _run(self, batch: list[tuple[dict[str, Any], asyncio.Future[Row | None]]]) -> None:
        try:
            rows = await self._execute([call for call, _ in batch])
        except (psycopg.Error, StatementRefused) as error:
            if len(batch) == 1:
                _fail(batch[0][1], error)
                return
            for entry in batch:
                await self._run([entry])
        except BaseException as error:  # noqa: BLE001 every caller gets it, and the next batch must run
            for _, future in batch:
                _fail(future, error)
        else:
            for number, (_, future) in enumerate(batch):
                if not future.done():
                    future.set_result(rows.get(number))

    async def _execute(self, calls: list[dict[str, Any]]) -> dict[int, Row]:
        for number, call in enumerate(calls):
            call["call"] = number
        params = {"calls": orjson.dumps(calls).decode(), "now": self._clock.now()}
        return {row[0]: row for row in await self._database.fetch(self._text, params)}


def _fail(future: asyncio.Future[Row | None], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
