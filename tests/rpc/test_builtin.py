"""The built-in tasks `run-rpc` and `run-sql`, created and read over the wire."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import orjson
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from fencepost.errors import StartRefused
from fencepost.settings import Limits, Settings
from fencepost.store.embedded import EmbeddedPostgres
from fencepost.store.reader import Reader
from tests.fixtures.builtin import RUN_RPC, RUN_SQL, ended, error_of, ran, result_of
from tests.fixtures.servers import Server, running_server
from tests.fixtures.waiting import until
from tests.fixtures.workflows import Decider

pytestmark = pytest.mark.shows("guarantees/sql-only-reads")

SECRETS = {"importer": "a-secret-of-the-importer", "billing": "another-of-billing-here"}


def test_a_start_puts_the_built_in_definitions_that_differ_from_those_of_the_database(database: str) -> None:
    versions = "select version, is_newest, document::text from fencepost.definitions where name = '{}' order by 1"
    with running_server(database) as server:
        [(*_, document)] = server.query(versions.format(RUN_RPC))
        # As if an earlier release had put this one.
        server.query(f"update fencepost.definitions set document = '{{}}' where name = '{RUN_RPC}'")
    for _ in range(2):
        with running_server(database) as server:
            assert server.query(versions.format(RUN_RPC)) == [(1, False, "{}"), (2, True, document)]
            assert [row[:2] for row in server.query(versions.format(RUN_SQL))] == [(1, True)]


def test_the_result_of_a_call_is_the_result_of_its_task(server: Server) -> None:
    server.define()
    call = {"method": "awf.task/create-and-execute", "params": {"definition": "demo/resize", "id": "mine"}}
    result = result_of(server, RUN_RPC, call)
    assert result == {"resource": server.task("mine")}


def test_a_call_without_params_is_made(server: Server) -> None:
    assert "resources" in result_of(server, RUN_RPC, {"method": "awf.definition/list"})


@pytest.mark.parametrize(
    ("call", "type", "path"),
    [
        ({"method": "awf.task/nothing"}, "method-not-found", "$.method"),
        ({"method": "awf.task/status", "params": {"id": "none"}}, "task-not-found", "$.params.id"),
        ({"method": "awf.task/status", "params": {"uid": "none"}}, "invalid-params", "$.params.uid"),
        ({"method": "awf.task/status"}, "invalid-params", "$.params.id"),
    ],
)
def test_a_refused_call_fails_its_task_without_a_retry(
    server: Server, call: dict[str, Any], type: str, path: str
) -> None:
    task = ran(server, RUN_RPC, call)
    assert (task["outcome"], task["retryCount"]) == ("failed", 1)
    assert (task["error"]["type"], task["error"]["path"]) == (type, path)
    assert task["error"]["message"]


def test_the_error_of_a_refused_call_lists_the_errors_of_the_schema(server: Server) -> None:
    server.define(params={"type": "object", "required": ["width"]})
    call = {"method": "awf.task/create-and-execute", "params": {"definition": "demo/resize", "params": {}}}
    error = error_of(server, RUN_RPC, call)
    assert [one["path"] for one in error["errors"]] == ["$.params.params"]


@pytest.mark.parametrize("params", [{}, {"method": 1}, {"method": "x", "params": []}, {"method": "x", "id": 1}])
def test_params_that_are_not_a_call_create_no_task(server: Server, params: dict[str, Any]) -> None:
    assert server.refused("awf.task/create-and-execute", {"definition": RUN_RPC, "params": params})[0] == 400


def test_a_call_can_create_a_task_that_makes_a_call(server: Server) -> None:
    call: dict[str, Any] = {"method": "awf.definition/get", "params": {"name": RUN_RPC}}
    for _ in range(5):
        call = {"method": "awf.task/create-and-execute", "params": {"definition": RUN_RPC, "params": call}}
    task = ran(server, RUN_RPC, call)
    for _ in range(5):
        task = ended(server, task["result"]["resource"]["id"])
    assert task["result"]["resource"]["name"] == RUN_RPC
    assert server.query("select count(*) from fencepost.done_tasks") == [(6,)]


def test_a_call_is_made_as_the_client_that_created_the_task(database: str) -> None:
    with running_server(database, settings=Settings(clients=SECRETS)) as server:
        credentials = base64.b64encode(f"billing:{SECRETS['billing']}".encode()).decode()
        call = {"method": "awf.definition/put", "params": {"kind": "task", "name": "demo/theirs"}}
        body = {"method": "awf.task/create-and-execute", "params": {"definition": RUN_RPC, "params": call}}
        status, _, _ = server.send(
            "POST",
            "/rpc",
            orjson.dumps(body),
            content_type="application/json",
            authorization=f"Basic {credentials}",
        )
        assert status == 200
        found = "select created_by from fencepost.definitions where name = 'demo/theirs'"
        assert until(lambda: server.query(found)) == [("billing",)]


def test_a_call_of_a_workflow_is_made_as_its_decider(server: Server) -> None:
    server.define()
    decider = Decider(server, "demo/flow")
    id = decider.create()["id"]
    call = {"method": "awf.task/create-and-execute", "params": {"definition": "demo/resize", "id": "made"}}
    decider.decide(decider.decision(), decider.task("call", RUN_RPC, params=call))

    decision = until(lambda: decider.poll())[0]
    assert decision["params"]["event"] == "awf.workflow.event/task-completed"
    assert decision["params"]["outcome"] == "succeeded"
    assert server.task(decision["params"]["task-id"])["result"]["resource"]["id"] == "made"
    assert server.log("made")[0]["caller"] == "local"

    decider.decide(decision, {"action": "awf.workflow.action/complete-workflow"})
    assert decider.status(id)["resource"]["outcome"] == "succeeded"


@pytest.fixture(scope="module")
def role(postgres: EmbeddedPostgres) -> str:
    """The name of a read-only role."""
    with psycopg.connect(postgres.conninfo, autocommit=True) as connection:
        connection.execute("create role test_reader login")
    return "test_reader"


@pytest.fixture
def url(database: str, role: str) -> str:
    """The connection string of the test's database for that role."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(f"grant usage on schema fencepost to {role}".encode())
        connection.execute(f"grant select on all tables in schema fencepost to {role}".encode())
    return make_conninfo(database, user=role)


