"""Which definitions have a limit, as far as this server knows, and how a claim finds what their limits leave free.

What it knows only says which statement to run. A claim without limits passes over every task that has a key, and one
with limits also takes those that have none, so that a server which is behind gives out too little for a moment, and
never too much.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from fencepost.store.connection import Connection, fetch
from fencepost.store.statements import statement

# Somebody may have put a definition and died before it was announced.
_TRUSTED_SECONDS = 5.0
# How many openings a claim looks at beyond the tasks that it wants: few, since most lead to a task; then those behind
# openings that led nowhere; and in the end no more, for the sake of those who wait for the lock.
_WIDTHS = (8, 256, 2048)


class Capacity(NamedTuple):
    """Tasks that may be leased, by number, oldest first, and whether keys that were not looked at may have more."""

    seqs: Sequence[int]
    more: bool


class Limits:
    """The limited definitions; used by the threads of the database, told by the event loop when to forget."""

    def __init__(self) -> None:
        self._names: frozenset[str] = frozenset()
        self._read_at = float("-inf")
        self._forgotten = 0
        self._read_after = 0

    def __contains__(self, definition: object) -> bool:
        """Whether a definition had a limit when that was last looked up."""
        return definition in self._names

    def forget(self, *_: object) -> None:
        """Do not rely on what is remembered: some definition has changed, or may have."""
        self._forgotten += 1

    def among(self, connection: Connection, definitions: Sequence[str]) -> list[str]:
        """Return those of `definitions` that have a limit, by name."""
        if self._read_after != self._forgotten or time.monotonic() - self._read_at > _TRUSTED_SECONDS:
            forgotten = self._forgotten
            self._names = frozenset(row[0] for row in fetch(connection, statement("definitions/list_limited"), {}))
            # As of before the look: who is told to forget while it is on its way looks again.
            self._read_after, self._read_at = forgotten, time.monotonic()
        return sorted(self._names.intersection(definitions))

    def limit_capacity(self, connection: Connection, definitions: Sequence[str], size: int, now: Any) -> Capacity:
        """Find up to `size` ready tasks of limited definitions that may be leased until the transaction ends."""
        # Two statements, because what is counted must be as it is once nobody else can add to it.
        fetch(connection, statement("tasks/lock_limits"), {"definitions": definitions})
        params = {"definitions": definitions, "size": size, "now": now}
        capacity = Capacity((), False)
        for width in _WIDTHS:
            # Each look takes away the openings that lead nowhere, so that the next one sees what is behind them.
            ((seqs, more),) = fetch(connection, statement("tasks/limit_capacity"), {**params, "width": size + width})
            capacity = Capacity(seqs, more)
            if len(seqs) >= size or not more:
                break
        return capacity
