"""Runs SQL that callers wrote, read-only.

Each query has a connection and a transaction of its own, so that nothing it leaves behind (a setting, a lock) affects
the next one. The protocol allows one statement only: no `commit` can follow it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.adapt import PyFormat, Transformer
from psycopg.generators import execute
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult
from psycopg.rows import TupleRow
from psycopg.types.json import Jsonb

from fencepost.errors import RUN_SQL_UNSAFE, SQL_FAILED, TOO_MANY_ROWS, UNAVAILABLE, Refusal
from fencepost.store.address import check_address
from fencepost.store.connection import cut
from fencepost.store.conninfo import with_limits
from fencepost.store.session import READING, local_settings
from fencepost.store.statements import statement

MOST_ROWS = 1000
_FETCHED = 50
# Postgres writes the rows as JSON: types that JSON lacks become text, and rows beyond the limit in bytes are not sent.
# The query was parsed alone before, so it is one statement with balanced brackets that cannot close ours. The line
# break ends a comment at its end.
_ROWS = (
    "select case when sum(octet_length(r.row)) over (rows unbounded preceding) <= {bytes} then r.row end"
    " from (select row_to_json(q)::text as row from (\n{query}\n) as q limit {rows}) as r"
)
_SESSION = (
    "select pg_backend_pid(), set_config('statement_timeout', %s, true),"
    " set_config('application_name', 'fencepost run-sql', true), " + local_settings(READING)
)
# Terminates the backend of a query that holds or waits for advisory locks, and returns whether it did: a query with one
# of our locks would stop the queue. Every role may terminate its own backends.
_END_LOCKING = (
    "select count(*) from (select distinct l.pid from pg_catalog.pg_locks as l where l.pid = %s"
    " and l.locktype = 'advisory') as l where pg_catalog.pg_terminate_backend(l.pid)"
)
_WATCH_SECONDS = 0.2
# Seconds beyond the timeout: a query may lift the timeout for its fetches, and the network may be down.
_GRACE_SECONDS = 1.0
# Seconds for Postgres to end a query that is cancelled.
_CANCEL_SECONDS = 1

Connection = psycopg.AsyncConnection[TupleRow]


class Reader:
    """Runs queries as the role of `conninfo`, each for `seconds` at most."""

    def __init__(self, conninfo: str, *, seconds: float, most_bytes: int) -> None:
        """Raise StartRefused when `conninfo` is not a valid address."""
        check_address(conninfo, "--run-sql-url")
        self._conninfo = conninfo
        self._seconds = seconds
        self._most_bytes = most_bytes
        # After that, a connection counts as silent and is cut.
        self._longest = seconds + _GRACE_SECONDS + _CANCEL_SECONDS

    async def rows(self, query: str, args: Sequence[Any]) -> list[bytes]:
        """Return the rows of a query as texts of JSON objects; raise Refusal when the query fails."""
        connection = await self._connect()
        reading = asyncio.ensure_future(self._rows(connection, query, args))
        fuse = asyncio.get_running_loop().call_later(self._longest, cut, connection)
        try:
            return await asyncio.shield(reading)
        except asyncio.CancelledError:
            # psycopg would ask the server to cancel the query and wait for that: for ever, when the server is silent.
            if not reading.done():
                with contextlib.suppress(psycopg.Error, TimeoutError):
                    await connection.cancel_safe(timeout=_CANCEL_SECONDS)
                cut(connection)
                await asyncio.wait({reading})
            raise
        finally:
            fuse.cancel()

    async def _rows(self, connection: Connection, query: str, args: Sequence[Any]) -> list[bytes]:
        watching: asyncio.Task[None] | None = None
        try:
            async with asyncio.timeout(self._seconds + _GRACE_SECONDS):
                await connection.set_read_only(True)
                # A role's default may be `deferrable`, which waits for every other transaction.
                await connection.set_deferrable(False)
                async with connection.transaction(force_rollback=True):
                    cursor = await connection.execute(_SESSION, [f"{self._seconds * 1000:.0f}"])
                    await _check(connection)
                    watching = asyncio.create_task(self._watch((await cursor.fetchone() or (0,))[0]))
                    return await self._read(connection, query, args)
        except psycopg.errors.AdminShutdown as error:
            locked = watching is not None and await _has_ended(watching)
            reason = "a query may not take locks" if locked else str(error.diag.message_primary)
            raise Refusal(SQL_FAILED, field="sql", reason=reason) from None
        except TimeoutError:
            raise self._late() from None
        except psycopg.errors.QueryCanceled:
            raise self._late() from None
        except psycopg.Error as error:
            code = "" if error.sqlstate is None else f" ({error.sqlstate})"
            reason = f"{error.diag.message_primary or str(error).strip()}{code}"
            raise Refusal(SQL_FAILED, field="sql", reason=reason) from None
        finally:
            if watching is not None:
                watching.cancel()
            await connection.close()

    async def _connect(self) -> Connection:
        try:
            return await psycopg.AsyncConnection.connect(with_limits(self._conninfo, writes=False))
        except psycopg.Error:
            reason = "the database of --run-sql-url cannot be reached"
            raise Refusal(UNAVAILABLE, retry_after=1, reason=reason) from None

    async def _watch(self, pid: int) -> None:
        """Terminate the backend of a query as soon as it takes advisory locks."""
        await asyncio.sleep(_WATCH_SECONDS)
        async with await self._connect() as connection:
            fuse = asyncio.get_running_loop().call_later(self._longest, cut, connection)
            try:
                await connection.set_autocommit(True)
                while True:
                    row = await (await connection.execute(_END_LOCKING, [pid])).fetchone()
                    if row is not None and row[0]:
                        return
                    await asyncio.sleep(_WATCH_SECONDS)
            finally:
                fuse.cancel()

    async def _read(self, connection: Connection, query: str, args: Sequence[Any]) -> list[bytes]:
        arguments = [_argument(arg) for arg in args]
        _refuse_twins(await _prepare(connection, query, arguments))
        text = _ROWS.format(query=query.rstrip().removesuffix(";"), bytes=self._most_bytes, rows=MOST_ROWS + 1)
        found: list[bytes] = []
        async with psycopg.AsyncRawServerCursor(connection, "rows") as cursor:
            await cursor.execute(text.encode(), arguments)
            while rows := await cursor.fetchmany(_FETCHED):
                if any(row is None for (row,) in rows):
                    raise Refusal(TOO_MANY_ROWS, field="sql", limit=f"{self._most_bytes} bytes")
                found += [row.encode() for (row,) in rows]
                if len(found) > MOST_ROWS:
                    raise Refusal(TOO_MANY_ROWS, field="sql", limit=f"{MOST_ROWS} rows")
        return found

    def _late(self) -> Refusal:
        return Refusal(SQL_FAILED, field="sql", reason=f"the query ran for more than {self._seconds:g} seconds")


async def _check(connection: Connection) -> None:
    """Raise Refusal when the role could change our tables, or is a superuser."""
    cursor = await connection.execute(statement("reader/privileges").encode())
    row = await cursor.fetchone()
    assert row is not None, "the statement returns one row"
    role, is_superuser, writes_to = row
    if is_superuser:
        raise Refusal(RUN_SQL_UNSAFE, reason=f"{role!r} is a superuser, or may become one")
    if writes_to is not None:
        raise Refusal(RUN_SQL_UNSAFE, reason=f"{role!r} may change fencepost.{writes_to}")


async def _prepare(connection: Connection, query: str, arguments: Sequence[Any]) -> list[str]:
    """Let Postgres parse a query alone, as one statement, and return the names of its columns."""
    transformer = Transformer(connection)
    transformer.dump_sequence(arguments, [PyFormat.AUTO] * len(arguments))
    link = connection.pgconn
    link.send_prepare(b"query", query.encode(), transformer.types)
    _good(await connection.wait(execute(link)), connection)
    link.send_describe_prepared(b"query")
    described = _good(await connection.wait(execute(link)), connection)
    return [(described.fname(place) or b"").decode() for place in range(described.nfields)]


def _good(results: Sequence[PGresult], connection: Connection) -> PGresult:
    (result,) = results
    if result.status != ExecStatus.COMMAND_OK:
        raise psycopg.errors.error_from_result(result, encoding=connection.info.encoding)
    return result


def _refuse_twins(columns: Sequence[str]) -> None:
    """Raise Refusal when two columns have the same name: JSON readers keep one of two equal members."""
    for name, count in Counter(columns).items():
        if count > 1:
            reason = f"{count} columns are named {name!r}: give each a name of its own by `as`"
            raise Refusal(SQL_FAILED, field="sql", reason=reason)


async def _has_ended(watching: asyncio.Task[None]) -> bool:
    """Return whether a watch has terminated its query."""
    await asyncio.wait([watching], timeout=_GRACE_SECONDS)
    return watching.done() and not watching.cancelled() and watching.exception() is None


def _argument(value: Any) -> Any:
    if isinstance(value, list):
        return [_argument(member) for member in value]
    return Jsonb(value) if isinstance(value, dict) else value
