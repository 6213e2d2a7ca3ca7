"""A probe of the database over the monitor's own connection: whether it takes writes, and the states of backends."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from fencepost.store.connection import Backend, Connection, fetch
from fencepost.store.connection_threads import PendingJob
from fencepost.store.monitored import Monitored
from fencepost.store.statements import statement

# Seconds for which a connection that breaks at once is opened again.
TRIES_FOR = 2.5


class BackendState(NamedTuple):
    """The state of a backend (`working`, `writing` its answer, `idle`), and its beginning."""

    state: str
    since: str


GONE = BackendState("gone", "")


class ProbeResult(NamedTuple):
    """The result of a probe: whether the database is read-only, and the states of the backends that it asked about."""

    read_only: bool
    states: Mapping[Backend, BackendState]


class Probe(PendingJob):
    """A probe: the late statements that it examines, and its result."""

    __slots__ = ("cut", "done", "error", "late", "result", "sent", "wake")

    def __init__(
        self, late: Mapping[Monitored, PendingJob], to_terminate: list[Backend], wake: threading.Event
    ) -> None:
        self.sent = time.monotonic()
        self.until = self.sent + TRIES_FOR
        self.over = self.done = self.cut = False
        self.late = late
        self.wake = wake
        self.result: ProbeResult | None = None
        self.error: BaseException | None = None
        backends = [thread.connection.backend for thread in late if thread.connection is not None]
        self.job = lambda connection: _looked(connection, backends, to_terminate)

    def resolve(self, result: Any, error: BaseException | None) -> None:
        """Store the result for the monitor, and wake it."""
        if not self.done:
            self.result, self.error, self.done = result, error, True
            self.wake.set()


def _looked(connection: Connection, backends: list[Backend], to_terminate: list[Backend]) -> ProbeResult:
    while to_terminate:
        pid, started = to_terminate[0]
        fetch(connection, statement("server/terminate_backend"), {"pid": pid, "started": started})
        del to_terminate[0]
    ((read_only,),) = fetch(connection, statement("server/read_only"), {})
    rows = (
        fetch(connection, statement("server/backend_states"), {"pids": [pid for pid, _ in backends]})
        if backends
        else []
    )
    return ProbeResult(read_only, {(pid, started): BackendState(state, since) for pid, started, state, since in rows})
