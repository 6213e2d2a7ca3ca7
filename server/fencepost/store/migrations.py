"""Migrates a database: applies each file of sql/migrations once, in order, each in a transaction.

Several servers may start at once: a session lock lets one migrate while the others wait and then find nothing to do. A
file that has been applied must never change, and a database with a newer schema than this server is not touched.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import psycopg

from fencepost.errors import StartRefused
from fencepost.store.address import reason
from fencepost.store.connection import connect
from fencepost.store.connection_monitor import monitored
from fencepost.store.files import data_folder
from fencepost.store.session import MIGRATING
from fencepost.store.suitability import check_suitability

# An arbitrary key that no other program in this database is likely to lock.
_LOCK = 0x66656E6365
# As in the first migration.
_SCHEMA = "create schema if not exists fencepost;"
_TABLE = (
    "create table fencepost.migrations ("
    " number integer primary key, name text not null, sha256 text not null, applied_at timestamptz not null)"
)


@dataclass(frozen=True, slots=True)
class Migration:
    """A migration file: its number, name and text."""

    number: int
    name: str
    text: str

    @property
    def sha256(self) -> str:
        """Return the checksum that the database stores with the number."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def migrations() -> list[Migration]:
    """Return all migrations, in order."""
    files = sorted((data_folder("sql") / "migrations").glob("*.sql"))
    return [Migration(int(file.name[:4]), file.name, Path(file).read_text("utf-8")) for file in files]


def migrate(conninfo: str, option: str = "--database-url") -> list[str]:
    """Apply the missing migrations and return their names; `option` is the setting that gave the address."""
    check_suitability(conninfo, option)
    try:
        with connect(conninfo, MIGRATING) as connection, monitored(conninfo, connection):
            connection.execute("select pg_advisory_lock(%s)", (_LOCK,))
            applied = _applied(connection)
            known = migrations()
            _refuse_unknown(applied, known)
            missing = [migration for migration in known if migration.number not in applied]
            for migration in missing:
                _apply(connection, migration)
            return [migration.name for migration in missing]
    except psycopg.Error as error:
        raise StartRefused(f"the database cannot be migrated: {reason(error, conninfo)}") from None


def check_migrated(conninfo: str, option: str = "--database-url") -> None:
    """Raise StartRefused unless the database can be read and has the schema of this version."""
    check_suitability(conninfo, option, changes=False)
    try:
        with connect(conninfo) as connection:
            applied = _applied(connection)
    except psycopg.Error as error:
        raise StartRefused(f"the database cannot be read: {reason(error, conninfo)}") from None
    known = migrations()
    _refuse_unknown(applied, known)
    if len(applied) < len(known):
        raise StartRefused(
            f"the database has {len(applied)} of the {len(known)} migrations of this version; run `fencepost migrate`"
        )


def _is_there(connection: psycopg.Connection, function: str, name: str) -> bool:
    return connection.execute(f"select {function}(%s) is not null".encode(), [name]).fetchone() == (True,)


def _applied(connection: psycopg.Connection) -> dict[int, str]:
    if not _is_there(connection, "to_regclass", "fencepost.migrations"):
        return {}
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
    try:
        with connection.transaction():
            connection.execute("set local lock_timeout = '10s'")
            # `if not exists` needs the privilege to create even where there is nothing to create.
            if not _is_there(connection, "to_regnamespace", "fencepost"):
                connection.execute(_SCHEMA)
            if not _is_there(connection, "to_regclass", "fencepost.migrations"):
                connection.execute(_TABLE)
            connection.execute(migration.text.replace(_SCHEMA, "").encode())
            connection.execute(
                "insert into fencepost.migrations (number, name, sha256, applied_at) values (%s, %s, %s, now())",
                (migration.number, migration.name, migration.sha256),
            )
    except psycopg.Error as error:
        said = " ".join(str(error).split())
        raise StartRefused(f"migration {migration.name} failed and left nothing behind: {said}") from None
