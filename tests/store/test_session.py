"""Sessions have the settings of the server: no database, role, URL or environment changes them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from fencepost.settings import Settings
from fencepost.store.connection import connect, fetch
from fencepost.store.migrations import migrate
from fencepost.store.session import MIGRATING, SERVING, statement_for
from tests.fixtures.builtin import RUN_SQL, result_of
from tests.fixtures.database_settings import UNUSUAL_SETTINGS, set_on_database
from tests.fixtures.servers import running_server

pytestmark = pytest.mark.shows("guarantees/session-settings")

WHEN = "2030-07-01T12:00:00.123456Z"
TEXT = "é€😀\\'\"\x7f"


def shown(connection: psycopg.Connection, *names: str) -> dict[str, str]:
    return {name: connection.execute(f"show {name}".encode()).fetchall()[0][0] for name in names}


def wanted(name: str) -> str:
    return {"statement_timeout": "1min", "idle_in_transaction_session_timeout": "1min"}.get(name, SERVING[name])


@pytest.mark.parametrize("name", UNUSUAL_SETTINGS)
def test_a_setting_of_the_database_does_not_reach_a_session_of_the_server(database: str, name: str) -> None:
    with psycopg.connect(database) as plain:
        before = shown(plain, name)
    set_on_database(database, {name: UNUSUAL_SETTINGS[name]})
    with psycopg.connect(database) as plain:
        # Otherwise the test proves nothing; some wanted values are the defaults of this Postgres.
        assert shown(plain, name) != before or wanted(name) != before[name]
    with connect(database) as connection:
        assert shown(connection, name) == {name: wanted(name)}


def test_a_server_works_on_a_database_with_unusual_settings(database: str) -> None:
    set_on_database(database, UNUSUAL_SETTINGS)
    with running_server(database) as server:
        server.define(params={"type": "object"})
        created = server.create(executeAt=WHEN, params={"text": TEXT}, label="é€😀")
        assert (created["executeAt"], created["params"], created["label"]) == (WHEN, {"text": TEXT}, "é€😀")
        execution = server.started(params={"ratio": 0.1 + 0.2})
        server.rpc("awf.task/success", {**execution, "result": {"ratio": 1 / 3}})
        done = server.task(execution["id"])
        assert (done["params"], done["result"]) == ({"ratio": 0.1 + 0.2}, {"ratio": 1 / 3})
        times = [created["executeAt"], *(entry["meta"]["createdAt"] for entry in server.log(execution["id"]))]
        assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", time) for time in times), times
        (found,) = server.rpc("awf.task/list", {"filter": {"ilike": "€😀"}})["resources"]
        assert found["id"] == created["id"]


def test_a_database_with_unusual_settings_gets_the_same_schema(empty_database: str, new_database: str) -> None:
    set_on_database(empty_database, UNUSUAL_SETTINGS)
    migrate(empty_database)
    assert schema_of(empty_database) == schema_of(new_database)


def schema_of(conninfo: str) -> list[tuple[object, ...]]:
    with connect(conninfo) as connection:
        return (
            connection.execute(
                "select table_name, column_name, data_type, column_default, collation_name"
                " from information_schema.columns where table_schema = 'fencepost' order by 1, 2"
            ).fetchall()
            + connection.execute(
                "select conname, pg_get_constraintdef(oid), null, null, null from pg_constraint"
                " where connamespace = 'fencepost'::regnamespace order by 1, 2"
            ).fetchall()
        )


def test_a_migration_is_not_ended_by_a_timeout_of_the_database(database: str) -> None:
    set_on_database(database, {"statement_timeout": "50ms", "lock_timeout": "50ms"})
    with connect(database, MIGRATING) as connection:
        assert shown(connection, "statement_timeout", "lock_timeout") == {"statement_timeout": "0", "lock_timeout": "0"}


def test_the_url_and_the_environment_may_set_limits_but_not_formats(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = "-c statement_timeout=7s --lock-timeout=3s -cjit=on -c datestyle=German -c timezone=Asia/Tokyo"
    expected = {
        "statement_timeout": "7s",
        "lock_timeout": "3s",
        "jit": "on",
        "datestyle": "ISO, MDY",
        "timezone": "UTC",
    }
    with connect(make_conninfo(database, options=options)) as connection:
        assert shown(connection, *expected) == expected
    monkeypatch.setenv("PGOPTIONS", options)
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    monkeypatch.setenv("PGTZ", "Asia/Tokyo")
    with connect(database) as connection:
        assert shown(connection, *expected) == expected
        assert shown(connection, "client_encoding") == {"client_encoding": "UTF8"}


def test_a_stronger_synchronous_commit_is_kept(database: str) -> None:
    set_on_database(database, {"synchronous_commit": "remote_apply"})
    with connect(database) as connection:
        assert shown(connection, "synchronous_commit") == {"synchronous_commit": "remote_apply"}


def test_a_session_is_configured_in_one_round_trip(database: str) -> None:
    with connect(database) as connection, psycopg.connect(database) as other:
        assert connection.info.backend_pid != other.info.backend_pid
        (row,) = other.execute(
            "select query from pg_stat_activity where pid = %s", [connection.info.backend_pid]
        ).fetchall()
    # The last statement of the session is the one that configured it.
    assert "set_config" in row[0]


def test_statements_prepared_earlier_in_a_session_do_not_collide(database: str) -> None:
    with connect(database) as connection:
        fetch(connection, "select 1", {})
        connection.execute("prepare fencepost_1 as select 2")
        connection.execute(statement_for(database))
        connection.prepared.clear()
        assert fetch(connection, "select 3", {}) == [(3,)]


@contextmanager
def unusual_role(database: str) -> Iterator[str]:
    """Create a role with unusual settings; yield the connection string for it."""
    names = ("datestyle", "intervalstyle", "timezone", "client_encoding", "bytea_output", "extra_float_digits")
    with psycopg.connect(database, autocommit=True) as owner:
        owner.execute("drop role if exists odd_reader")
        owner.execute("create role odd_reader login")
        try:
            for name in names:
                owner.execute(f"alter role odd_reader set {name} = '{UNUSUAL_SETTINGS[name]}'".encode())
            owner.execute("alter role odd_reader set default_transaction_isolation = 'serializable'")
            owner.execute("alter role odd_reader set default_transaction_deferrable = 'on'")
            yield make_conninfo(database, user="odd_reader")
        finally:
            owner.execute("drop role odd_reader")


def test_run_sql_gives_the_same_values_for_a_role_with_unusual_settings(database: str) -> None:
    with unusual_role(database) as url, running_server(database, settings=Settings(run_sql_url=url)) as reading:
        sql = (
            "select timestamptz '2030-07-01 12:00:00Z' as at, interval '90 min' as took, '\\xff'::bytea as raw,"
            " 0.1::float8 + 0.2 as sum, '€😀' as text"
        )
        (row,) = result_of(reading, RUN_SQL, {"sql": sql})["rows"]
    assert row == {
        "at": "2030-07-01T12:00:00+00:00",
        "took": "01:30:00",
        "raw": "\\xff",
        "sum": 0.1 + 0.2,
        "text": "€😀",
    }
