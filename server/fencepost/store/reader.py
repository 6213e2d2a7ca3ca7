"""SQL that callers wrote, run where it can only read.

Each query has a connection and a transaction of its own, so that nothing it leaves behind (a setting, a lock) meets the
next one. It is one statement by the protocol's own rule: no `commit` can stand behind it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import TupleRow
from psycopg.types.json import Jsonb

from fencepost.errors import RUN_SQL_UNSAFE, SQL_FAILED, TOO_MANY_ROWS, UNAVAILABLE, Refusal, StartRefused
from fencepost.store.conninfo import with_limits
from fencepost.store.session import READING, local_settings
from fencepost.store.statements import statement

MOST_ROWS = 1000
# So many are in memory at once, each within the bytes that all of them may have.
_FETCHED = 50
# Postgres itself writes the rows as JSON: what JSON lacks becomes text as it always writes it. A line break closes a
# comment that the query may end with; what is too large stays there.
_ROWS = (
    "select case when octet_length(r.row) <= {bytes} then r.row end"
    " from (select row_to_json(q)::text as row from (\n{query}\n) as q limit {rows}) as r"
)
_SESSION = (
    "select set_config('statement_timeout', %s, true), set_config('application_name', 'fencepost run-sql', true), "
    + local_settings(READING)
)
# Beyond its own end: a query may lift its timeout for what is fetched after it, and the way to Postgres may be gone.
_GRACE_SECONDS = 1.0

Connection = psycopg.AsyncConnection[TupleRow]


class Reader:
    """Runs queries as the role of `conninfo`, each for `seconds` at most."""

    def __init__(self, conninfo: str, *, seconds: float, most_bytes: int) -> None:
        """Raise StartRefused when `conninfo` is not the way to a database."""
        try:
            conninfo_to_dict(conninfo)
        except psycopg.ProgrammingError:
            raise StartRefused(
                "--run-sql-url must name a Postgres, such as postgresql://reporting@db.example/postgres"
            ) from None
        self._conninfo = conninfo
        self._seconds = seconds
        self._most_bytes = most_bytes

    async def rows(self, query: str, args: Sequence[Any]) -> list[bytes]:
        """Return the rows of a query as texts of JSON objects; raise Refusal when it does not give them."""
        try:
            connection = await psycopg.AsyncConnection.connect(with_limits(self._conninfo, writes=False))
        except psycopg.Error:
            reason = "the database of --run-sql-url cannot be reached"
            raise Refusal(UNAVAILABLE, retry_after=1, reason=reason) from None
        try:
            async with asyncio.timeout(self._seconds + _GRACE_SECONDS):
                await connection.set_read_only(True)
                # A role's default may be `deferrable`, which waits for every other transaction.
                await connection.set_deferrable(False)
                async with connection.transaction(force_rollback=True):
                    return await self._read(connection, query, args)
        except TimeoutError:
            raise self._late() from None
        except psycopg.errors.QueryCanceled:
            raise self._late() from None
        except psycopg.Error as error:
            code = "" if error.sqlstate is None else f" ({error.sqlstate})"
            reason = f"{error.diag.message_primary or str(error).strip()}{code}"
            raise Refusal(SQL_FAILED, at="$.sql", reason=reason) from None
        finally:
            await connection.close()

    async def _read(self, connection: Connection, query: str, args: Sequence[Any]) -> list[bytes]:
        await connection.execute(_SESSION, [f"{self._seconds * 1000:.0f}"])
        await _check(connection)
        text = _ROWS.format(query=query.rstrip().removesuffix(";"), bytes=self._most_bytes, rows=MOST_ROWS + 1)
        found: list[bytes] = []
        size = 0
        async with psycopg.AsyncRawServerCursor(connection, "rows") as cursor:
            await cursor.execute(text.encode(), [_argument(arg) for arg in args])
            while rows := await cursor.fetchmany(_FETCHED):
                size += sum(self._most_bytes + 1 if row is None else len(row) for (row,) in rows)
                found += [row.encode() for (row,) in rows if row is not None]
                if size > self._most_bytes:
                    raise Refusal(TOO_MANY_ROWS, at="$.sql", limit=f"{self._most_bytes} bytes")
                if len(found) > MOST_ROWS:
                    raise Refusal(TOO_MANY_ROWS, at="$.sql", limit=f"{MOST_ROWS} rows")
        return found

    def _late(self) -> Refusal:
        return Refusal(SQL_FAILED, at="$.sql", reason=f"the query ran for more than {self._seconds:g} seconds")


async def _check(connection: Connection) -> None:
    """Raise Refusal when the role could change our tables, or anything."""
    cursor = await connection.execute(statement("reader/rights").encode())
    row = await cursor.fetchone()
    assert row is not None, "a row says what the role may do"
    role, is_superuser, writes_to = row
    if is_superuser:
        raise Refusal(RUN_SQL_UNSAFE, reason=f"{role!r} is a superuser, or may become one")
    if writes_to is not None:
        raise Refusal(RUN_SQL_UNSAFE, reason=f"{role!r} may change fencepost.{writes_to}")


def _argument(value: Any) -> Any:
    return Jsonb(value) if isinstance(value, dict) else value
