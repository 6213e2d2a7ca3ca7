"""Errors in a batch: the other calls of the batch are applied once and answered."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from fencepost.telemetry import Event, listeners
from tests.fixtures.locks import stopped_in, until_stuck
from tests.fixtures.servers import Server
from tests.fixtures.two_servers import TwoServers

pytestmark = pytest.mark.shows("guarantees/bad-call-alone")

SIZE = 400
SUCCESS = "awf.task/success"
# Each fault with the error type of its answer; the database refuses the cursed calls.
FAULTS = {
    "cursed": "internal-error",
    "stale": "exec-id-mismatch",
    "unknown": "task-not-found",
    "not an object": "invalid-params",
    "misspelt": "invalid-params",
    "unfit": "invalid-params",
    "not begun": "task-not-in-progress",
}


@pytest.fixture
def bugs() -> Iterator[list[Event]]:
    """Collect the calls that the server reported as bugs: here, those that the database refuses."""
    found: list[Event] = []

    def listen(event: Event, fields: dict[str, Any]) -> None:
        if event is Event.CALL_FAILED:
            found.append(event)

    listeners.append(listen)
    yield found
    listeners.remove(listen)


@pytest.mark.parametrize("seed", range(3))
def test_an_error_in_a_batch_is_answered_to_its_call_only(
    servers: TwoServers, pool: ThreadPoolExecutor, bugs: list[Event], seed: int
) -> None:
    chance = random.Random(seed)
    servers.one.define(result={"required": ["rows"], "properties": {"rows": {"type": "integer"}}})
    curse(servers.one)
    leases = started(servers.one, SIZE)
    faults = {place: chance.choice(list(FAULTS)) for place in chance.sample(range(SIZE), 40)}
    give_back(servers.one, [leases[place] for place, fault in faults.items() if fault == "not begun"])
    calls: list[dict[str, Any]] = [
        {"method": SUCCESS, "params": said(lease, faults.get(place))} for place, lease in enumerate(leases)
    ]
    again = [calls[place] for place in chance.sample([place for place in range(SIZE) if place not in faults], 20)]

    halves = [pool.submit(servers[half].post, calls[half::2] + again) for half in (0, 1)]
    answers: list[Any] = [None] * SIZE
    for half, sent in enumerate(halves):
        status, answered = sent.result(60)
        assert status == 200
        assert all("result" in answer for answer in answered[len(calls[half::2]) :]), "a repeat is answered alike"
        answers[half::2] = answered[: len(calls[half::2])]

    assert {place: kind(answer) for place, answer in enumerate(answers) if kind(answer) != "done"} == {
        place: FAULTS[fault] for place, fault in faults.items()
    }
    assert len(bugs) == list(faults.values()).count("cursed")
    done = "select count(*), count(distinct id) from fencepost.task_resources where outcome = 'succeeded'"
    assert servers.one.query(done) == [(SIZE - len(faults), SIZE - len(faults))]
    logged = f"select count(*) from fencepost.task_entries where action = '{SUCCESS}'"
    assert servers.one.query(logged) == [(SIZE - len(faults),)]


@pytest.mark.parametrize("table", ["done_tasks", "live_tasks"])
def test_every_call_of_a_batch_is_answered_when_its_backend_dies(
    server: Server, pool: ThreadPoolExecutor, table: str
) -> None:
    server.define()
    leases = started(server, 50)
    calls = [{"method": SUCCESS, "params": {**lease, "include-resource?": False}} for lease in leases]
    event = "insert" if table == "done_tasks" else "delete"

    with stopped_in(server.conninfo, table, event):
        sent = pool.submit(server.post, calls)
        until_stuck(server.conninfo, sent)
        with psycopg.connect(server.conninfo, autocommit=True) as admin:
            killed = admin.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where datname = current_database() and wait_event_type = 'Lock'"
            ).fetchall()
        until_stuck(server.conninfo, sent)
    status, answers = sent.result(30)

    assert killed == [(True,)]
    assert (status, answers) == (200, [{"result": {"id": lease["id"]}} for lease in leases])
    assert server.query("select outcome, count(*) from fencepost.done_tasks group by 1") == [("succeeded", 50)]


def started(server: Server, count: int) -> list[dict[str, str]]:
    """Create and start tasks; return the ids and execIds of their executions."""
    create = {"method": "awf.task/create-and-execute", "params": {"definition": "demo/resize"}}
    server.post([create] * count)
    tasks = server.poll(maxBatchSize=count, start=True)
    assert len(tasks) == count
    return [{"id": task["id"], "execId": task["execId"]} for task in tasks]


def said(lease: dict[str, str], fault: str | None) -> dict[str, Any]:
    """Return the params of a success that has this fault."""
    match fault:
        case "stale":
            return {**lease, "execId": str(uuid.uuid4()), "result": {"rows": 1}}
        case "unknown":
            return {**lease, "id": str(uuid.uuid4()), "result": {"rows": 1}}
        case "not an object":
            return {**lease, "result": 3}
        case "misspelt":
            return {**lease, "reslt": {"rows": 1}}
        case "unfit":
            return {**lease, "result": {"rows": "many"}}
        case "cursed":
            return {**lease, "result": {"rows": 666}}
        case _:
            return {**lease, "result": {"rows": 1}}


def give_back(server: Server, leases: list[dict[str, str]]) -> None:
    """Release and claim these tasks again, and store their new fencing tokens in `leases`."""
    if leases:
        server.post([{"method": "awf.task/release", "params": lease} for lease in leases])
        fences = {task["id"]: task["execId"] for task in server.poll(maxBatchSize=len(leases))}
        for lease in leases:
            lease["execId"] = fences[lease["id"]]


def kind(answer: Any) -> str:
    """Return the error type of an answer, or `done`."""
    return str(answer["error"]["type"]) if "error" in answer else str(answer["result"]["resource"]["status"])


def curse(server: Server) -> None:
    """Let the database refuse the results of 666 rows."""
    server.query(
        "create function curse() returns trigger language plpgsql as $$ begin "
        "if (new.result ->> 'rows')::integer = 666 then raise exception 'cursed'; end if; return null; end $$"
    )
    server.query("create trigger curse after insert on fencepost.done_tasks for each row execute function curse()")
