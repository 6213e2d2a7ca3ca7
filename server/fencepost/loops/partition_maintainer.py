"""The partition maintainer: creates the partitions of the history ahead of time, and drops those past the retention.

Any number of servers may run it: a lock lets one at a time change a partition. When that one dies, the next run goes on
from the last completed step.
"""

from __future__ import annotations

from datetime import timedelta

from fencepost.domain.history import partition_width
from fencepost.store.partitions import AlreadyGone, InTheWay, Partition, PartitionStore
from fencepost.telemetry import Event, emit

_LONGEST_SLEEP = 3600.0
# While a long transaction blocks a partition. Each try makes other transactions wait a moment, and partitions for two
# more widths exist.
_AFTER_DELAY = 60.0


class PartitionMaintainer:
    """Keeps history for `retention`, or for ever when that is None."""

    def __init__(self, store: PartitionStore, retention: timedelta | None) -> None:
        self._store = store
        self._retention = retention
        self._width = partition_width(retention)
        # Whether `prepare` succeeded since the last run: at the start of a server the first run follows it at once.
        self._prepared = False

    async def prepare(self) -> bool:
        """Create the partitions for now and two widths ahead; return False when a transaction blocks that.

        Rows without a partition of their own go to the default one, so no write fails.
        """
        try:
            while (made := await self._store.make_next(self._width)) is not None:
                emit(Event.PARTITION_MADE, name=made.name, until=made.ends_at)
        except InTheWay as reason:
            emit(Event.PARTITIONS_DELAYED, reason=reason)
            return False
        self._prepared = True
        return True

    async def run_once(self) -> float:
        """Create and drop the partitions that are due; return the seconds until the next run."""
        if not (self._prepared or await self.prepare()):
            return _AFTER_DELAY
        self._prepared = False
        if self._retention is not None and not await self._drop_outlived(self._retention):
            return _AFTER_DELAY
        return min(self._width.total_seconds() / 2, _LONGEST_SLEEP)

    async def _drop_outlived(self, retention: timedelta) -> bool:
        """Drop the partitions past the retention; return False when one of them has to stay for now."""
        dropped = [await self._drop(partition) for partition in await self._store.expired_partitions(retention)]
        while count := await self._store.delete_strays(retention):
            emit(Event.HISTORY_DELETED, count=count)
        return all(dropped)

    async def _drop(self, partition: Partition) -> bool:
        """Drop a partition; return False when it has to stay for now and another try soon may succeed."""
        try:
            if partition.parent == "task_log":
                if not await self._is_free(partition):
                    return False
                await self._store.drop(partition)
            else:
                kept = await self._forget(partition)
                if kept and not await self._store.has_room():
                    # Another try soon would not help: a workflow must end first.
                    emit(Event.PARTITIONS_DELAYED, reason="live workflows need too many rows past the retention")
                    return True
                await self._store.drop(partition, kept)
        except AlreadyGone:
            return True
        except InTheWay as reason:
            emit(Event.PARTITIONS_DELAYED, reason=reason)
            return False
        emit(Event.PARTITION_DROPPED, name=partition.name)
        return True

    async def _forget(self, partition: Partition) -> list[int]:
        """Delete the references into a partition; return the numbers of the tasks that live workflows need of it."""
        after: int | None = 0
        kept: list[int] = []
        while after is not None:
            after, some = await self._store.forget(partition, after=after)
            kept += some
        return kept

    async def _is_free(self, partition: Partition) -> bool:
        """Write snapshots of live tasks with entries in a partition of the log; return whether all have one."""
        after: int | None = 0
        due = 0
        while after is not None:
            after, left_alone = await self._store.snapshot(partition, after=after)
            due += left_alone
        return not due
