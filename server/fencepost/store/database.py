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
from fencepost.store.connection_monitor import ConnectionMonitor
from fencepost.store.connection_threads import ConnectionThread, DatabaseAway, Job, PendingJob, StatementRefused
from fencepost.store.pages import Row, fetch_page
from fencepost.store.statements import statements

__all__ = ["Database", "DatabaseAway", "Job", "StatementRefused"]

T = TypeVar("T")

_ANSWER_BYTES = 8 << 20
_READ_SECONDS = 10.0
_CLOSING_SECONDS = 1.0
# Seconds for a thread to notice that its connection was cut.
_CUTTING_SECONDS = 0.3


class Database:
    """Runs jobs on `connections` threads; create it and close it on the event loop that awaits it.

    The thread of `reads` shares the monitor; closing either of the two ends it.
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
        self.monitor: ConnectionMonitor = ConnectionMonitor(conninfo) if reads is None else reads.monitor
        self.jobs_taken = 0
        # How often a connection broke or could not be opened; the reaper compares.
        self.outages = 0
        self._locking = asyncio.Semaphore(max(connections // 2, 1))
        self._jobs: queue.SimpleQueue[PendingJob | None] = queue.SimpleQueue()
        self._threads = [
            ConnectionThread(f"fencepost-database-{number}", conninfo, self._jobs, self.monitor, self._broke)
            for number in range(connections)
        ]
        self.monitor.add(self._threads, self._jobs)

    async def run(self, job: Job[T]) -> T:
        """Run `job` on a free connection; raise DatabaseAway when the database cannot be reached in time."""
        self.jobs_taken += 1
        pending = PendingJob(job, asyncio.get_running_loop(), time.monotonic() + self.monitor.patience)
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
        """Return when the database answers and takes writes; raise DatabaseAway, within 2 seconds, when it does not.

        Does not wait for other jobs.
        """
        await self.monitor.ready()

    async def page(
        self, text: str, params: Mapping[str, Any], *, size: int, most_bytes: int | None = None
    ) -> Portion[Row]:
        """Run a list's statement and return at most `size` rows, and no more than fit into an answer."""
        most = self.answer_bytes if most_bytes is None else most_bytes
        return await self.run(lambda connection: fetch_page(connection, text, params, size=size, most_bytes=most))

    async def close(self) -> None:
        """Wait a moment for the jobs that run, then close all connections."""
        self.monitor.close()
        for _ in self._threads:
            self._jobs.put(None)
        reads = [] if self.reads is self else [self.reads.close()]
        await asyncio.gather(asyncio.to_thread(self._join), *reads)

    def _join(self) -> None:
        until = time.monotonic() + _CLOSING_SECONDS
        running = [thread for thread in self._threads if not thread.join(until)]
        for thread in running:
            cut(thread.connection)
        for thread in running:
            thread.join(until + _CUTTING_SECONDS)

    def _broke(self) -> None:
        self.outages += 1
