"""Calls in one batch: they are applied in order, and a bad call does not affect its neighbours."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from fencepost.telemetry import Event, listeners
from tests.fixtures.locks import locked_rows, until_stuck
from tests.fixtures.servers import Server
from tests.fixtures.two_servers import TwoServers, essence, history

pytestmark = pytest.mark.shows("guarantees/bad-call-alone")

CREATE = "awf.task/create-and-execute"


@pytest.fixture(autouse=True)
def definition(server: Server) -> None:
    server.define(retryDelay=60_000)


@pytest.fixture
def bugs() -> Iterator[list[str]]:
    """Collect the methods that the server reported as bugs."""
    found: list[str] = []

    def listen(event: Event, fields: dict[str, Any]) -> None:
        if event is Event.CALL_FAILED:
            found.append(fields["method"])

    listeners.append(listen)
    yield found
    listeners.remove(listen)


def array(server: Server, *calls: tuple[str, dict[str, Any]]) -> list[str]:
    """Send calls in one array; return the task status or the error type of each."""
    status, answers = server.post([{"method": method, "params": params} for method, params in calls])
    assert status == 200
    return [
        answer["error"]["type"] if "error" in answer else answer["result"].get("resource", {}).get("status", "ok")
        for answer in answers
    ]


# Order


def test_calls_about_one_task_are_applied_in_the_order_of_the_array(server: Server) -> None:
    lease = server.started()
    fail, success = ("awf.task/fail", lease), ("awf.task/success", lease)
    beat = ("awf.task/notify", {**lease, "notification": "heartbeat"})
    cancel, retry = ("awf.task/cancel", {"id": lease["id"]}), ("awf.task/retry", {"id": lease["id"]})

    assert array(server, beat, beat, fail, fail, success, success, beat, cancel, cancel, retry, retry, cancel) == [
        *("ok", "ok", "waiting", "waiting", "exec-id-mismatch", "exec-id-mismatch", "exec-id-mismatch"),
        *("done", "task-has-been-done", "ready", "task-not-done", "done"),
    ]


@pytest.mark.parametrize("schema", [{}, {"result": {"required": ["rows"]}}], ids=["no schema", "a schema"])
def test_the_first_of_two_finishes_in_one_array_wins(server: Server, schema: dict[str, Any]) -> None:
    server.define("demo/import", **schema)
    for _ in range(20):
        lease = server.started("demo/import")
        finishes = [("awf.task/success", {**lease, "result": {"rows": rows}}) for rows in (1, 2, 1)]
        assert array(server, *finishes) == ["done", "task-has-been-done", "done"]
        assert server.task(lease["id"])["result"] == {"rows": 1}


def test_the_first_of_two_creates_with_one_id_in_one_array_wins(server: Server) -> None:
    creates = [(CREATE, {"definition": "demo/resize", "id": "mine", "params": {"width": width}}) for width in (1, 2, 1)]

    assert array(server, *creates) == ["ready", "already-exists", "ready"]


def test_the_first_create_wins_even_when_its_definition_is_not_cached(server: Server) -> None:
    server.define("demo/mail")
    server.create("demo/resize")
    creates = [(CREATE, {"definition": name, "id": "mine"}) for name in ("demo/mail", "demo/resize")]

    assert array(server, *creates) == ["ready", "already-exists"]
    assert server.task("mine")["definition"] == "demo/mail"


# Equal content


@pytest.mark.parametrize(
    ("first", "second"),
    [({"a": 1}, {"a": True}), ({"a": [0]}, {"a": [False]}), ({"a": ""}, {"a": None}), ({}, None), ({"a": None}, {})],
)
def test_contents_that_differ_only_in_json_types_are_different(
    server: Server, first: dict[str, Any], second: dict[str, Any] | None
) -> None:
    server.create(id="mine", params=first)
    with_second = {"definition": "demo/resize", "id": "mine", "params": second}
    assert essence(server, CREATE, with_second) == (409, "already-exists")
    server.rpc("awf.task/cancel", {"id": "mine"})

    lease = server.started()
    assert array(server, ("awf.task/success", {**lease, "result": first})) == ["done"]
    assert array(server, ("awf.task/success", {**lease, "result": second})) == ["task-has-been-done"]


def test_content_is_compared_as_json_values_and_not_as_text(server: Server) -> None:
    server.post(
        b'{"method": "awf.task/create-and-execute", "params": {"definition": "demo/resize", "id": "mine",'
        b' "params": {"a": 1, "b": [2.50, "\\u00e9"]}}}'
    )
    status, _ = server.post(
        b'{"method": "awf.task/create-and-execute", "params": {"id": "mine", "definition":'
        b'"demo/resize","params":{"b":[25e-1,"\xc3\xa9"],"a":1}}}'
    )

    assert status == 200


# Neighbours


@pytest.mark.parametrize(("code", "told"), [("P0001", "internal-error"), ("55P03", "unavailable")])
@pytest.mark.parametrize(
    ("method", "table", "event"),
    [
        ("awf.task/start", "task_log", "insert"),
        ("awf.task/notify", "task_log", "insert"),
        ("awf.task/success", "done_tasks", "insert"),
        ("awf.task/fail", "task_log", "insert"),
        ("awf.task/release", "task_log", "insert"),
        ("awf.task/cancel", "done_tasks", "insert"),
    ],
)
def test_a_call_that_the_database_refuses_fails_alone(
    server: Server, bugs: list[str], code: str, told: str, method: str, table: str, event: str
) -> None:
    for _ in range(30):
        server.create()
    leases = [
        {"id": task["id"], "execId": task["execId"]}
        for task in server.poll(maxBatchSize=30, start=method != "awf.task/start")
    ]
    curse(server, leases[7]["id"], table, event, code)
    about = [{"id": lease["id"]} if method == "awf.task/cancel" else lease for lease in leases]
    extra = {"notification": "heartbeat"} if method == "awf.task/notify" else {}

    said = array(server, *((method, {**params, **extra}) for params in about))

    assert said.pop(7) == told
    assert len(set(said)) == 1
    assert said[0] != told
    assert bugs == ([method] if told == "internal-error" else [])
    statuses = server.query("select status, count(*) from fencepost.task_resources group by 1 order by 2 desc")
    assert {count for _, count in statuses} in ({29, 1}, {30})


def test_a_create_that_the_database_refuses_fails_alone(server: Server, bugs: list[str]) -> None:
    server.query("alter table fencepost.live_tasks add check (label <> 'cursed')")
    creates = [(CREATE, {"definition": "demo/resize", "label": label}) for label in ("a", "b", "cursed", "c", "d")]

    assert array(server, *creates) == ["ready", "ready", "internal-error", "ready", "ready"]
    assert bugs == [CREATE]
    assert len(server.poll(maxBatchSize=10)) == 4


def curse(server: Server, id: str, table: str, event: str, code: str) -> None:
    """Let the database refuse each `event` (`insert`, `update`, `delete`) in a table for this task."""
    ((seq,),) = server.query(f"select seq from fencepost.task_resources where id = '{id}'")
    server.query(
        f"create function curse() returns trigger language plpgsql as $$ begin if new.seq = {seq} then "
        f"raise exception 'cursed' using errcode = '{code}'; end if; return null; end $$"
    )
    server.query(f"create trigger curse after {event} on fencepost.{table} for each row execute function curse()")


def test_batches_that_lock_tasks_in_opposite_orders_are_both_answered(
    servers: TwoServers, pool: ThreadPoolExecutor
) -> None:
    leases = [servers.one.started(id=id) for id in ("d", "c", "b", "a")]
    calls = []
    with locked_rows(servers.conninfo, "live_tasks"):
        for server, verb in zip(servers, ("success", "fail"), strict=True):
            body = [{"method": f"awf.task/{verb}", "params": lease} for lease in leases]
            calls.append(pool.submit(server.post, body))
            until_stuck(servers.conninfo, *calls)
    answers = [call.result(10)[1] for call in calls]
    for lease, *said in zip(leases, *answers, strict=True):
        assert ["error" in answer for answer in said] in ([True, False], [False, True])
        assert len(history(servers.one, lease["id"])) == 3
