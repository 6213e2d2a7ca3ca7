"""A few connections to Postgres, each with a thread of its own, behind one awaitable.

psycopg's synchronous connections wait inside libpq without the interpreter's lock, which makes a handful of threads
more than twice as fast as its asynchronous pool. A job is a function of a connection; jobs wait in one queue and any
free thread takes the next. A connection that breaks is opened anew, and the job that met the break runs once more:
every statement of ours carries its guard, so that a second run after a lost commit changes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import psycopg

from fencepost.errors import UNAVAILABLE, Refusal
from fencepost.store.connection import Connection, connect, fetch

T = TypeVar("T")


class StatementRefused(Refusal):
    """Postgres refused a statement for a reason that may pass; in a batch, perhaps for the sake of one call."""


Job = Callable[[Connection], T]

_PATIENCE = 5.0
_PAUSE = 0.05
_CLOSING_SECONDS = 2.0
# By class of SQLSTATE: read-only (25), out of resources (53), cannot lock in time (55), stopped from outside (57).
_NOT_OUR_FAULT = {"25", "53", "55", "57"}


class Database:
    """Runs jobs on `connections` threads; make it and close it on the event loop that awaits it."""

    def __init__(self, conninfo: str, *, connections: int = 4, reads: Database | None = None) -> None:
        self.conninfo = conninfo
        # Where reads run that may take long; without a lane of their own, here.
        self.reads: Database = reads or self
        self.jobs_taken = 0
        # How often a connection broke or could not be opened; the reaper compares.
        self.outages = 0
        self.closing = threading.Event()
        self._jobs: queue.SimpleQueue[_Pending | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._serve, name=f"fencepost-database-{number}", daemon=True)
            for number in range(connections)
        ]
        for thread in self._threads:
            thread.start()

    async def run(self, job: Job[T]) -> T:
        """Run `job` on a free connection; raise Refusal (`unavailable`) when the database cannot be reached."""
        self.jobs_taken += 1
        pending = _Pending(job, asyncio.get_running_loop())
        self._jobs.put(pending)
        result: T = await pending.future
        return result

    async def fetch(self, text: str, params: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows."""
        return await self.run(lambda connection: fetch(connection, text, params))

    async def close(self) -> None:
        """Let the threads finish what they run, for a moment, and close their connections."""
        self.closing.set()
        for _ in self._threads:
            self._jobs.put(None)
        if self.reads is not self:
            await self.reads.close()
        for thread in self._threads:
            await asyncio.to_thread(thread.join, _CLOSING_SECONDS)

    def _serve(self) -> None:
        connection: Connection | None = None
        while (pending := self._jobs.get()) is not None:
            connection = pending.attempt(connection, self)
        if connection is not None:
            connection.close()


class _Pending:
    """A job that waits for a connection, and the future of its caller."""

    __slots__ = ("future", "job", "loop", "until")

    def __init__(self, job: Job[Any], loop: asyncio.AbstractEventLoop) -> None:
        self.job = job
        self.loop = loop
        # From here and not from when a thread is free: without a database, jobs must not wait behind each other.
        self.until = time.monotonic() + _PATIENCE
        self.future: asyncio.Future[Any] = loop.create_future()

    def attempt(self, connection: Connection | None, database: Database) -> Connection | None:
        """Run the job and settle the future; return the connection to go on with."""
        while True:
            try:
                if connection is None or connection.closed:
                    connection = self._connect(database)
                result = self.job(connection)
            except psycopg.Error as error:
                if connection is None or connection.closed or connection.broken:
                    _discard(connection)
                    connection = None
                    database.outages += 1
                    failure: Exception = Refusal(UNAVAILABLE, retry_after=1, reason="the database cannot be reached")
                    again = True
                else:
                    failure, again = _judge(error)
                if again and time.monotonic() < self.until and not database.closing.wait(_PAUSE):
                    continue
                self._settle(None, failure)
                return connection
            except BaseException as error:  # noqa: BLE001 the caller's future carries it; the thread must live on
                self._settle(None, error)
                return connection
            else:
                self._settle(result, None)
                return connection

    def _connect(self, database: Database) -> Connection:
        if database.outages and time.monotonic() >= self.until:
            raise psycopg.OperationalError("no time left to open a connection")
        return connect(database.conninfo)

    def _settle(self, result: Any, error: BaseException | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is gone: nobody waits any more
            self.loop.call_soon_threadsafe(_resolve, self.future, result, error)


def _resolve(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


def _judge(error: psycopg.Error) -> tuple[Exception, bool]:
    """Return what the caller of a statement that Postgres refused is told, and whether it is worth another try."""
    if isinstance(error, psycopg.errors.DeadlockDetected | psycopg.errors.SerializationFailure):
        return StatementRefused(UNAVAILABLE, retry_after=1, reason="the database is contended"), True
    if (error.sqlstate or "")[:2] in _NOT_OUR_FAULT:
        reason = f"the database says: {error.diag.message_primary}"
        return StatementRefused(UNAVAILABLE, retry_after=1, reason=reason), False
    return error, False


def _discard(connection: Connection | None) -> None:
    if connection is not None:
        with contextlib.suppress(psycopg.Error):
            connection.close()
