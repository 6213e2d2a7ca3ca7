"""Retain: sees to it that history has partitions to go to, and lets it go when it is older than the retention.

Any number of servers may run it: what changes a partition is done by one at a time, and nothing is lost when that one
dies, since each step leaves what the next run finds and goes on from.
"""

from __future__ import annotations

from datetime import timedelta

from fencepost.domain.history import partition_width
from fencepost.store.partitions import AlreadyGone, InTheWay, Partition, PartitionStore
from fencepost.telemetry import Event, emit

_LONGEST_SLEEP = 3600.0
# Somebody's long transaction: each try makes others wait for a moment, and two widths are ahead.
_AFTER_DELAY = 60.0


class Retain:
    """Keeps history for `retention`, or for good when that is None."""

    def __init__(self, store: PartitionStore, retention: timedelta | None) -> None:
        self._store = store
        self._retention = retention
        self._width = partition_width(retention)

    async def prepare(self) -> bool:
        """Make the partitions for now and two widths ahead; return False when something is in the way.

        What has no partition goes to the default one: nothing fails for want of it.
        """
        try:
            while (made := await self._store.make_next(self._width)) is not None:
                emit(Event.PARTITION_MADE, name=made.name, until=made.ends_at)
        except InTheWay as reason:
            emit(Event.PARTITIONS_DELAYED, reason=reason)
            return False
        return True

    async def run_once(self) -> float:
        """Make and drop the partitions that it is time for; return the seconds until the next look."""
        if not await self.prepare():
            return _AFTER_DELAY
        if self._retention is not None and not await self._let_go(self._retention):
            return _AFTER_DELAY
        return min(self._width.total_seconds() / 2, _LONGEST_SLEEP)

    async def _let_go(self, retention: timedelta) -> bool:
        """Drop what is older than the retention; return False when something of it has to stay for now."""
        dropped = [await self._drop(partition) for partition in await self._store.expired_partitions(retention)]
        while count := await self._store.delete_strays(retention):
            emit(Event.HISTORY_DELETED, count=count)
        return all(dropped)

    async def _drop(self, partition: Partition) -> bool:
        """Drop a partition unless something of it has to stay for now; return False when that may pass soon."""
        try:
            if partition.parent == "task_log":
                if not await self._is_free(partition):
                    return False
                await self._store.drop(partition)
            else:
                kept = await self._forget(partition)
                if kept and not await self._store.has_room():
                    # Not soon: it takes a workflow's end to change that.
                    emit(Event.PARTITIONS_DELAYED, reason="workflows that outlive the retention have begun too much")
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
        """Let the names go that lead into a partition; return the numbers of what live workflows need of it."""
        after: int | None = 0
        kept: list[int] = []
        while after is not None:
            after, some = await self._store.forget(partition, after=after)
            kept += some
        return kept

    async def _is_free(self, partition: Partition) -> bool:
        """Write down anew what a partition of the log says of live tasks; return whether that is done of all."""
        after: int | None = 0
        due = 0
        while after is not None:
            after, left_alone = await self._store.snapshot(partition, after=after)
            due += left_alone
        return not due
