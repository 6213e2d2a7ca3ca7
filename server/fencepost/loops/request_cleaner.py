"""The request cleaner: deletes the requestIds of polls that hold no lease any more.

Any number of servers may run it: each skips the rows that another has locked.
"""

from __future__ import annotations

from fencepost.store.tasks import TaskStore

_INTERVAL = 60.0
# Rows of one statement, each with up to a thousand tasks to look up.
_BATCH = 100


class RequestCleaner:
    """Deletes them a minute after their polls, at the earliest."""

    def __init__(self, store: TaskStore) -> None:
        self._store = store

    async def run_once(self) -> float:
        """Delete a batch; return the seconds until the next run."""
        return 0.0 if await self._store.delete_requests(batch=_BATCH) == _BATCH else _INTERVAL
