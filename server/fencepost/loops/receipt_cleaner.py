"""The receipt cleaner: deletes the receipts that no longer count, and what is left of their tasks.

Any number of servers may run it: each skips the receipts that another has locked. A server that dies in between leaves
a receipt whole, with the log and the names of its tasks, or nothing of it.
"""

from __future__ import annotations

from fencepost.store.receipts import ReceiptStore

# Seconds until the next run, when no receipt is due.
_INTERVAL = 60.0
# Receipts of one transaction, each of up to a thousand tasks.
_BATCH = 20


class ReceiptCleaner:
    """Deletes receipts, the oldest first."""

    def __init__(self, store: ReceiptStore) -> None:
        self._store = store

    async def run_once(self) -> float:
        """Delete the next receipts; return the seconds until the next run."""
        return 0.0 if await self._store.delete(batch=_BATCH) == _BATCH else _INTERVAL
