"""Brings a database to the newest schema: every file of sql/migrations once, in order, a transaction each.

Several servers may start at once: a session lock lets one migrate while the others wait and then find nothing to do.
A file that has been applied must never change again, and a database that is ahead of this server is not touched.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import psycopg

from fencepost.errors import StartRefused
from fencepost.store.connection import connect
from fencepost.store.files import data_folder
from fencepost.store.session import MIGRATING

# Any number that no other program in this database is likely to lock.
_LOCK = 0x66656E6365
_OLDEST = 15


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: its number, its name, and its text."""

    number: int
    name: str
    text: str

    @property
    def sha256(self) -> str:
        """Return the checksum that is kept beside the number."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def migrations() -> list[Migration]:
    """Return all migrations, in order."""
    files = sorted((data_folder("sql") / "migrations").glob("*.sql"))
    return [Migration(int(file.name[:4]), file.name, Path(file).read_text("utf-8")) for file in files]


def migrate(conninfo: str) -> list[str]:
    """Apply what is missing and return the names of the files applied; needs a direct connection, not a pooled one."""
    with _connect(conninfo) as connection:
        connection.execute("select pg_advisory_lock(%s)", (_LOCK,))
        applied = _applied(connection)
        known = migrations()
        _refuse_unknown(applied, known)
        missing = [migration for migration in known if migration.number not in applied]
        for migration in missing:
            _apply(connection, migration)
        return [migration.name for migration in missing]


def _connect(conninfo: str) -> psycopg.Connection:
    try:
        connection = connect(conninfo, MIGRATING)
    except (psycopg.OperationalError, psycopg.ProgrammingError) as error:
        raise StartRefused(f"cannot connect to the database: {' '.join(str(error).split())}") from None
    if connection.info.server_version < _OLDEST * 10_000:
        connection.close()
        raise StartRefused(f"the database is older than Postgres {_OLDEST}, the oldest that Fencepost runs on")
    return connection


def _applied(connection: psycopg.Connection) -> dict[int, str]:
    connection.execute("create schema if not exists fencepost")
    connection.execute(
        "create table if not exists fencepost.migrations ("
        " number integer primary key, name text not null, sha256 text not null, applied_at timestamptz not null)"
    )
    return dict(connection.execute("select number, sha256 from fencepost.migrations").fetchall())


def _refuse_unknown(applied: dict[int, str], known: list[Migration]) -> None:
    by_number = {migration.number: migration for migration in known}
    for number, sha256 in sorted(applied.items()):
        migration = by_number.get(number)
        if migration is None:
            raise StartRefused(
                f"the database has migration {number}, which this version of Fencepost does not know; use a newer one"
            )
        if migration.sha256 != sha256:
            raise StartRefused(f"the database was migrated by another text of {migration.name} than this version has")


def _apply(connection: psycopg.Connection, migration: Migration) -> None:
    with connection.transaction():
        connection.execute("set local lock_timeout = '10s'")
        connection.execute(migration.text.encode())
        connection.execute(
            "insert into fencepost.migrations (number, name, sha256, applied_at) values (%s, %s, %s, now())",
            (migration.number, migration.name, migration.sha256),
        )
