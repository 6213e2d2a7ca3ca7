"""Connections for long reads, apart from those for leases and finishes.

A search over a million rows keeps its connection for a second. On the connections of the queue, a few of those would
delay every heartbeat. Here reads wait only for each other, first come, first served, and each has a time limit.
"""

from __future__ import annotations

import asyncio
import time
import weakref
from typing import TypeVar

import psycopg

from fencepost.errors import READ_TOO_LONG, UNAVAILABLE, Refusal
from fencepost.store.connection import Connection
from fencepost.store.database import Database, DatabaseAway, Job

T = TypeVar("T")

# No parallel plans: reads then use at most one core of Postgres a connection, and leave the others to the queue.
_SESSION = """
set max_parallel_workers_per_gather = 0;
set cursor_tuple_fraction = 1;
set statement_timeout = {milliseconds}
"""

# Seconds that a waiting read waits for an unavailable database.
_PATIENCE = 1.0


class Reads(Database):
    """Runs reads on `connections` threads of their own; each may wait, and then run, for `seconds`."""

    def __init__(
        self, conninfo: str, *, connections: int = 2, seconds: float = 10.0, answer_bytes: int = 8 << 20
    ) -> None:
        super().__init__(conninfo, connections=connections, answer_bytes=answer_bytes, seconds=seconds)
        self._session = _SESSION.format(milliseconds=max(1, round(seconds * 1000))).encode()
        self._ready: weakref.WeakSet[Connection] = weakref.WeakSet()
        # First come, first served, and no more jobs than threads: a read cancelled in the queue leaves no job.
        self._turns = asyncio.Semaphore(connections)

    async def run(self, job: Job[T]) -> T:
        """Run a read on a free connection.

        Raises Refusal: `unavailable` when no connection gets free in time, `read-too-long` when a statement takes
        longer than it may.
        """
        came_at = time.monotonic()
        try:
            async with asyncio.timeout(self.seconds):
                await self._turns.acquire()
        except TimeoutError:
            reason = f"reads wait for each other, and this one had no turn within {self.seconds:g} s"
            raise Refusal(UNAVAILABLE, retry_after=1, reason=reason) from None
        try:
            if self.monitor.away_since is not None and time.monotonic() > came_at + _PATIENCE:
                # Otherwise the waiting reads would each wait for the database, one after the other.
                raise DatabaseAway
            return await super().run(lambda connection: self._timed(connection, job))
        finally:
            self._turns.release()

    def _timed(self, connection: Connection, job: Job[T]) -> T:
        if connection not in self._ready:
            connection.execute(self._session, prepare=False)
            self._ready.add(connection)
        try:
            return job(connection)
        except psycopg.errors.QueryCanceled:
            raise Refusal(READ_TOO_LONG, seconds=f"{self.seconds:g}") from None
