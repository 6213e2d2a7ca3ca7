"""The definitions with a concurrency limit that this server knows of, and the free capacity of their limits.

The knowledge only selects a statement. A claim without limits skips every task with a limit key, and a claim with
limits also leases tasks without one. A server with old knowledge leases too few tasks for a moment, never too many.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from fencepost.store.connection import Connection, fetch
from fencepost.store.statements import statement

# A server may put a definition and die before it notifies the others.
_TRUSTED_SECONDS = 5.0
# How many openings a claim reads beyond the tasks that it wants: few at first, since most lead to a task; then more,
# after openings that led nowhere. It stops after the last width, because other claims wait for the lock.
_WIDTHS = (8, 256, 2048)


class Capacity(NamedTuple):
    """Tasks that may be leased, and whether keys that were not read may have more; `seqs` is the text of an array."""

    seqs: str
    number: int
    more: bool


class Limits:
    """The definitions with a limit, read by database threads and invalidated by the event loop."""

    def __init__(self) -> None:
        self._names: frozenset[str] = frozenset()
        self._read_at = float("-inf")
        self._forgotten = 0
        self._read_after = 0

    def __contains__(self, definition: object) -> bool:
        """Whether a definition had a limit when the names were last read."""
        return definition in self._names

    def forget(self, *_: object) -> None:
        """Read the names again before the next use: a definition has changed, or may have."""
        self._forgotten += 1

    def among(self, connection: Connection, definitions: Sequence[str]) -> list[str]:
        """Return those of `definitions` that have a limit, by name."""
        if self._read_after != self._forgotten or time.monotonic() - self._read_at > _TRUSTED_SECONDS:
            forgotten = self._forgotten
            self._names = frozenset(row[0] for row in fetch(connection, statement("definitions/list_limited"), {}))
            # The count from before the read: a `forget` during the read leads to another one.
            self._read_after, self._read_at = forgotten, time.monotonic()
        return sorted(self._names.intersection(definitions))

    def limit_capacity(self, connection: Connection, definitions: Sequence[str], size: int, now: Any) -> Capacity:
        """Find up to `size` ready tasks of limited definitions that may be leased until the transaction ends."""
        # Two statements: the count needs a snapshot from after the lock, when no other claim can add a lease.
        fetch(connection, statement("tasks/lock_limits"), {"definitions": definitions})
        params = {"definitions": definitions, "size": size, "now": now}
        capacity = Capacity("{}", 0, False)
        for width in _WIDTHS:
            # Each run deletes the openings that lead nowhere, so that the next one reads those after them.
            (row,) = fetch(connection, statement("tasks/limit_capacity"), {**params, "width": size + width})
            capacity = Capacity._make(row)
            if capacity.number >= size or not capacity.more:
                break
        return capacity
