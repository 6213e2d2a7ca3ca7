"""An unsuitable database is refused in one sentence, before it is changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from fencepost.errors import StartRefused
from fencepost.store.check import check
from fencepost.store.embedded import EmbeddedPostgres
from fencepost.store.migrations import check_migrated, migrate
from tests.fixtures.commands import refusal
from tests.fixtures.database_settings import set_on_database
from tests.fixtures.poolers import pooler
from tests.fixtures.roles import role
from tests.fixtures.servers import running_server
from tests.fixtures.surface import CHECKS

pytestmark = pytest.mark.shows("guarantees/unsuitable-database")

COMMANDS = [("serve", "--port", "0"), ("serve", "--port", "0", "--workers", "2"), ("migrate",), ("check",)]
SECRET = "correct-horse"

each_command = pytest.mark.parametrize("words", COMMANDS, ids=" ".join)


def has_schema(conninfo: str) -> bool:
    with psycopg.connect(conninfo) as connection:
        return connection.execute("select to_regnamespace('fencepost') is not null").fetchall() == [(True,)]


def refused(conninfo: str) -> str:
    with pytest.raises(StartRefused) as caught:
        migrate(conninfo)
    return str(caught.value)


@contextmanager
def made(postgres: EmbeddedPostgres, name: str, options: str) -> Iterator[str]:
    with psycopg.connect(postgres.conninfo, autocommit=True) as connection:
        connection.execute(f"create database {name} {options} template template0".encode())
        try:
            yield make_conninfo(postgres.conninfo, dbname=name)
        finally:
            connection.execute(f"drop database {name} with (force)".encode())


# The encoding


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII", "EUC_JP"])
def test_a_database_that_is_not_utf8_is_refused_and_not_changed(postgres: EmbeddedPostgres, encoding: str) -> None:
    options = f"encoding '{encoding}' locale_provider libc locale 'C'"
    with made(postgres, f"odd_{encoding.lower()}", options) as conninfo:
        assert f"has the encoding {encoding}, and not every text fits" in refused(conninfo)
        assert not has_schema(conninfo)
        with pytest.raises(StartRefused, match="has the encoding"):
            list(check(conninfo, CHECKS))


@each_command
def test_every_command_refuses_another_encoding_in_one_line_with_status_2(
    postgres: EmbeddedPostgres, words: tuple[str, ...]
) -> None:
    with made(postgres, "odd_encoding", "encoding 'LATIN1' locale_provider libc locale 'C'") as conninfo:
        assert "has the encoding LATIN1" in refusal(*words, "--database-url", conninfo)
        assert not has_schema(conninfo)


def test_a_database_with_another_collation_is_accepted(postgres: EmbeddedPostgres) -> None:
    with made(postgres, "odd_order", "encoding 'UTF8' locale_provider libc locale 'C'") as conninfo:
        migrate(conninfo)
        with running_server(conninfo) as server:
            server.define()
            execution = server.started(params={"text": "äÖß"})
            server.rpc("awf.task/success", execution)
            (found,) = server.rpc("awf.task/list", {"filter": {"ilike": "äÖß"}})["resources"]
            assert found["id"] == execution["id"]


# Rights


def test_a_role_without_the_right_to_create_the_schema_is_refused_with_that_right(empty_database: str) -> None:
    with role(empty_database, "newcomer") as conninfo:
        name = conninfo.partition("dbname=")[2].split()[0]
        assert f"grant create on database {name} to newcomer" in refused(conninfo)
        assert not has_schema(empty_database)
        assert "may not create the schema" in refusal("serve", "--port", "0", "--database-url", conninfo)


def test_a_role_that_owns_nothing_of_the_schema_is_refused(new_database: str) -> None:
    everything = "grant all on schema fencepost to {role}", "grant all on all tables in schema fencepost to {role}"
    with role(new_database, "stranger") as conninfo:
        assert "may not change the schema fencepost" in refused(conninfo)
    with role(new_database, "guest", *everything) as conninfo:
        assert "use the role that owns the schema" in refused(conninfo)


def test_a_member_of_the_owner_role_needs_no_right_on_the_database(empty_database: str) -> None:
    with role(empty_database, "owning", "grant create on database {database} to {role}") as owner:
        migrate(owner)
        with role(empty_database, "member", "grant owning to {role}") as conninfo:
            with psycopg.connect(empty_database, autocommit=True) as connection:
                connection.execute(f"revoke create on database {connection.info.dbname} from owning".encode())
            assert migrate(conninfo) == []
            with running_server(conninfo) as server:
                server.define()
                assert server.started()["execId"]


def test_a_schema_created_for_the_role_is_used(empty_database: str) -> None:
    with role(empty_database, "made_for", "create schema fencepost authorization {role}") as conninfo:
        assert migrate(conninfo)[0] == "0001_tasks.sql"


def test_a_schema_with_other_tables_is_refused_and_not_changed(empty_database: str) -> None:
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute("create schema fencepost")
        connection.execute("create table fencepost.live_tasks (mine integer)")
        connection.execute("create table fencepost.tasks (mine integer)")
    assert "migration 0001_tasks.sql failed and left nothing behind" in refused(empty_database)
    with psycopg.connect(empty_database) as connection:
        rows = connection.execute("select count(*) from pg_tables where schemaname = 'fencepost'").fetchall()
    assert rows == [(2,)]


def test_a_setting_that_only_a_superuser_can_reset_is_named(empty_database: str) -> None:
    set_on_database(empty_database, {"session_replication_role": "replica"})
    with role(empty_database, "ordinary", "grant create on database {database} to {role}") as conninfo:
        assert 'permission denied to set parameter "session_replication_role"' in refused(conninfo)
        assert not has_schema(empty_database)


# Read-only


@each_command
def test_a_read_only_database_is_refused_except_by_check(new_database: str, words: tuple[str, ...]) -> None:
    set_on_database(new_database, {"default_transaction_read_only": "on"})
    if words == ("check",):
        assert list(check(new_database, CHECKS))
    else:
        assert "read-only for 'postgres'" in refusal(*words, "--database-url", new_database)


# The connection


OBSTACLES = [
    ({"dbname": "no_such_database"}, 'database "no_such_database" does not exist'),
    ({"user": "nobody_here"}, 'role "nobody_here" does not exist'),
    ({"host": "no-such-host.invalid"}, "no-such-host.invalid"),
    ({"host": "127.0.0.1", "port": "1"}, "refused"),
    ({"sslmode": "never"}, "sslmode"),
]


@pytest.mark.parametrize(("changed", "said"), OBSTACLES, ids=[said for _, said in OBSTACLES])
def test_an_unsuitable_connection_is_refused_in_one_line(
    empty_database: str, changed: dict[str, str], said: str
) -> None:
    message = refused(make_conninfo(empty_database, **changed))
    assert message.startswith("cannot connect to the database: ")
    assert said in message
    assert "\n" not in message


@each_command
def test_every_command_refuses_an_unreachable_database(empty_database: str, words: tuple[str, ...]) -> None:
    message = refusal(*words, "--database-url", make_conninfo(empty_database, dbname="no_such_database"))
    assert 'database "no_such_database" does not exist' in message


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:SECRET@127.0.0.1:1/x",
        "postgres//me:SECRET@127.0.0.1/x",
        "postgresq://me:SECRET@127.0.0.1/x",
        "mysql://me:SECRET@127.0.0.1/x?a=b",
        "postgresql://me:p@SECRET@127.0.0.1/x",
        "postgresql://me:SECRET@p@127.0.0.1/x",
        "postgresql://me:SECRET/p@127.0.0.1/x",
        "postgresql://me:12/SECRET@127.0.0.1/x",
        "postgresql://me:p?SECRET@127.0.0.1/x",
        "postgresql://me:SECRET?a=b@127.0.0.1/x",
        "postgresql://me:p%SECRET@127.0.0.1/x",
        "postgresql://me:p:SECRET@127.0.0.1/x:y",
        "postgresql://me@127.0.0.1/x?pasword=SECRET",
        "postgresql://127.0.0.1:SECRET/x",
        "host=127.0.0.1 port=1 password=SECRET",
        "host=127.0.0.1 port=1 password='SECRET",
        "host=127.0.0.1 port=1 password=p SECRET",
        "host=127.0.0.1 pasword=SECRET",
        "me:SECRET@127.0.0.1/x",
        "SECRET",
        "",
        " ",
    ],
)
def test_an_unusable_address_is_refused_without_its_password(url: str) -> None:
    message = refused(url.replace("SECRET", SECRET))
    assert SECRET not in message
    assert "horse" not in message
    with pytest.raises(StartRefused) as caught:
        check_migrated(url.replace("SECRET", SECRET))
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("words", [*COMMANDS, ("serve", "--port", "0", "--log-level", "debug")], ids=" ".join)
def test_no_command_prints_the_password_of_a_mistyped_address(words: tuple[str, ...]) -> None:
    assert SECRET not in refusal(*words, "--database-url", f"postgres//me:{SECRET}@127.0.0.1/x")


@pytest.mark.parametrize(
    "url", ["postgresql:///x?user=me@tenant", "postgresql://me%40tenant:p%2F%40@127.0.0.1:1/x", "host=127.0.0.1 port=1"]
)
def test_an_address_with_unusual_names_is_parsed_and_tried(url: str) -> None:
    assert refused(url).startswith("cannot connect to the database: ")


# Poolers


@pytest.mark.parametrize("more", ["", "ignore_startup_parameters = options", "server_reset_query ="])
def test_a_pooler_in_session_mode_is_accepted(empty_database: str, more: str) -> None:
    with pooler(empty_database, "session", more) as url:
        assert migrate(url)
        for _ in range(2):
            with running_server(url) as server:
                server.define()
                execution = server.started()
                server.rpc("awf.task/success", execution)
                assert server.task(execution["id"])["status"] == "done"


@pytest.mark.parametrize("mode", ["transaction", "statement"])
def test_a_pooler_in_another_mode_is_refused_and_its_sessions_are_not_changed(empty_database: str, mode: str) -> None:
    with pooler(empty_database, mode) as url:
        assert "a pooler in transaction or statement mode" in refused(url)
        with psycopg.connect(url, autocommit=True) as connection:
            assert connection.execute("show statement_timeout").fetchall() == [("0",)]
    assert not has_schema(empty_database)


def test_a_busy_pooler_in_transaction_mode_is_detected(empty_database: str) -> None:
    with pooler(empty_database, "transaction", "server_round_robin = 1") as url:
        others = [psycopg.connect(url) for _ in range(4)]
        for other in others:
            other.execute("select 1")
        for other in others:
            other.rollback()
        assert "a pooler in transaction or statement mode" in refused(url)
        for other in others:
            other.close()


@each_command
def test_every_command_refuses_a_pooler_in_transaction_mode(empty_database: str, words: tuple[str, ...]) -> None:
    with pooler(empty_database, "transaction") as url:
        assert "a pooler in transaction or statement mode" in refusal(*words, "--database-url", url)


def test_a_pooler_with_too_few_sessions_is_refused(empty_database: str) -> None:
    with pooler(empty_database, "session", "default_pool_size = 1") as url:
        assert "has no session for a second connection" in refused(url)


def test_a_wrong_password_is_not_printed(empty_database: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    users = tmp_path_factory.mktemp("users") / "users"
    users.write_text('"somebody" "right"\n')
    for folder in (users, *users.parents[:2]):
        folder.chmod(0o755)
    with pooler(empty_database, "session", f"auth_type = plain\nauth_file = {users}") as url:
        message = refusal("serve", "--port", "0", "--database-url", url.replace("@", f":{SECRET}@"))
    assert message.startswith("cannot connect to the database: ")
    assert SECRET not in message
