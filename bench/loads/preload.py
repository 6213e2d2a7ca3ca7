"""A database that has been in use: finished and waiting tasks by the million, copied from a few real ones by SQL.

It knows the tables only by what they share: a column `seq` that orders tasks, an `id` that is unique, and `params`. An
id that the server gave out ends with `seq` in the copies too. Copies lie before the originals, as older tasks do, so
that new ones go to the end of each index; to leave room for them, numbers begin high.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from bench.lane import Lane

_FIRST = 10**13
_STRIDE = 10_000_000
_FINISHED = 1000
_WAITING = 500

_CHANGED = {
    "seq": "t.seq - g * {stride}",
    "id": (
        "case when t.id ~ '^.{{14}}8.{{3}}-8000-' then left(t.id, 24) || lpad(to_hex(t.seq - g * {stride}), 12, '0')"
        " else t.id || '-' || g end"
    ),
    "params": "json_build_object('n', t.seq - g * {stride})",
}


def preload(lane: Lane, dsn: str, *, finished: int, waiting: int) -> None:
    """Fill a database that the lane has prepared; counts are rounded to a multiple of what is copied."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("select setval('fencepost.task_seq', {})").format(sql.Literal(_FIRST)))
        lane.ask("create", _FINISHED)
        lane.drain(_FINISHED)
        _multiply(connection, finished // _FINISHED)
        last = _scalar(connection, "select max(seq) from fencepost.task_resources")
        lane.ask("create", _WAITING)
        _multiply(connection, waiting // _WAITING, after=last)
        connection.execute("vacuum analyze")
        connection.execute("checkpoint")


def _multiply(connection: psycopg.Connection[Any], times: int, *, after: int = 0) -> None:
    for table in _tables(connection):
        columns = [row[0] for row in connection.execute(_COLUMNS, (table,)).fetchall()]
        taken = [_CHANGED.get(name, f'"t"."{name}"').format(stride=_STRIDE) for name in columns]
        connection.execute(
            sql.SQL(
                "insert into {table} ({columns}) overriding system value select {taken} from {table} as t"
                " cross join generate_series(1::bigint, {times}) as g where t.seq > {after} order by g desc, t.seq"
            ).format(
                table=sql.Identifier("fencepost", table),
                columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
                taken=sql.SQL(", ").join(map(sql.SQL, taken)),
                times=sql.Literal(times),
                after=sql.Literal(after),
            )
        )


_COLUMNS = """
select attname from pg_attribute
where attrelid = format('fencepost.%%I', %s::text)::regclass and attnum > 0 and not attisdropped and attgenerated = ''
"""


def _tables(connection: psycopg.Connection[Any]) -> list[str]:
    """Return the tables that hold rows of tasks, partitioned ones as a whole."""
    rows = connection.execute(
        "select c.relname from pg_class as c join pg_attribute as a on a.attrelid = c.oid and a.attname = 'seq'"
        " where c.relnamespace = 'fencepost'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition"
    ).fetchall()
    return [row[0] for row in rows]


def _scalar(connection: psycopg.Connection[Any], query: str) -> Any:
    row = connection.execute(query).fetchone()
    assert row is not None
    return row[0]
