"""A database with millions of finished and waiting tasks, copied from a few real ones by SQL.

It depends only on the common columns of the tables: `seq`, which orders tasks, a unique `id`, and `params`. As in ids
of the server, the `id` of a copy ends with its `seq`. Copies have smaller numbers than the originals, like older tasks,
so that new rows go to the end of each index; the numbers of the originals start high to leave room for them.
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
    """Fill a database that the lane has prepared; counts are rounded to multiples of the number of originals."""
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
    """Return the tables with rows of tasks; of partitioned ones the parent."""
    rows = connection.execute(
        "select c.relname from pg_class as c join pg_attribute as a on a.attrelid = c.oid and a.attname = 'seq'"
        " where c.relnamespace = 'fencepost'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition"
    ).fetchall()
    return [row[0] for row in rows]


def _scalar(connection: psycopg.Connection[Any], query: str) -> Any:
    row = connection.execute(query).fetchone()
    assert row is not None
    return row[0]