@pytest.fixture
def reading(database: str, url: str) -> Iterator[Server]:
    """A server on which `run-sql` is enabled."""
    limits = Limits(body_bytes=20_000)
    settings = Settings(run_sql_url=url, run_sql_timeout_seconds=0.5, limits=limits)
    with running_server(database, settings=settings) as running:
        yield running


def rows(server: Server, *sql: Any) -> Any:
    return result_of(server, RUN_SQL, {"sql": sql[0] if len(sql) == 1 else list(sql)})["rows"]


def failed(server: Server, *sql: Any) -> tuple[str, str]:
    error = error_of(server, RUN_SQL, {"sql": sql[0] if len(sql) == 1 else list(sql)})
    return error["type"], error["message"]


def test_run_sql_is_off_by_default(server: Server) -> None:
    task = ran(server, RUN_SQL, {"sql": "select 1"})
    assert (task["outcome"], task["retryCount"], task["error"]["type"]) == ("failed", 1, "run-sql-off")
    assert "--run-sql-url" in task["error"]["message"]


def test_a_query_returns_its_rows(reading: Server) -> None:
    assert rows(reading, "select n, 'a' as letter from generate_series(1, 2) as n") == [
        {"n": 1, "letter": "a"},
        {"n": 2, "letter": "a"},
    ]
    assert rows(reading, "select 1 where false;  ") == []
    assert rows(reading, "values (1) -- and that is all") == [{"column1": 1}]


def test_a_query_can_read_the_tables_of_the_queue(reading: Server) -> None:
    reading.define()
    reading.create(id="mine")
    assert rows(reading, ["select id, status from fencepost.task_resources where id = ?", "mine"]) == [
        {"id": "mine", "status": "ready"}
    ]


