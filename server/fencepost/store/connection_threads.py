"""A thread with a connection of its own, which takes jobs from a queue and runs them one after the other.

A connection that breaks is opened again, and the job that met the break runs once more: every statement of ours carries
its guard, so that a second run after a lost commit changes nothing. A connection that goes silent does not break by
itself; the connection monitor cuts it, which the thread meets as a break.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import psycopg

from fencepost.errors import UNAVAILABLE, Refusal
from fencepost.store.connection import Connection, connect

T = TypeVar("T")
Job = Callable[[Connection], T]

_PAUSE = 0.05
_LONGEST_PAUSE = 0.4
# By class of SQLSTATE: read-only (25), out of resources (53), cannot lock in time (55), stopped from outside (57), the
# disk of Postgres (58).
_NOT_OUR_FAULT = {"25", "53", "55", "57", "58"}
# Errors of this connection alone: it reached a read-only server, is being ended, or has lost its prepared statements.
_READ_ONLY = "25006"
_OF_THIS_CONNECTION = {_READ_ONLY, "57P01", "57P02", "57P03", "57P05", "26000"}


class StatementRefused(Refusal):
    """Postgres refused a statement for a reason that may pass; in a batch, perhaps for the sake of one call."""


class DatabaseAway(Refusal):
    """The database cannot be reached, does not answer, or takes no writes; the monitor logs both ends of an outage."""

    def __init__(self, reason: str = "the database cannot be reached") -> None:
        super().__init__(UNAVAILABLE, retry_after=1, reason=reason)


class PendingJob:
    """A job that waits for a connection, and the future of its caller."""

    __slots__ = ("future", "job", "loop", "over", "until")

    def __init__(self, job: Job[Any], loop: asyncio.AbstractEventLoop, until: float) -> None:
        self.job = job
        self.loop = loop
        # From here and not from when a thread is free: without a database, jobs must not wait behind each other.
        self.until = until
        self.over = False
        self.future: asyncio.Future[Any] = loop.create_future()

    def resolve(self, result: Any, error: BaseException | None) -> None:
        """Resolve the future of the caller, once; later calls do nothing. May be called from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: no caller waits any more
            self.loop.call_soon_threadsafe(_resolve, self.future, result, error)

    def refuse(self) -> None:
        """Fail the job with DatabaseAway; a thread that has not begun it skips it."""
        self.over = True
        self.resolve(None, DatabaseAway())


class Monitor(Protocol):
    """The part of the connection monitor that a thread reads and calls."""

    epoch: int
    closing: threading.Event

    def check_soon(self, *, reconnect: bool = False) -> None:
        """Probe the database soon: a connection broke, or (`reconnect`) all may lead to a read-only server."""


class ConnectionThread:
    """A thread and its connection; `on_break` is called when that breaks or cannot be opened."""

    def __init__(
        self,
        name: str,
        conninfo: str,
        jobs: queue.SimpleQueue[PendingJob | None],
        monitor: Monitor,
        on_break: Callable[[], None],
    ) -> None:
        self._conninfo = conninfo
        self._jobs = jobs
        self._monitor = monitor
        self._on_break = on_break
        self._breaks = 0
        self._epoch = -1
        self.connection: Connection | None = None
        # For the monitor, which reads them without a lock: the running job, its start, and whether the thread connects.
        self.pending: PendingJob | None = None
        self.began = 0.0
        self.connecting = False
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    def join(self, until: float) -> bool:
        """Wait for the end of the thread; return whether it came."""
        self._thread.join(max(0.0, until - time.monotonic()))
        return not self._thread.is_alive()

    def _serve(self) -> None:
        while (pending := self._jobs.get()) is not None:
            self.began = time.monotonic()
            self.pending = pending
            self._attempt(pending)
            self.pending = None
        self._drop()

    def _attempt(self, pending: PendingJob) -> None:
        """Run a job and resolve it."""
        pause = _PAUSE
        while not pending.over:
            try:
                result = pending.job(self._connected(pending))
            except psycopg.Error as error:
                failure, again = self._judge(error)
                if again and time.monotonic() < pending.until and not self._monitor.closing.wait(pause):
                    pause = min(2 * pause, _LONGEST_PAUSE)
                    self.began = time.monotonic()
                    continue
                pending.resolve(None, failure)
                return
            except BaseException as error:  # noqa: BLE001 the caller's future carries it; the thread must live on
                pending.resolve(None, error)
                return
            else:
                pending.resolve(result, None)
                return

    def _connected(self, pending: PendingJob) -> Connection:
        connection = self.connection
        if connection is not None and self._epoch == self._monitor.epoch and not connection.closed:
            return connection
        self._drop()
        if self._breaks and time.monotonic() >= pending.until:
            raise psycopg.OperationalError("no time left to open a connection")
        self._epoch, self.connecting = self._monitor.epoch, True
        try:
            connection = connect(self._conninfo)
        except OSError as error:  # out of descriptors
            raise psycopg.OperationalError(str(error)) from None
        finally:
            self.connecting = False
        self.connection, self.began = connection, time.monotonic()
        if pending.over:
            raise psycopg.OperationalError("the caller of the job has its error already")
        return connection

    def _judge(self, error: psycopg.Error) -> tuple[Exception, bool]:
        """Return the exception for the caller of a failed job, and whether the job may be tried again."""
        connection, code = self.connection, error.sqlstate or ""
        if connection is None or connection.closed or _is_broken(code):
            self._drop()
            self._breaks += 1
            self._on_break()
            self._monitor.check_soon(reconnect=code == _READ_ONLY)
            return DatabaseAway(
                "the database takes no writes" if code == _READ_ONLY else "the database cannot be reached"
            ), True
        if _is_outdated_plan(error):
            self._drop()
            return StatementRefused(UNAVAILABLE, retry_after=1, reason="the database is being migrated"), True
        if isinstance(error, psycopg.errors.DeadlockDetected | psycopg.errors.SerializationFailure):
            return StatementRefused(UNAVAILABLE, retry_after=1, reason="the database is contended"), True
        if code[:2] in _NOT_OUR_FAULT:
            reason = f"the database says: {error.diag.message_primary}"
            return StatementRefused(UNAVAILABLE, retry_after=1, reason=reason), False
        return error, False

    def _drop(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            with contextlib.suppress(psycopg.Error):
                connection.close()


def _is_broken(code: str) -> bool:
    # 08P01 is the code for a malformed message, which another try would repeat.
    return code in _OF_THIS_CONNECTION or (code[:2] == "08" and code != "08P01")


def _is_outdated_plan(error: psycopg.Error) -> bool:
    """Whether a prepared statement has another result since a table changed: a newer server migrated the database."""
    return (
        isinstance(error, psycopg.errors.FeatureNotSupported) and error.diag.source_function == "RevalidateCachedQuery"
    )


def _resolve(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
