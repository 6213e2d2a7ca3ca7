"""Which definitions have a limit, as far as this server knows, and how a claim finds what their limits leave free.

What it knows only says which statement to run. A claim without limits passes over every task that has a key, and one
with limits also takes those that have none, so that a server which is behind gives out too little for a moment, and
never too much.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from fencepost.store.connection import Connection, fetch
from fencepost.store.statements import statement

# Somebody may have put a definition and died before it was announced.
_TRUSTED_SECONDS = 5.0


class Limits:
    """The limited definitions; used by the threads of the database, told by the event loop when to forget."""

    def __init__(self) -> None:
        self._names: frozenset[str] = frozenset()
        self._read_at = float("-inf")
        self._forgotten = 0
        self._read_after = 0
        self._looked: dict[str, str] = {}

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
            self._names = frozenset(row[0] for row in fetch(connection, statement("definitions/limited"), {}))
            # As of before the look: who is told to forget while it is on its way looks again.
            self._read_after, self._read_at = forgotten, time.monotonic()
        return sorted(self._names.intersection(definitions))

    def lock_places(self, connection: Connection, definitions: Sequence[str], size: int) -> Sequence[int]:
        """Return up to `size` ready tasks of limited definitions that may be leased until the transaction ends."""
        # Two statements, because what is counted must be as it is once nobody else can add to it.
        fetch(connection, statement("tasks/lock_limits"), {"definitions": definitions})
        afters = [self._looked.get(definition, "") for definition in definitions]
        params = {"definitions": definitions, "afters": afters, "size": size}
        ((seqs, looked),) = fetch(connection, statement("tasks/free_places"), params)
        self._looked.update(zip(definitions, looked, strict=True))
        return list(seqs)
