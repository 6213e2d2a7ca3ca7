"""A few connections to Postgres, each with its own thread, behind one awaitable interface.

psycopg's synchronous connections wait inside libpq without the interpreter's lock, which makes a handful of threads
more than twice as fast as its asynchronous pool. A job is a function of a connection; jobs wait in one queue and any
free thread takes the next.
"""

from __future__ import annotations

import asyncio
import queue
import time
from collections.abc import Mapping
from typing import Any, TypeVar

from fencepost.domain.listing import Portion
from fencepost.store.connection import cut, fetch
from fencepost.store.lanes import Away, Job, Lane, Pending, StatementRefused
from fencepost.store.pages import Row, fetch_page
from fencepost.store.statements import statements
from fencepost.store.watch import Watch

__all__ = ["Away", "Database", "Job", "StatementRefused"]

T = TypeVar("T")

_ANSWER_BYTES = 8 << 20
_READ_SECONDS = 10.0
_CLOSING_SECONDS = 1.0
# Seconds for a thread to notice that its connection was cut.
_CUTTING_SECONDS = 0.3


class Database:
    """Runs jobs on `connections` threads; create it and close it on the event loop that awaits it.

    The lane of `reads` shares the watch; closing either of the two ends it.
    """

    def __init__(
        self,
        conninfo: str,
        *,
        connections: int = 4,
        reads: Database | None = None,
        answer_bytes: int = _ANSWER_BYTES,
        seconds: float = _READ_SECONDS,
    ) -> None:
        # Read all statements now, while all files are of one version.
        statements()
        self.conninfo = conninfo
        # The size of one answer in bytes: a page or a claim ends with the row that fills it.
        self.answer_bytes = answer_bytes
        # Seconds that a read may take.
        self.seconds = seconds
        # The database for long reads: this one, when there are no connections for reads.
        self.reads: Database = reads or self
        self.watch: Watch = Watch(conninfo) if reads is None else reads.watch
        self.jobs_taken = 0
        # How often a connection broke or could not be opened; the reaper compares.
        self.outages = 0
        self._locking = asyncio.Semaphore(max(connections // 2, 1))
        self._jobs: queue.SimpleQueue[Pending | None] = queue.SimpleQueue()
        self._lanes = [
            Lane(f"fencepost-database-{number}", conninfo, self._jobs, self.watch, self._broke)
            for number in range(connections)
        ]
        self.watch.add(self._lanes, self._jobs)

    async def run(self, job: Job[T]) -> T:
        """Run `job` on a free connection; raise Away (`unavailable`) when the database cannot be reached in time."""
        self.jobs_taken += 1
        pending = Pending(job, asyncio.get_running_loop(), time.monotonic() + self.watch.patience)
        self._jobs.put(pending)
        result: T = await pending.future
        return result

    async def run_locking(self, job: Job[T]) -> T:
        """Run a job that may wait for a lock; few of these run at once, so that others find a free connection."""
        async with self._locking:
            return await self.run(job)

    async def fetch(self, text: str, params: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows."""
        return await self.run(lambda connection: fetch(connection, text, params))

    async def ready(self) -> None:
        """Return when the database answers and takes writes; raise Away, within 2 seconds, when it does not.

        Does not wait for other jobs.
        """
        await self.watch.ready()

    async def page(
        self, text: str, params: Mapping[str, Any], *, size: int, most_bytes: int | None = None
    ) -> Portion[Row]:
        """Run a list's statement and return at most `size` rows, and no more than fit into an answer."""
        most = self.answer_bytes if most_bytes is None else most_bytes
        return await self.run(lambda connection: fetch_page(connection, text, params, size=size, most_bytes=most))

    async def close(self) -> None:
        """Wait a moment for the jobs that run, then close all connections."""
        self.watch.close()
        for _ in self._lanes:
            self._jobs.put(None)
        reads = [] if self.reads is self else [self.reads.close()]
        await asyncio.gather(asyncio.to_thread(self._join), *reads)

    def _join(self) -> None:
        until = time.monotonic() + _CLOSING_SECONDS
        running = [lane for lane in self._lanes if not lane.join(until)]
        for lane in running:
            cut(lane.connection)
        for lane in running:
            lane.join(until + _CUTTING_SECONDS)

    def _broke(self) -> None:
        self.outages += 1