def test_values_that_json_lacks_are_returned_as_text(reading: Server) -> None:
    (row,) = rows(
        reading,
        """select 1.50 as number, 'NaN'::float8 as nan, null as nothing, true as yes, '{"a": [1]}'::jsonb as document,
        array[1, 2] as several, date '2026-01-02' as day, timestamptz '2026-01-02 03:04:05+01' as moment,
        interval '1 day' as span, '\\x00ff'::bytea as bytes, '1 2'::text as words, 9007199254740993 as large""",
    )
    assert row == {
        "number": 1.5,
        "nan": "NaN",
        "nothing": None,
        "yes": True,
        "document": {"a": [1]},
        "several": [1, 2],
        "day": "2026-01-02",
        "moment": "2026-01-02T02:04:05+00:00",
        "span": "1 day",
        "bytes": "\\x00ff",
        "words": "1 2",
        "large": 9007199254740993,
    }


@pytest.mark.parametrize(
    ("sql", "given"),
    [
        (["select $1::text as a, $2::int as b", "x", 2], {"a": "x", "b": 2}),
        (["select ?::text as a, ?::int as b", "x", 2], {"a": "x", "b": 2}),
        (["select '?' as a, ? as b -- really?", 2], {"a": "?", "b": 2}),
        (["select '{\"k\": 1}'::jsonb ?? ? as a", "k"], {"a": True}),
        (["select '{\"k\": 1}'::jsonb ? $1 as a", "k"], {"a": True}),
        (["select '{\"k\": 1}'::jsonb ? 'k' as a"], {"a": True}),
        (["select $1::jsonb -> 'k' as a", {"k": [1]}], {"a": [1]}),
        (["select 2 = any(?) as a", [1, 2]], {"a": True}),
        (["select ?::text is null as a, ? as b", None, False], {"a": True, "b": False}),
        (["select ? as a", "'; drop table fencepost.live_tasks; --"], {"a": "'; drop table fencepost.live_tasks; --"}),
        (['select $body$ ? $body$ as a, ? as "b?"', 1], {"a": " ? ", "b?": 1}),
    ],
)
def test_arguments_are_bound_to_the_parameters_of_a_query(
    reading: Server, sql: list[Any], given: dict[str, Any]
) -> None:
    assert rows(reading, sql) == [given]


@pytest.mark.parametrize(
    "sql", [["select ?", 1, 2], ["select $2", 1], ["select ?, ?", 1], ["select 1", 1], "select $1"]
)
def test_a_wrong_number_of_arguments_is_refused(reading: Server, sql: Any) -> None:
    assert failed(reading, sql)[0] == "invalid-params"


@pytest.mark.parametrize("value", [r"""'{"a": "\u0000"}'::json""", r"""'{"a": "\ud800"}'::json""", "1e400::numeric"])
def test_a_value_that_cannot_be_stored_fails_the_task_at_once(reading: Server, value: str) -> None:
    type, message = failed(reading, f"select {value} as x")
    assert type == "invalid-params"
    assert message.startswith("the result cannot be stored: ")


def test_a_query_returns_up_to_a_thousand_rows_and_fails_with_more(reading: Server) -> None:
    assert len(rows(reading, "select n from generate_series(1, 1000) as n")) == 1000
    assert failed(reading, "select n from generate_series(1, 1001) as n") == (
        "too-many-rows",
        "the result has more than 1000 rows",
    )


@pytest.mark.parametrize("sql", ["select repeat('x', 20000)", "select repeat('x', 1000) from generate_series(1, 30)"])
def test_a_result_larger_than_a_request_body_fails(reading: Server, sql: str) -> None:
    assert failed(reading, sql) == ("too-many-rows", "the result has more than 20000 bytes")


@pytest.mark.parametrize(
    "sql",
    [
        "select pg_sleep(30)",
        "select set_config('statement_timeout', '0', true), pg_sleep(30)",
        "select set_config('statement_timeout', '0', true) from generate_series(1, 50) as n"
        " union all select pg_sleep(30)::text",
    ],
)
def test_a_query_that_runs_too_long_is_canceled(reading: Server, sql: str) -> None:
    assert failed(reading, sql) == ("sql-failed", "the query ran for more than 0.5 seconds")
    until(lambda: reading.query("select pid from pg_stat_activity where application_name = 'fencepost run-sql'") == [])


