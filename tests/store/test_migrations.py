"""Migrations: each file is applied once; changed files and newer databases are refused."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from fencepost.errors import StartRefused
from fencepost.store import migrations
from fencepost.store.migrations import migrate
from tests.fixtures.waiting import until

pytestmark = pytest.mark.shows("guarantees/migrations-fixed")

FILES = [migration.name for migration in migrations.migrations()]
TOGETHER = 4
SQL = Path(__file__).parents[2] / "sql"


def test_migration_files_are_numbered_without_gaps_and_named_after_their_change() -> None:
    assert FILES
    assert [int(name[:4]) for name in FILES] == list(range(1, len(FILES) + 1))
    assert all(re.fullmatch(r"\d{4}_[a-z0-9_]+\.sql", name) for name in FILES)


def test_every_migration_matches_its_recorded_checksum() -> None:
    lines = (SQL / "migrations.sha256").read_text().splitlines()
    recorded = {name: sha256 for sha256, name in (line.split("  ") for line in lines)}
    present = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in (SQL / "migrations").iterdir()}
    changed = sorted(name for name, sha256 in recorded.items() if present.get(name) != sha256)
    assert changed == [], "a database may have applied these: restore them, and put the change into a new migration"
    missing = [f"{sha256}  {name}" for name, sha256 in sorted(present.items()) if name not in recorded]
    assert missing == [], "add these lines to sql/migrations.sha256"
    assert {migration.name: migration.sha256 for migration in migrations.migrations()} == present


def test_an_empty_database_gets_every_migration_in_order_once(empty_database: str) -> None:
    assert migrate(empty_database) == FILES
    assert applied(empty_database) == FILES
    assert migrate(empty_database) == []


def test_concurrent_starts_apply_each_migration_once(empty_database: str) -> None:
    with locked(empty_database):
        processes = [migrating(empty_database) for _ in range(TOGETHER)]
        until(lambda: waiting_for_locks(empty_database) == TOGETHER, timeout=30)
    said = [process.communicate(timeout=30)[0].split("\n")[:-1] for process in processes]

    assert [process.returncode for process in processes] == [0] * TOGETHER
    assert sorted(said) == sorted([FILES, *[["nothing to do"]] * (TOGETHER - 1)])
    assert applied(empty_database) == FILES


def test_a_changed_migration_that_was_applied_is_refused_by_name(database: str) -> None:
    execute(database, "update fencepost.migrations set sha256 = 'of another text' where number = 1")
    with pytest.raises(StartRefused, match=f"another text of {re.escape(FILES[0])}"):
        migrate(database)


def test_a_database_with_newer_migrations_is_refused_and_not_changed(database: str) -> None:
    execute(database, "insert into fencepost.migrations values (9999, '9999_later.sql', '', now())")
    with pytest.raises(StartRefused, match="the database has migration 9999"):
        migrate(database)
    assert applied(database) == [*FILES, "9999_later.sql"]


def test_the_migrate_command_refuses_in_one_sentence_with_status_2(database: str) -> None:
    execute(database, "insert into fencepost.migrations values (9999, '9999_later.sql', '', now())")
    process = migrating(database)
    stdout, stderr = process.communicate(timeout=30)
    assert (process.returncode, stdout) == (2, "")
    assert stderr.startswith("fencepost: the database has migration 9999")
    assert stderr.count("\n") == 1


def migrating(conninfo: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "fencepost", "migrate", "--database-url", conninfo]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@contextmanager
def locked(conninfo: str) -> Iterator[None]:
    """Hold the lock that lets one process migrate at a time."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("select pg_advisory_lock(%s)", (migrations._LOCK,))
        yield


def waiting_for_locks(conninfo: str) -> int:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        row = connection.execute(
            "select count(*) from pg_locks where locktype = 'advisory' and not granted"
            " and database = (select oid from pg_database where datname = current_database())"
        ).fetchone()
    return 0 if row is None else int(row[0])


def applied(conninfo: str) -> list[str]:
    with psycopg.connect(conninfo) as connection:
        return [row[0] for row in connection.execute("select name from fencepost.migrations order by number")]


def execute(conninfo: str, statement: str) -> None:
    with psycopg.connect(conninfo) as connection:
        connection.execute(statement.encode())
