"""A connection to Postgres as the store uses it, and the one way in which statements run on it.

Statements are prepared once a connection and go straight through libpq: one call into C that waits without the
interpreter's lock. A cursor goes in and out of it several times, and each time stands in line for the lock behind a
busy event loop; on a batch of 15 calls that cost 45 us of CPU and as much time.
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
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.pq.abc import PGresult
from psycopg.rows import TupleRow

from fencepost.store.conninfo import with_limits
from fencepost.store.rows import register_loaders
from fencepost.store.session import SERVING, statement_for
from fencepost.store.statements import statement

_SETTING_UP_SECONDS = 5.0
_PARAM = re.compile(r"%\((\w+)\)s")


# The number of a process, and when it was started: numbers are used again.
Backend = tuple[int, str]


class Connection(psycopg.Connection[TupleRow]):
    """A connection, under which names its statements are prepared, and which socket and backend are at its ends."""

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
        # psycopg prepares what it has run five times, and forgets it with `deallocate all`: ours would be gone as well.
        connection.prepare_threshold = None
        register_loaders(connection)
        # Nobody watches the connection yet.
        with answered_within(connection, _SETTING_UP_SECONDS):
            # One round trip for all of it.
            text = statement_for(conninfo, settings) + b"; " + statement("server/find_backend").encode()
            cursor = connection.execute(text)
            while cursor.nextset():
                continue
            ((pid, started),) = cursor.fetchall()
        failing.pop_all()
    connection.backend = (pid, started)
    return connection


def fetch(connection: Connection, text: str, params: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Run one prepared statement and return its rows (none for a statement that has no result).

    `text` has its parameters as `%(name)s`, each with a cast that tells its type.
    """
    numbered, names = numbered_params(text)
    link = connection.pgconn
    if (name := connection.prepared.get(text)) is None:
        name = f"fencepost_{len(connection.prepared)}".encode()
        _checked(connection, link.prepare(name, numbered))
        connection.prepared[text] = name
    transformer = Transformer(connection)
    values: Sequence[Any] = transformer.dump_sequence([params[param] for param in names], [PyFormat.TEXT] * len(names))
    result = _checked(connection, link.exec_prepared(name, values))
    if result.status != ExecStatus.TUPLES_OK:
        return []
    transformer.set_pgresult(result)
    return transformer.load_rows(0, result.ntuples, tuple)


def fetch_planned(connection: Connection, text: str, params: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Run a statement whose plan depends on which of its parameters are null: it is planned for their values."""
    with connection.transaction():
        connection.execute("set local plan_cache_mode = force_custom_plan")
        return connection.execute(text.encode(), params, prepare=False).fetchall()


def is_waiting(connection: Connection | None) -> bool:
    """Whether libpq waits for the answer to a statement."""
    return connection is not None and connection.pgconn.transaction_status == TransactionStatus.ACTIVE


def cut(connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any] | None) -> None:
    """End a connection under the thread that waits for it, which meets that as a break."""
    if connection is None:
        return
    # Its owner may close it meanwhile, and the descriptor may be another's by then.
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
    """Cut a connection when the block takes longer, as it does when a statement is not answered."""
    timer = threading.Timer(seconds, cut, (connection,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@cache
def numbered_params(text: str) -> tuple[bytes, tuple[str, ...]]:
    """Return a statement with `$1` for its first parameter and so on, and the names of these."""
    names = tuple(dict.fromkeys(_PARAM.findall(text)))
    return _PARAM.sub(lambda param: f"${names.index(param[1]) + 1}", text).encode(), names


def _checked(connection: Connection, result: PGresult) -> PGresult:
    """Return the result of a statement; raise the psycopg.Error that it is."""
    if result.status in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
        return result
    raise psycopg.errors.error_from_result(result, encoding=connection.info.encoding)
