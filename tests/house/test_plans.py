"""Hot statements find their rows by an index condition, also under a generic plan from a time of empty tables.

Sessions of the server have sequential scans off, so a bad plan reads a whole index instead, which costs even more.
Therefore the tests do not check the type of a scan but its index condition.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal, get_args

import orjson
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from fencepost.domain.ids import new_prefixes
from fencepost.domain.listing import Direction, Sort
from fencepost.store.connection import Connection, connect, numbered_params
from fencepost.store.embedded import EmbeddedPostgres
from fencepost.store.statements import ordered
from tests.house.hot_statements import HOT, ROWS
from tests.house.sources import QUERIES

_GROWING = {
    *(
        "task_names",
        "live_tasks",
        "poll_requests",
        "done_tasks_default",
        "openings",
        "task_log_default",
        "live_workflows",
        "done_workflows_default",
    ),
    *("workflow_names", "workflow_events", "activities", "workflow_signals", "events", "trigger_starts"),
    *("schedules", "schedule_starts", "devices", "workflow_subjects", "machine_reports", "machine_data"),
    *("machine_deletions", "hardware", "hardware_addresses", "people_tasks"),
}
_OUR_FUNCTION = re.compile(r"fencepost\.([a-z_]+)\(")
_LOOKUP = re.compile(r" (=|<=|<|= ANY) ")

Planned = Literal["custom", "generic"]


@pytest.fixture(scope="module", params=["new", "idle", "busy"])
def connection(
    request: pytest.FixtureRequest, postgres: EmbeddedPostgres, migrated_template: str
) -> Iterator[Connection]:
    """A connection of the store to a new database, an idle one with a history, or one in use."""
    name = f"plans_{request.param}"
    with psycopg.connect(postgres.conninfo, autocommit=True) as admin:
        admin.execute(f"create database {name} template {migrated_template}".encode())
    with connect(make_conninfo(postgres.conninfo, dbname=name)) as connection:
        if request.param != "new":
            connection.execute(ROWS)
            if request.param == "idle":
                connection.execute("delete from fencepost.live_tasks")
            connection.execute("vacuum analyze")
        yield connection


@pytest.mark.parametrize("planned", ["custom", "generic"])
@pytest.mark.parametrize("name", HOT)
def test_a_hot_statement_finds_its_rows_by_an_index_condition(
    name: str, planned: Planned, connection: Connection
) -> None:
    text = (QUERIES / f"{name}.sql").read_text("utf-8")
    assert list(aimless_scans(plan_of(connection, text, HOT[name], planned))) == []


@pytest.mark.parametrize("name", [name for name in HOT if name.startswith("tasks/")])
def test_postgres_inlines_the_functions_in_statements_about_tasks(name: str, connection: Connection) -> None:
    text = (QUERIES / f"{name}.sql").read_text("utf-8")
    called = _OUR_FUNCTION.findall(orjson.dumps(plan_of(connection, text, HOT[name], "generic")).decode())
    assert set(called) <= {"limit_key"}, "each call costs a task some microseconds"


@pytest.mark.parametrize("sort", get_args(Sort))
def test_a_list_of_ids_finds_its_rows_by_an_index_condition(sort: Sort, connection: Connection) -> None:
    params = {"ids": ["task-1", f"{new_prefixes(1)[0]}-8000-000000000bb8"], "seqs": [3000], "size": 100}
    for text in (ordered("tasks/list", sort, "desc"), (QUERIES / "tasks/count.sql").read_text("utf-8")):
        assert list(aimless_scans(plan_of(connection, text, params, "custom"))) == []


@pytest.mark.parametrize("noun", ["tasks", "workflows"])
@pytest.mark.parametrize("direction", get_args(Direction))
def test_a_list_by_the_last_change_scans_the_index_by_done_at(
    noun: str, direction: Direction, connection: Connection
) -> None:
    plan = plan_of(connection, ordered(f"{noun}/list", "updated_at", direction), {"size": 100}, "custom")
    (scan,) = (node for node in nodes(plan) if node.get("Relation Name") == f"done_{noun}_default")
    keys = connection.execute("select pg_get_indexdef(%s::regclass)", (f"fencepost.{scan['Index Name']}",)).fetchone()
    assert "done_at" in keys[0].partition(" USING ")[2]  # type: ignore[index]


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the nodes of a plan."""
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)


@pytest.mark.parametrize("noun", ["tasks", "workflows"])
def test_a_part_of_a_search_finds_its_rows_by_sequence_number(noun: str, connection: Connection) -> None:
    params = {"pattern": "%x%", "low": 100, "high": 200, "size": 100}
    for text in (ordered(f"{noun}/list", "created_at", "desc"), (QUERIES / f"{noun}/count.sql").read_text("utf-8")):
        plan = plan_of(connection, text, params, "custom")
        assert list(aimless_scans(plan)) == []
        assert "fencepost.says" not in orjson.dumps(plan).decode(), "Postgres must inline the function"


def plan_of(connection: Connection, text: str, params: dict[str, Any], planned: Planned) -> dict[str, Any]:
    """Return the custom plan for these params, or the generic plan."""
    numbered, names = numbered_params(text)
    connection.execute(f"set plan_cache_mode = force_{planned}_plan".encode())
    connection.execute(b"prepare planned as " + numbered)
    values = sql.SQL(", ").join(sql.Literal(_text(params.get(param))) for param in names)
    execute = sql.SQL("({})").format(values) if names else sql.SQL("")
    (plan,) = connection.execute(sql.SQL("explain (verbose, format json) execute planned") + execute).fetchone() or ()
    connection.execute("deallocate planned")
    return orjson.loads(plan)[0]["Plan"]  # type: ignore[no-any-return]


def aimless_scans(plan: dict[str, Any], above: str = "") -> Iterator[str]:
    """Yield the scans of growing tables that have no index condition."""
    if plan.get("Relation Name") in _GROWING and "Scan" in plan["Node Type"]:
        # The condition of a bitmap scan is in the index scan below it. The first row of an index needs no condition.
        steps = (plan, *plan.get("Plans", ()))
        led = any("TID Cond" in step or _LOOKUP.search(step.get("Index Cond", "")) for step in steps)
        if not led and not (above == "Limit" and "Filter" not in plan):
            yield f"{plan['Node Type']} of {plan['Relation Name']} by {plan.get('Index Name')}"
    for part in plan.get("Plans", ()):
        yield from aimless_scans(part, plan["Node Type"])


def _text(value: Any) -> Any:
    return orjson.dumps(value).decode() if isinstance(value, list) and isinstance(value[0], dict) else value
