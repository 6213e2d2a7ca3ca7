"""The connection monitor: detects an unavailable database and lost statements, and unblocks the threads they hold up.

A network that goes silent (a fail-over without a reset, a cut cable, a proxy that hangs) closes no connection, and a
statement may be slow for good reasons: it searches, or waits for a lock. So the monitor looks up each statement that
takes longer than a second in Postgres, over its own connection. While the backend works on it, the statement may go on.
If the backend is gone, or idle in two probes, the statement or its answer is lost: the monitor terminates the backend,
because it may hold locks, and cuts the connection, so that its thread opens another and runs the job again. If the
monitor itself gets no answer, the database is unavailable.

The monitor probes only when there is a reason: a late statement, a broken connection, a readiness check, or an outage.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from fencepost.store.connection import Backend, Connection, cut, is_waiting
from fencepost.store.connection_threads import ConnectionThread, DatabaseAway, PendingJob
from fencepost.store.monitored import ForeignConnection, Monitored
from fencepost.store.probe import GONE, BackendState, Probe, ProbeResult
from fencepost.telemetry import Event, emit

# Seconds that a call waits for an unavailable database. With the time between two probes: the documented 5 seconds.
PATIENCE = 4.5
_TICK = 0.25
_LATE = 1.0
# The connection of the probe may be the silent one: it is cut, and there is time for another probe.
_CUT_AFTER = 1.2
_AWAY_AFTER = 2.9
# A backend that was idle in two probes this far apart has not received our statement. One that cannot send its answer
# may have a slow reader.
_IDLE_FOR = 0.2
_STUCK_FOR = 1.8
# Seconds between two probes while the database is unavailable.
_AGAIN = 0.4
# The health check of a load balancer must be answered within 2 seconds.
_READY_SECONDS = 1.7
# A call that comes while the database is known to be unavailable triggers another probe.
_LEAST_PATIENCE = 0.4

_WRITES = "takes no writes: it is a standby, or read-only"
_SILENT = "does not answer"


class _Suspicion(NamedTuple):
    """A suspicion that the statement of a job was lost, and when it was first seen."""

    pending: PendingJob
    state: BackendState
    seen_at: float


class ConnectionMonitor:
    """Watches the connections of the threads that are added."""

    def __init__(self, conninfo: str) -> None:
        self.closing = threading.Event()
        # Connections of an earlier epoch are not used again: they may lead to a former primary.
        self.epoch = 0
        self.away_since: float | None = None
        self._reason = ""
        self._threads: list[Monitored] = []
        self._queues: list[queue.SimpleQueue[PendingJob | None]] = []
        self._asking: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self._check_requested = False
        self._wake = threading.Event()
        self._probes: queue.SimpleQueue[PendingJob | None] = queue.SimpleQueue()
        self._probe: Probe | None = None
        self._next_look = 0.0
        self._suspicions: dict[Monitored, _Suspicion] = {}
        self._to_terminate: list[Backend] = []
        self._line = ConnectionThread("fencepost-probe", conninfo, self._probes, self, lambda: None)
        self._thread = threading.Thread(target=self._run, name="fencepost-watch", daemon=True)
        self._thread.start()

    @property
    def patience(self) -> float:
        """Seconds that a new job may wait for an unavailable database."""
        if (since := self.away_since) is None:
            return PATIENCE
        return max(_LEAST_PATIENCE, since + PATIENCE - time.monotonic())

    def add(self, threads: list[ConnectionThread], jobs: queue.SimpleQueue[PendingJob | None]) -> None:
        """Monitor the connections of some threads, and the queue of their jobs."""
        self._threads += threads
        self._queues.append(jobs)

    def add_connection(self, connection: Connection) -> None:
        """Monitor a connection that belongs to no thread."""
        self._threads.append(ForeignConnection(connection))

    def check_soon(self, *, reconnect: bool = False) -> None:
        """Probe the database soon: a connection broke, or (`reconnect`) all may lead to a read-only server."""
        if reconnect:
            self.epoch += 1
        self._check_requested = True
        self._wake.set()

    async def ready(self) -> None:
        """Return when the database answers and takes writes; raise DatabaseAway, within 2 seconds, when it does not."""
        if self.away_since is not None:
            raise DatabaseAway(f"the database {self._reason}")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._asking.append((loop, future))
        self._wake.set()
        try:
            async with asyncio.timeout(_READY_SECONDS):
                await future
        except TimeoutError:
            raise DatabaseAway("the database does not answer") from None

    def close(self) -> None:
        """End the monitor; may be called twice."""
        self.closing.set()
        self._wake.set()
        self._probes.put(None)
        cut(self._line.connection)

    def _run(self) -> None:
        while not self.closing.is_set():
            self._wake.wait(_TICK)
            self._wake.clear()
            self._look(time.monotonic())

    def _look(self, now: float) -> None:
        late = self._late(now)
        if (probe := self._probe) is None:
            if (
                self._asking
                or self._check_requested
                or ((late or self.away_since is not None) and now >= self._next_look)
            ):
                self._send(late)
        elif probe.done:
            self._probe = None
            self._read(probe, now)
        elif now > probe.sent + _AWAY_AFTER:
            self._lose(_SILENT, probe.sent)
        elif now > probe.sent + _CUT_AFTER and not probe.cut:
            probe.cut = True
            cut(self._line.connection)
        if self.away_since is not None:
            for thread, pending in late.items():
                self._give_up(thread, pending)
            self._refuse_expired(now)

    def _late(self, now: float) -> dict[Monitored, PendingJob]:
        """Return the threads that have been waiting for Postgres for longer than a second."""
        return {
            thread: pending
            for thread in self._threads
            if (pending := thread.pending) is not None and now > thread.began + _LATE and is_waiting(thread.connection)
        }

    def _send(self, late: Mapping[Monitored, PendingJob]) -> None:
        self._check_requested = False
        self._probe = Probe(late, self._to_terminate, self._wake)
        self._probes.put(self._probe)

    def _read(self, probe: Probe, now: float) -> None:
        """Act on the result of a probe."""
        result = probe.result
        self._next_look = now + _AGAIN
        if result is None:
            self._lose(f"cannot be reached: {_sentence(probe.error)}", probe.sent)
        elif result.read_only:
            self.epoch += 1  # so that the next probe may find another
            self._lose(_WRITES, probe.sent)
        else:
            self._next_look = now + _LATE
            self._find(now)
            self._judge(probe.late, result, now)

    def _judge(self, late: Mapping[Monitored, PendingJob], result: ProbeResult, now: float) -> None:
        """Give up the statements that Postgres does not work on: cut their connections."""
        suspicions: dict[Monitored, _Suspicion] = {}
        for thread, pending in late.items():
            connection = thread.connection
            if connection is None or thread.pending is not pending or not is_waiting(connection):
                continue
            state = result.states.get(connection.backend, GONE)
            if state.state == "working":
                continue
            suspicion = self._suspicions.get(thread)
            if suspicion is None or suspicion[:2] != (pending, state):
                suspicion = _Suspicion(pending, state, now)
            if now - suspicion.seen_at > (_STUCK_FOR if state.state == "writing" else _IDLE_FOR):
                self.epoch += 1
                self._give_up(thread, pending)
            else:
                suspicions[thread] = suspicion
                self._next_look = now
        self._suspicions = suspicions

    def _give_up(self, thread: Monitored, pending: PendingJob) -> None:
        connection = thread.connection
        if connection is not None and thread.pending is pending and is_waiting(connection):
            self._to_terminate.append(connection.backend)
            cut(connection)

    def _lose(self, reason: str, since: float) -> None:
        self._reason = reason
        if self.away_since is None:
            self.away_since = since
            self.epoch += 1
            emit(Event.DATABASE_LOST, reason=reason)
        self._answer(DatabaseAway(f"the database {reason}"))

    def _find(self, now: float) -> None:
        if (since := self.away_since) is not None:
            self.away_since = None
            emit(Event.DATABASE_BACK, seconds=f"{now - since:.1f}")
        self._answer(None)

    def _answer(self, error: DatabaseAway | None) -> None:
        """Answer the readiness checks that wait."""
        asking, self._asking = self._asking, []
        for loop, future in asking:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(_resolve, future, error)

    def _refuse_expired(self, now: float) -> None:
        """Refuse the calls that have waited too long for a thread or for its connection."""
        for thread in self._threads:
            pending = thread.pending
            if pending is not None and thread.connecting and now > pending.until:
                pending.refuse()
        for jobs in self._queues:
            waiting: list[PendingJob | None] = []
            with contextlib.suppress(queue.Empty):
                while True:
                    waiting.append(jobs.get_nowait())
            for one in waiting:
                if one is not None and now > one.until:
                    one.refuse()
                else:
                    jobs.put(one)


@contextmanager
def monitored(conninfo: str, connection: Connection) -> Iterator[None]:
    """Monitor the connection of this thread, at start-up or in a command, until the block ends.

    A lost statement or an unavailable database shows as a broken connection (psycopg.OperationalError).
    """
    monitor = ConnectionMonitor(conninfo)
    monitor.add_connection(connection)
    try:
        yield
    finally:
        monitor.close()


def _resolve(future: asyncio.Future[None], error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)


def _sentence(error: BaseException | None) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
