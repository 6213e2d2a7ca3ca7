"""One look at the database over the watch's own connection: does it take writes, and what do some backends do?"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from fencepost.store.connection import Backend, Connection, fetch
from fencepost.store.lanes import Pending
from fencepost.store.statements import statement
from fencepost.store.watched import Watched

# A connection that breaks at once is opened again for so many seconds.
TRIES_FOR = 2.5


class Deed(NamedTuple):
    """The state of a backend (`working`, `writing` its answer, `idle`), and its beginning."""

    state: str
    since: str


GONE = Deed("gone", "")


class Sight(NamedTuple):
    """The result of a probe: whether the database is read-only, and the states of the backends that it asked about."""

    read_only: bool
    deeds: Mapping[Backend, Deed]


class Probe(Pending):
    """A look at the database: at which statements, and what came of it."""

    __slots__ = ("cut", "done", "error", "late", "sent", "sight", "wake")

    def __init__(self, late: Mapping[Watched, Pending], doomed: list[Backend], wake: threading.Event) -> None:
        self.sent = time.monotonic()
        self.until = self.sent + TRIES_FOR
        self.over = self.done = self.cut = False
        self.late = late
        self.wake = wake
        self.sight: Sight | None = None
        self.error: BaseException | None = None
        backends = [lane.connection.backend for lane in late if lane.connection is not None]
        self.job = lambda connection: _looked(connection, backends, doomed)

    def resolve(self, result: Any, error: BaseException | None) -> None:
        """Note what came of it, for the watch."""
        if not self.done:
            self.sight, self.error, self.done = result, error, True
            self.wake.set()


def _looked(connection: Connection, backends: list[Backend], doomed: list[Backend]) -> Sight:
    while doomed:
        pid, started = doomed[0]
        fetch(connection, statement("server/terminate_backend"), {"pid": pid, "started": started})
        del doomed[0]
    ((read_only,),) = fetch(connection, statement("server/read_only"), {})
    rows = (
        fetch(connection, statement("server/backend_states"), {"pids": [pid for pid, _ in backends]})
        if backends
        else []
    )
    return Sight(read_only, {(pid, started): Deed(state, since) for pid, started, state, since in rows})
