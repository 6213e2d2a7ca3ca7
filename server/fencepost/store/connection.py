"""A connection to Postgres as the store uses it, and the functions that run statements on it.

Statements are prepared once a connection and run through libpq in one call, which releases the interpreter's lock
while it waits. A cursor takes and releases the lock several times, and each time waits for a busy event loop; for a
batch of 15 calls that cost 45 us of CPU and as much time.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import psycopg
from psycopg.abc import PQGen
from psycopg.abc import Transformer as Adapter
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.pq.abc import PGconn, PGresult
from psycopg.rows import TupleRow
from psycopg.waiting import Wait

from fencepost.store.conninfo import with_limits
from fencepost.store.rows import register_loaders
from fencepost.store.session import SERVING, statement_for
from fencepost.store.statements import statement

_SETTING_UP_SECONDS = 5.0
_PARAM = re.compile(r"%\((\w+)\)s")


# The pid of a backend, and its start time, since pids are reused.
Backend = tuple[int, str]


class Connection(psycopg.Connection[TupleRow]):
    """A connection with the names of its prepared statements, its socket and its backend."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.prepared: dict[str, bytes] = {}
        self.inode = 0
        self.backend: Backend = (0, "")


def connect(conninfo: str, settings: Mapping[str, str] = SERVING) -> Connection:
    """Open a connection as the store uses it: autocommit, a session with `settings`, JSON and times as text."""
    connection = Connection.connect(with_limits(conninfo), autocommit=True)
    with contextlib.ExitStack() as failing:
        failing.callback(connection.close)
        connection.inode = os.fstat(connection.pgconn.socket).st_ino
        # psycopg prepares a statement after five runs and may send `deallocate all`, which would drop ours too.
        connection.prepare_threshold = None
        register_loaders(connection)
        # The connection monitor does not know the connection yet.
        with answered_within(connection, _SETTING_UP_SECONDS):
            # One round trip for both statements.
            text = statement_for(conninfo, settings) + b"; " + statement("server/find_backend").encode()
            cursor = connection.execute(text)
            while cursor.nextset():
                continue
            ((pid, started),) = cursor.fetchall()
        failing.pop_all()
    connection.backend = (pid, started)
    return connection


def fetch(connection: Connection, text: str, params: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Run one prepared statement and return its rows (none for a statement without a result).

    `text` has its parameters as `%(name)s`, each with a cast to its type. Raises psycopg.Error.
    """
    name, names = _prepared(connection, text)
    transformer = Transformer(connection)
    result = _checked(connection, connection.pgconn.exec_prepared(name, _dumped(transformer, names, params)))
    return _rows(transformer, result)


def fetch_together(
    connection: Connection, calls: Sequence[tuple[str, Mapping[str, Any]]]
) -> list[list[tuple[Any, ...]]]:
    """Run prepared statements in one round trip and one transaction, and return the rows of each.

    A statement sees what its predecessors did, and what others committed before it began. The connection must not be in
    a transaction. Raises psycopg.Error; then no statement had an effect, unless the connection broke.
    """
    if len(calls) == 1:
        return [fetch(connection, *calls[0])]
    link, transformer = connection.pgconn, Transformer(connection)
    prepared = [(*_prepared(connection, text), params) for text, params in calls]
    link.enter_pipeline_mode()
    try:
        for name, names, params in prepared:
            link.send_query_prepared(name, _dumped(transformer, names, params))
        link.pipeline_sync()
        results = connection.wait(_results(link))
    finally:
        # A broken connection cannot leave the mode, and is dropped.
        with contextlib.suppress(psycopg.OperationalError):
            link.exit_pipeline_mode()
    return [_rows(transformer, _checked(connection, result)) for result in results]


def fetch_planned(connection: Connection, text: str, params: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Run a statement that is planned for the values of its parameters: its plan depends on which are null."""
    with connection.transaction():
        connection.execute("set local plan_cache_mode = force_custom_plan")
        return connection.execute(text.encode(), params, prepare=False).fetchall()


def is_waiting(connection: Connection | None) -> bool:
    """Return whether libpq waits for the answer to a statement."""
    return connection is not None and connection.pgconn.transaction_status == TransactionStatus.ACTIVE


def cut(connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any] | None) -> None:
    """Close the socket of a connection; the thread that waits for it gets an error."""
    if connection is None:
        return
    # Its owner may close it at the same time, and the descriptor may then be another's.
    with contextlib.suppress(psycopg.Error, OSError):
        number = connection.pgconn.socket
        if isinstance(connection, Connection) and os.fstat(number).st_ino != connection.inode:
            return
        one = socket.socket(fileno=number)
        try:
            one.shutdown(socket.SHUT_RDWR)
        finally:
            one.detach()


@contextmanager
def answered_within(connection: psycopg.Connection[Any], seconds: float) -> Iterator[None]:
    """Cut a connection when the block takes longer, because a statement is not answered."""
    timer = threading.Timer(seconds, cut, (connection,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@cache
def numbered_params(text: str) -> tuple[bytes, tuple[str, ...]]:
    """Return a statement with `$1`, `$2` … for its parameters, and the names of these in order."""
    names = tuple(dict.fromkeys(_PARAM.findall(text)))
    return _PARAM.sub(lambda param: f"${names.index(param[1]) + 1}", text).encode(), names


def _prepared(connection: Connection, text: str) -> tuple[bytes, tuple[str, ...]]:
    """Return the name under which a statement is prepared, and the names of its parameters in order."""
    numbered, names = numbered_params(text)
    if (name := connection.prepared.get(text)) is None:
        name = f"fencepost_{len(connection.prepared)}".encode()
        _checked(connection, connection.pgconn.prepare(name, numbered))
        connection.prepared[text] = name
    return name, names


def _dumped(transformer: Adapter, names: Sequence[str], params: Mapping[str, Any]) -> Sequence[Any]:
    return transformer.dump_sequence([params[param] for param in names], [PyFormat.TEXT] * len(names))


def _rows(transformer: Adapter, result: PGresult) -> list[tuple[Any, ...]]:
    if result.status != ExecStatus.TUPLES_OK:
        return []
    transformer.set_pgresult(result)
    return transformer.load_rows(0, result.ntuples, tuple)


def _results(link: PGconn) -> PQGen[list[PGresult]]:
    """Wait for the results of a pipeline up to its synchronization; those after a failed one are dropped."""
    results: list[PGresult] = []
    while True:
        while link.is_busy():
            yield Wait.R
            link.consume_input()
        # None stands between the results of two statements.
        result = link.get_result()
        if result is None:
            continue
        if result.status == ExecStatus.PIPELINE_SYNC:
            return results
        if result.status != ExecStatus.PIPELINE_ABORTED:
            results.append(result)


def _checked(connection: Connection, result: PGresult) -> PGresult:
    """Return the result of a statement; raise psycopg.Error when it failed."""
    if result.status in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
        return result
    raise psycopg.errors.error_from_result(result, encoding=connection.info.encoding)
