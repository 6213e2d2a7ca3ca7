"""The Postgres of a run: durable, in a temporary folder, with one database per contestant."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from fencepost.store.embedded import EmbeddedPostgres

# Durable; otherwise common settings of a small database server, the same for all contestants. Checkpoints are rare, so
# that no contestant has to write the full pages after one.
OPTIONS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": "1GB",
    "max_connections": "200",
    "max_wal_size": "16GB",
    "checkpoint_timeout": "30min",
    "jit": "off",
}
_SHOWN = (*OPTIONS, "wal_level", "wal_compression", "wal_sync_method", "autovacuum", "max_parallel_workers_per_gather")


class Postgres:
    """A running server: its process, a connection to observe it, and new databases."""

    def __init__(self, server: EmbeddedPostgres) -> None:
        self._server = server
        self.pid = server.pid
        self.version = server.version
        self.observer: psycopg.Connection[Any] = psycopg.connect(server.conninfo, autocommit=True)
        self.observer.execute("create extension pg_walinspect")

    def settings(self) -> dict[str, str]:
        """Return the relevant part of its configuration."""
        return {name: str(self.observer.execute(f"show {name}").fetchone()[0]) for name in _SHOWN}  # type: ignore[index]

    def new_database(self, name: str) -> str:
        """Create a database and return its conninfo."""
        self.observer.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        return make_conninfo(self._server.conninfo, dbname=name)

    def commits(self, database: str) -> int:
        """Return the number of transactions of a database, including read-only ones; up to ten seconds late."""
        query = "select xact_commit from pg_stat_database where datname = %s"
        row = self.observer.execute(query, (database,)).fetchone()
        assert row is not None
        return int(row[0])


@contextmanager
def running() -> Iterator[Postgres]:
    """Start the Postgres of a run; stop it and remove its folder afterwards."""
    with (
        tempfile.TemporaryDirectory(prefix="fencepost-bench-") as folder,
        EmbeddedPostgres(Path(folder) / "data", options=OPTIONS) as server,
    ):
        postgres = Postgres(server)
        with postgres.observer:
            yield postgres


def dead_tuples(conninfo: str) -> int:
    """Return the exact number of dead row versions in the tables of a database."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("create extension if not exists pgstattuple")
        row = connection.execute(
            "select coalesce(sum(s.dead_tuple_count), 0)::int8 from pg_class as c"
            " cross join lateral pgstattuple(c.oid) as s"
            " where c.relkind = 'r' and c.relnamespace::regnamespace::text not in ('pg_catalog', 'information_schema')"
        ).fetchone()
    assert row is not None
    return int(row[0])
