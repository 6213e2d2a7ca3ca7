"""The request cleaner: deletes the requestIds of polls that hold no lease any more.

Each pass looks at each row once, in the order of the key, so that rows with long leases cost no more than one look a
pass. Any number of servers may run it: each skips the rows that another has locked.
"""

from __future__ import annotations

from fencepost.store.tasks import TaskStore

# Seconds between two passes.
_INTERVAL = 60.0
# Rows of one statement, each with up to a thousand tasks to look up.
_BATCH = 100


class RequestCleaner:
    """Deletes them a minute after their polls, at the earliest."""

    def __init__(self, store: TaskStore) -> None:
        self._store = store
        self._after: tuple[str, str] | None = None

    async def run_once(self) -> float:
        """Look at the next rows of the pass; return the seconds until the next run."""
        self._after = await self._store.delete_requests(self._after, batch=_BATCH)
        return _INTERVAL if self._after is None else 0.0
