"""Checks that a server can work on a database, before it changes anything there."""

from __future__ import annotations

import select
import time
from typing import NamedTuple

import psycopg
from psycopg.pq import ExecStatus

from fencepost.errors import StartRefused
from fencepost.store.address import check_address, reason
from fencepost.store.connection import answered_within
from fencepost.store.conninfo import with_limits
from fencepost.store.statements import statement

OLDEST = 15
_PROBES = 3
# Seconds: all checks take milliseconds, or wait for a pooler.
_ANSWER_SECONDS = 20.0
_PROBE_SECONDS = 5.0


class _Facts(NamedTuple):
    pid: int
    encoding: str
    is_standby: bool
    is_read_only: bool
    role: str
    name: str
    has_schema: bool
    may_create: bool
    owns_tables: bool


def check_suitability(conninfo: str, option: str = "--database-url", *, changes: bool = True) -> None:
    """Raise StartRefused when a server cannot work on a database, with the reason.

    Without `changes` the database will only be read. The session is left unchanged: a pooler may give it to another
    client next.
    """
    check_address(conninfo, option)
    try:
        with (
            psycopg.connect(with_limits(conninfo), autocommit=True) as connection,
            answered_within(connection, _ANSWER_SECONDS),
        ):
            _check_version(connection)
            row = connection.execute(statement("server/suitability").encode()).fetchall()[0]
            # Without an encoding (SQL_ASCII), texts are bytes.
            facts = _Facts._make(one.decode("utf-8", "replace") if isinstance(one, bytes) else one for one in row)
            # A pooler reports a pid of its own to its clients.
            if facts.pid != connection.info.backend_pid:
                _check_pooler(connection, conninfo, option, facts.pid)
    except psycopg.Error as error:
        raise StartRefused(f"cannot connect to the database: {reason(error, conninfo)}") from None
    _check_encoding(facts)
    if changes:
        _check_writable(facts)
        _check_rights(facts)


def _check_version(connection: psycopg.Connection) -> None:
    if connection.info.server_version < OLDEST * 10_000:
        raise StartRefused(f"the database is older than Postgres {OLDEST}, the oldest that Fencepost runs on")


def _check_encoding(facts: _Facts) -> None:
    if facts.encoding != "UTF8":
        raise StartRefused(
            f"the database {facts.name!r} has the encoding {facts.encoding}, and not every text fits into that; "
            f"make one with: create database NAME encoding 'UTF8' template template0"
        )


def _check_writable(facts: _Facts) -> None:
    if facts.is_standby:
        raise StartRefused(
            f"the database {facts.name!r} is a standby, which takes no writes; give the primary's address"
        )
    if facts.is_read_only:
        raise StartRefused(
            f"the database {facts.name!r} is read-only for {facts.role!r}: default_transaction_read_only is on"
        )


def _check_rights(facts: _Facts) -> None:
    if not facts.has_schema and not facts.may_create:
        raise StartRefused(
            f"the role {facts.role!r} may not create the schema fencepost in the database {facts.name!r}; let it: "
            f"grant create on database {facts.name} to {facts.role}"
        )
    if not facts.may_create or not facts.owns_tables:
        raise StartRefused(
            f"the role {facts.role!r} may not change the schema fencepost in the database {facts.name!r}; use the role "
            "that owns the schema and its tables, or make this one a member of that"
        )


def _check_pooler(connection: psycopg.Connection, conninfo: str, option: str, pid: int) -> None:
    """Raise StartRefused unless a pooler keeps a session for as long as a connection lasts.

    While the first connection is idle, others begin transactions: a pooler in another mode gives one of them the
    session of the first, or gives the first another session when it comes back.
    """
    refusal = StartRefused(
        f"{option} leads to a pooler in transaction or statement mode, where a session is gone after each transaction; "
        "set pool_mode = session for this database, or give the direct address of Postgres"
    )
    others: list[psycopg.Connection] = []
    try:
        for _ in range(_PROBES):
            other = psycopg.connect(with_limits(conninfo), autocommit=True)
            others.append(other)
            _ask(other, "begin")
            if _ask(other, "select pg_catalog.pg_backend_pid()") == str(pid):
                raise refusal
            if _ask(connection, "select pg_catalog.pg_backend_pid()") != str(pid):
                raise refusal
    except psycopg.errors.ProtocolViolation:
        # PgBouncer in statement mode refuses transactions.
        raise refusal from None
    except TimeoutError:
        raise StartRefused(
            f"the pooler of {option} has no session for a second connection after {_PROBE_SECONDS:g} seconds; "
            "each server needs several at once"
        ) from None
    finally:
        for other in others:
            other.close()


def _ask(connection: psycopg.Connection, text: str) -> str:
    """Run a statement and return the first value of its result as text; raise TimeoutError."""
    link, until = connection.pgconn, time.monotonic() + _PROBE_SECONDS
    link.send_query(text.encode())
    link.flush()
    while link.is_busy():
        if not select.select([link.socket], [], [], max(0.0, until - time.monotonic()))[0]:
            raise TimeoutError
        link.consume_input()
    value = ""
    while (result := link.get_result()) is not None:
        if result.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
            raise psycopg.errors.error_from_result(result, encoding="utf-8")
        value = (result.get_value(0, 0) or b"").decode() if result.status == ExecStatus.TUPLES_OK else ""
    return value