@pytest.mark.parametrize(
    "sql",
    [
        "delete from fencepost.live_tasks",
        "with gone as (delete from fencepost.live_tasks returning id) select * from gone",
        "select 1) as q; delete from fencepost.live_tasks; select (1",
        "select 1; commit; delete from fencepost.live_tasks",
        "commit",
        "select 1) as q limit 1) as r; commit; --",
        "select nextval('fencepost.task_seq')",
        "select set_config('transaction_read_only', 'off', true), pg_advisory_lock(1), lo_create(0)",
        "select pg_read_file('/etc/hostname')",
        "select set_config('role', 'postgres', true)",
        "create table fencepost.mine ()",
        "copy (select 1) to program 'true'",
        "select nothing",
        "",
        "select 'unfinished",
    ],
)
def test_a_query_that_would_change_something_fails_with_the_reason(reading: Server, sql: str) -> None:
    reading.define()
    reading.create(id="mine")
    if sql:
        type, message = failed(reading, sql)
        assert type == "sql-failed"
        assert len(message) > 10
    else:
        assert reading.refused("awf.task/create-and-execute", {"definition": RUN_SQL, "params": {"sql": sql}})[0] == 400
    assert reading.task("mine")["status"] == "ready"
    assert rows(reading, "select 1 as one") == [{"one": 1}]


@pytest.mark.parametrize(
    "sql",
    [
        "select 1) as q) as r union all select repeat('x', 10_000_000) --",
        "select 1) as q limit 1) as r, lateral (select (select repeat('x', 10_000_000)) as row",
        "select 1 as a, (select 1",
        "select 1) /*",
        "select 1; select 2",
        "select 1;;",
        "select '",
        "select 1 /* and no end",
        "select $$ and no end",
        "select 1 into other",
        "explain select 1",
        "lock table fencepost.live_tasks",
        "set statement_timeout = 0",
        "create temp table mine (a int)",
        "copy fencepost.live_tasks to stdout",
        "do $$ begin perform 1; end $$",
        "listen fencepost",
    ],
)
def test_a_text_that_is_not_a_single_query_fails(reading: Server, sql: str) -> None:
    assert failed(reading, sql)[0] == "sql-failed"
    assert rows(reading, "select 1 as one") == [{"one": 1}]


@pytest.mark.parametrize(
    ("sql", "type", "message"),
    [
        ("   ", "invalid-params", "the query is empty"),
        (";", "invalid-params", "the query is empty"),
        ("-- nothing\n/* at all */", "invalid-params", "the query is empty"),
        (["select ?::text", [1, "a"]], "sql-failed", "mixed types"),
        (["select ?::text", [1, [2]]], "sql-failed", "malformed array"),
        (["select $1, $99999999999999999999", 1], "sql-failed", "too large"),
        (["select $70000", 1], "invalid-params", "70000 parameters"),
        ("select 1/0", "sql-failed", "division by zero"),
    ],
)
def test_an_invalid_query_fails_at_the_first_attempt_with_the_reason(
    reading: Server, sql: Any, type: str, message: str
) -> None:
    task = ran(reading, RUN_SQL, {"sql": sql})
    assert (task["outcome"], task["retryCount"], task["error"]["type"]) == ("failed", 1, type)
    assert message in task["error"]["message"]


def test_objects_in_an_array_argument_are_bound_as_json(reading: Server) -> None:
    assert rows(reading, ["select (?::jsonb[])[2] as a", [{"a": 1}, {"a": "x"}]]) == [{"a": {"a": "x"}}]


def test_two_columns_with_one_name_are_refused(reading: Server) -> None:
    type, message = failed(reading, "select 1 as a, 2 as b, 3 as a")
    assert (type, message) == ("sql-failed", "2 columns are named 'a': give each a name of its own by `as`")
    assert failed(reading, "select 1, 2")[1].startswith("2 columns are named '?column?'")


def test_a_long_query_is_read_quickly_and_a_longer_one_is_refused(reading: Server) -> None:
    assert failed(reading, "select " + "/*" * 9000)[0] == "sql-failed"
    params = {"definition": RUN_SQL, "params": {"sql": "select 1".ljust(100_001)}}
    with running_server(reading.conninfo) as other:
        assert other.refused("awf.task/create-and-execute", params) == (400, "invalid-params", "$.params.params.sql")


