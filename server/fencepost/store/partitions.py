"""The time partitions of the history: created ahead of time, and dropped after the retention.

The rows that live workflows still need are kept: they move to the default partition when their partition is dropped.

Each step is a transaction with a short lock timeout. Attaching or dropping a table makes every later statement wait for
it, so that a step which waited for a long transaction would stop the server. Instead it gives up (`InTheWay`) and is
tried again later. After a crash between two steps the next run continues where the last one stopped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from fencepost.clock import Clock
from fencepost.store.connection import Connection, fetch
from fencepost.store.database import Database
from fencepost.store.statements import statement

# Rows of one step, which takes a few milliseconds.
_BATCH = 1000
# Workflows of one step, each with all its labels.
_FAMILIES = 500
_BRIEFLY = "set local lock_timeout = '200ms'"
# To attach a partition, Postgres reads the default partition under a lock. It is usually empty; a large one must not
# block other transactions for long.
_AT_MOST = "set local statement_timeout = '3s'"
_IN_THE_WAY = (
    psycopg.errors.LockNotAvailable,
    psycopg.errors.QueryCanceled,
    # A row was written to the default partition just before its range was attached.
    psycopg.errors.CheckViolation,
)


class InTheWay(Exception):
    """Another transaction holds a lock that a step needs; nothing was changed, and the step can be tried again."""


class AlreadyGone(Exception):
    """Another server has dropped the partition."""


class Partition(NamedTuple):
    """A partition of `parent` for the time from `begins_at` (None: no lower bound) to `ends_at`.

    The parents are `done_tasks`, `done_workflows` and `task_log`.
    """

    parent: str
    name: str
    begins_at: str | None
    ends_at: str


class PartitionStore:
    """Runs the statements of sql/queries/history, and those that create and drop partitions.

    `orphans` are statements of vocabularies that delete a batch of rows whose workflow has left the history.
    """

    def __init__(self, database: Database, clock: Clock, orphans: Sequence[str] = ()) -> None:
        self._database = database
        self._clock = clock
        self._orphans = orphans
        # Rows of live workflows in the default partitions. Above that, partitions with such rows stay, because the time
        # to attach a partition grows with the default partition.
        self.most_kept = 500_000

    async def make_next(self, width: timedelta) -> Partition | None:
        """Create the nearest missing partition and return it, None when none is missing; raise InTheWay."""

        def job(connection: Connection) -> Partition | None:
            with _briefly(connection):
                rows = fetch(
                    connection, statement("history/missing_partitions"), {"width": width, "now": self._clock.now()}
                )
                if not rows:
                    return None
                partition = Partition(*rows[0])
                connection.execute(_AT_MOST)
                # Created apart and attached while empty: `create table … partition of` would block all access to the
                # parent, and this lets other transactions write into it.
                connection.execute(_with_names("create table {name} (like {parent} including all)", partition))
                connection.execute(_with_names("alter table {parent} attach partition {name} {bounds}", partition))
                return partition

        return await self._database.run(job)

    async def expired_partitions(self, retention: timedelta) -> list[Partition]:
        """Return the partitions whose rows are all older than `retention`, oldest first."""
        params = {"retention": retention, "now": self._clock.now()}
        return [Partition(*row) for row in await self._database.fetch(statement("history/expired_partitions"), params)]

    async def has_room(self) -> bool:
        """Return whether more rows can be kept for live workflows."""
        params = {"most": self.most_kept}
        return not (await self._database.fetch(statement("history/default_partitions_exceed"), params))[0][0]

    async def forget(self, partition: Partition, *, after: int) -> tuple[int | None, list[int]]:
        """Delete a batch of the names of a partition's tasks or workflows; raise InTheWay or AlreadyGone.

        Returns the next `after`, None after the last batch, and the seqs of the rows that must be kept.
        """
        params = {"begins_at": partition.begins_at, "ends_at": partition.ends_at, "after": after}

        def job(connection: Connection) -> tuple[int | None, list[int]]:
            with _briefly(connection):
                if partition.parent == "done_workflows":
                    few = {**params, "batch": _FAMILIES}
                    ((last, kept),) = fetch(connection, statement("history/delete_workflow_names"), few)
                    return last, kept
                # This lock waits for a retry in progress; a later retry looks for the id after this transaction.
                connection.execute(_with_names("lock table {name} in share mode", partition))
                ((last, kept),) = fetch(connection, statement("history/delete_task_names"), {**params, "batch": _BATCH})
                return last, kept

        return await self._database.run(job)

    async def snapshot(self, partition: Partition, *, after: int) -> tuple[int | None, int]:
        """Log the state of a batch of live tasks whose newest log entry is in a partition or older; raise InTheWay.

        Returns the next `after`, None after the last batch, and the number of tasks that were skipped for now.
        """
        params = {"ends_at": partition.ends_at, "after": after, "batch": _BATCH, "now": self._clock.now()}

        def job(connection: Connection) -> tuple[int | None, int]:
            with _briefly(connection):
                ((last, due),) = fetch(connection, statement("history/snapshot"), params)
                return last, due

        return await self._database.run(job)

    async def drop(self, partition: Partition, kept: Sequence[int] = ()) -> None:
        """Drop a partition, and move the rows `kept` to the default partition; raise InTheWay or AlreadyGone.

        InTheWay is also raised when these are too many to move quickly: then the whole partition stays.
        """

        def job(connection: Connection) -> None:
            with _briefly(connection):
                if kept:
                    connection.execute(_AT_MOST)
                    connection.execute(_with_names("alter table {parent} detach partition {name}", partition))
                    # The current rows: a task may have been retried meanwhile, or its worker notified of a cancel. They
                    # go to the default partition, as all rows without a partition for their time do.
                    moved = _with_names("insert into {parent} select * from {name} where seq = any(%s)", partition)
                    connection.execute(moved, [list(kept)])
                connection.execute(_with_names("drop table {name}", partition))

        await self._database.run(job)

    async def delete_strays(self, retention: timedelta) -> int:
        """Delete a batch of old rows from each default partition and unpartitioned table; return the number deleted."""
        params: dict[str, Any] = {"retention": retention, "batch": _BATCH, "now": self._clock.now()}
        done = await self._database.fetch(statement("history/delete_done"), params)
        workflows = await self._database.fetch(statement("history/delete_done_workflows"), params)
        log = await self._database.fetch(statement("history/delete_log"), params)
        events = await self._database.fetch(statement("history/delete_events"), params)
        starts = await self._database.fetch(statement("history/delete_starts"), params)
        orphans = [await self._database.fetch(statement(name), {"batch": _BATCH}) for name in self._orphans]
        return sum(int(rows[0][0]) for rows in (done, workflows, log, events, starts, *orphans))


@contextmanager
def _briefly(connection: Connection) -> Iterator[None]:
    """Run a transaction that excludes other servers and gives up when it would have to wait."""
    try:
        with connection.transaction():
            connection.execute(_BRIEFLY)
            fetch(connection, statement("history/lock_partitions"), {})
            yield
    except _IN_THE_WAY as error:
        raise InTheWay(error.diag.message_primary) from None
    except psycopg.errors.UndefinedTable:
        raise AlreadyGone from None


def _with_names(text: str, partition: Partition) -> sql.Composed:
    return sql.SQL(text).format(
        name=sql.Identifier("fencepost", partition.name),
        parent=sql.Identifier("fencepost", partition.parent),
        bounds=sql.SQL("for values from ({}) to ({})").format(partition.begins_at, partition.ends_at),
    )