LOCKS = [
    "select pg_advisory_lock(hashtextextended('definition demo/resize', 0)), pg_sleep(20)",
    "select U&\"pg\\005fadvisory_lock\"(hashtextextended('definition demo/resize', 0)), pg_sleep(20)",
    "select s.word, pg_sleep(20) from ts_stat('select (''held'' || pg_' || 'advisory_lock(hashtextextended("
    "''definition demo/resize'', 0)))::tsvector') as s",
]


@pytest.mark.parametrize("sql", LOCKS, ids=["by name", "by another spelling", "by way of a text"])
def test_a_query_cannot_hold_the_locks_of_the_queue(database: str, url: str, sql: str) -> None:
    with running_server(database, settings=Settings(run_sql_url=url, run_sql_timeout_seconds=20)) as server:
        server.define(concurrencyLimit=1)
        server.create()
        task = server.create(RUN_SQL, params={"sql": sql})["id"]
        # Both would wait for the lock of the definition if the query held it.
        assert len(server.poll()) == 1
        server.define(concurrencyLimit=2)
        error = ended(server, task)["error"]
        assert error["type"] == "sql-failed"
        assert error["message"].startswith("a query may not take locks")
        assert server.query("select from pg_locks where locktype = 'advisory' and pid <> pg_backend_pid()") == []


def test_run_sql_refuses_a_superuser(database: str) -> None:
    with running_server(database, settings=Settings(run_sql_url=database)) as server:
        type, message = failed(server, "select 1")
        assert type == "run-sql-unsafe"
        assert "superuser" in message


@pytest.mark.parametrize(
    "right", ["update on fencepost.live_tasks", "insert (id) on fencepost.task_names", "delete on fencepost.done_tasks"]
)
def test_run_sql_refuses_a_role_that_may_change_the_tables_of_the_queue(reading: Server, role: str, right: str) -> None:
    assert rows(reading, "select 1 as one")
    reading.query(f"grant {right} to {role}")
    type, message = failed(reading, "select 1 as one")
    assert type == "run-sql-unsafe"
    assert right.split()[-1] in message


def test_run_sql_refuses_a_role_that_may_switch_to_a_writing_role(
    reading: Server, role: str, postgres: EmbeddedPostgres
) -> None:
    with psycopg.connect(postgres.conninfo, autocommit=True) as connection:
        connection.execute(f"create role writer; grant writer to {role} with inherit false".encode())
        try:
            reading.query("grant insert on fencepost.live_tasks to writer")
            assert failed(reading, "select 1")[0] == "run-sql-unsafe"
        finally:
            connection.execute(f"revoke writer from {role}".encode())


def test_an_unreachable_database_fails_a_sql_task(database: str) -> None:
    settings = Settings(run_sql_url="postgresql://127.0.0.1:1/nothing")
    with running_server(database, settings=settings) as server:
        type, message = failed(server, "select 1")
        assert type == "unavailable"
        assert "--run-sql-url" in message


@pytest.mark.parametrize("definition", [RUN_RPC, RUN_SQL])
def test_a_built_in_definition_cannot_be_put_or_deleted(server: Server, definition: str) -> None:
    assert server.refused("awf.definition/put", {"kind": "task", "name": definition})[0] == 400
    assert server.refused("awf.definition/delete", {"name": definition})[0] == 400


def test_an_invalid_run_sql_url_refuses_the_start_and_is_not_printed() -> None:
    with pytest.raises(StartRefused, match="--run-sql-url is not the address of a Postgres") as refused:
        Reader("somewhere a-secret", seconds=1, most_bytes=1)
    assert "a-secret" not in str(refused.value)


def test_a_definition_put_by_a_built_in_call_is_listed(server: Server) -> None:
    call = {"method": "awf.definition/put", "params": {"kind": "task", "name": "demo/by-call"}}
    result_of(server, RUN_RPC, call)
    assert [one["name"] for one in server.rpc("awf.definition/list")["resources"]] == ["demo/by-call"]
