"""`awf.task/clean-up-activities` deletes what its rules say, all of it and nothing else."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from fencepost.clock import FrozenClock
from fencepost.settings import Settings
from tests.fixtures.builtin import CLEAN_UP, ended, ran
from tests.fixtures.locks import is_blocked, stopped_in, until_stuck
from tests.fixtures.processes import Client, serving
from tests.fixtures.servers import Server, running_server
from tests.fixtures.waiting import until
from tests.fixtures.workflows import COMPLETE, Decider

pytestmark = pytest.mark.shows("guarantees/clean-up")

HOUR = timedelta(hours=1)
DECISIONS = "awf.workflow/decision-task"


@pytest.fixture
def server(frozen_server: Server) -> Server:
    frozen_server.define()
    frozen_server.define("demo/other")
    return frozen_server


@pytest.fixture
def decider(server: Server) -> Decider:
    return Decider(server, "demo/flow")


def rule(unit: str = "hour", value: float = 1, **members: Any) -> dict[str, Any]:
    return {"retentionPolicy": {"unit": unit, "value": value}, **members}


def cleaned(server: Server, *rules: dict[str, Any]) -> tuple[int, int, int]:
    """Run a clean-up and return the numbers of deleted tasks, log entries and workflows."""
    task = ran(server, CLEAN_UP, {"rules": list(rules)})
    assert task["outcome"] == "succeeded", task
    counts = task["result"]["deletedRowsCount"]
    return counts["AidboxTask"], counts["AidboxTaskLog"], counts["AidboxWorkflow"]


def done(server: Server, definition: str = "demo/resize", **members: Any) -> str:
    lease = server.started(definition, **members)
    server.rpc("awf.task/success", {**lease, "result": {}})
    return lease["id"]


def finished(server: Server, decider: Decider) -> tuple[str, str]:
    """Run a workflow with one activity to its end and return the ids of both."""
    id = decider.create()["id"]
    decider.decide(decider.decision(), decider.task("first"))
    (task,) = server.poll(start=True)
    server.rpc("awf.task/success", {"id": task["id"], "execId": task["execId"], "result": {}})
    decider.decide(decider.decision(), COMPLETE)
    return id, task["id"]


def is_there(server: Server, id: str) -> bool:
    return bool(server.query(f"select id from fencepost.task_resources where id = '{id}'"))


def is_stopped(conninfo: str) -> bool:
    """Return whether a batch of a clean-up waits for a lock."""
    return is_blocked(conninfo, "cleaning/delete_tasks")


def names(server: Server) -> set[str]:
    return {name for (name,) in server.query("select id from fencepost.task_names where id not like ':%'")}


def test_tasks_older_than_the_policy_are_deleted_with_their_log_and_id(server: Server, clock: FrozenClock) -> None:
    old = done(server, id="old")
    shown = len(server.log(old))
    server.create(id="canceled")
    lease = server.poll(start=True)[0]
    server.rpc("awf.task/cancel", {"id": "canceled"})
    server.rpc("awf.task/notify", {"id": "canceled", "execId": lease["execId"], "notification": "heartbeat"})
    shown += len(server.log("canceled"))
    live = server.create(id="live")["id"]
    clock.advance(HOUR)
    young = done(server, "demo/other", id="young")
    clock.advance(timedelta(seconds=1))

    assert cleaned(server, rule()) == (2, shown, 0)

    assert server.refused("awf.task/status", {"id": old})[:2] == (404, "task-not-found")
    assert server.task(young)["status"] == "done"
    assert server.task(live)["status"] == "ready"
    assert names(server) == {"live", "young"}
    assert server.create(id="old")["status"] == "ready"


def test_a_repeated_clean_up_deletes_nothing_more(server: Server, clock: FrozenClock) -> None:
    done(server)
    clock.advance(2 * HOUR)
    assert cleaned(server, rule()) == (1, 3, 0)
    assert cleaned(server, rule()) == (0, 0, 0)


@pytest.mark.parametrize(
    ("members", "left"),
    [
        ({}, set()),
        ({"includeDefinitions": ["demo/resize"]}, {"other"}),
        ({"includeDefinitions": ["demo/resize", "demo/other"]}, set()),
        ({"excludeDefinitions": ["demo/resize"]}, {"resize"}),
        ({"includeDefinitions": ["demo/nothing"]}, {"resize", "other"}),
    ],
)
def test_a_clean_up_rule_applies_to_the_definitions_that_it_names(
    server: Server, clock: FrozenClock, members: dict[str, Any], left: set[str]
) -> None:
    done(server, id="resize")
    done(server, "demo/other", id="other")
    clock.advance(2 * HOUR)
    cleaned(server, rule(**members))
    assert names(server) == left


def test_each_clean_up_rule_has_its_own_age(server: Server, clock: FrozenClock) -> None:
    done(server, id="resize")
    done(server, "demo/other", id="other")
    clock.advance(2 * HOUR)
    rules = [rule("day", 1, includeDefinitions=["demo/resize"]), rule("minute", 90, excludeDefinitions=["demo/resize"])]
    assert cleaned(server, *rules)[0] == 1
    assert names(server) == {"resize"}


@pytest.mark.parametrize(
    ("unit", "age"),
    [
        ("minute", timedelta(minutes=3)),
        ("hour", timedelta(hours=3)),
        ("day", timedelta(days=3)),
        ("week", timedelta(days=21)),
        ("month", timedelta(days=90)),
        ("year", timedelta(days=1096)),
    ],
)
def test_the_age_of_a_clean_up_rule_has_a_unit(server: Server, clock: FrozenClock, unit: str, age: timedelta) -> None:
    done(server)
    clock.advance(age - timedelta(seconds=1))
    assert cleaned(server, rule(unit, 3))[0] == 0
    clock.advance(timedelta(seconds=2))
    # The only old task left is the clean-up task before.
    assert cleaned(server, rule(unit, 3))[0] == 1


@pytest.mark.parametrize("unit", ["minute", "hour", "day", "week", "month", "year"])
def test_the_longest_retention_policy_is_accepted(server: Server, unit: str) -> None:
    done(server)
    assert cleaned(server, rule(unit, 1_000_000)) == (0, 0, 0)


@pytest.mark.parametrize("value", ["6.0", "6e0", "0.6e1"])
def test_a_policy_accepts_every_json_form_of_an_integer(server: Server, clock: FrozenClock, value: str) -> None:
    done(server)
    params = b'{"rules": [{"retentionPolicy": {"unit": "hour", "value": %b}}]}' % value.encode()
    body = b'{"method": "awf.task/create-and-execute", "params": {"definition": "%b", "params": %b}}'
    for hours, deleted in ((5, 0), (2, 1)):
        clock.advance(hours * HOUR)
        id = server.post(body % (CLEAN_UP.encode(), params))[1]["result"]["resource"]["id"]
        task = ended(server, id)
        assert (task["outcome"], task["retryCount"]) == ("succeeded", 1)
        assert task["result"]["deletedRowsCount"]["AidboxTask"] == deleted


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"rules": []},
        {"rules": [rule(value=1.5)]},
        {"rules": [rule(value=1e30)]},
        {"rules": [rule(value=True)]},
        {"rules": [{}]},
        {"rules": [rule("fortnight")]},
        {"rules": [rule(value=-1)]},
        {"rules": [rule(value=1_000_001)]},
        {"rules": [rule(includeDefinitions=["a/b"], excludeDefinitions=["c/d"])]},
        {"rules": [rule(include=["a/b"])]},
    ],
)
def test_invalid_clean_up_rules_create_no_task(server: Server, params: dict[str, Any]) -> None:
    call = {"definition": CLEAN_UP, "params": params}
    assert server.refused("awf.task/create-and-execute", call)[:2] == (400, "invalid-params")


def test_deleting_a_workflow_deletes_its_activities_and_decisions(
    server: Server, decider: Decider, clock: FrozenClock
) -> None:
    finished(server, decider)
    tasks = server.query("select id from fencepost.done_tasks")
    shown = sum(len(server.log(id)) for (id,) in tasks)
    clock.advance(2 * HOUR)

    # The rule names only the workflow; its tasks have other definitions.
    assert cleaned(server, rule(includeDefinitions=["demo/flow"])) == (3, shown, 1)

    assert len(tasks) == 3
    assert_nothing_is_left(server)


def assert_nothing_is_left(server: Server) -> None:
    """Check that only the clean-up tasks are left."""
    for table in ("workflow_names", "activities", "workflow_signals", "done_workflows", "live_workflows"):
        assert server.query(f"select * from fencepost.{table}") == [], table
    assert server.query(f"select definition from fencepost.done_tasks where definition <> '{CLEAN_UP}'") == []
    logged = (
        "select g.seq from fencepost.task_log as g where g.seq not in (select d.seq from fencepost.done_tasks as d)"
    )
    assert server.query(logged) == []


def test_child_workflows_are_deleted_with_their_parent_and_not_before(
    server: Server, decider: Decider, clock: FrozenClock
) -> None:
    children = Decider(server, "demo/child")
    decider.create(id="parent")
    server.rpc("awf.workflow/signal", {"id": "parent", "name": "go", "signal-id": "once"})
    decider.decide(decider.decision(), decider.child("one", "demo/child"), decider.child("two", "demo/child"))
    for decision in children.poll(maxBatchSize=2):
        children.decide(decision, children.task("deep"))
    for task in server.poll(maxBatchSize=2, start=True):
        server.rpc("awf.task/success", {"id": task["id"], "execId": task["execId"], "result": {}})
    for decision in children.poll(maxBatchSize=2):
        children.decide(decision, COMPLETE)
    clock.advance(2 * HOUR)

    # The children have ended, but they are kept with their tasks while the parent is live.
    assert cleaned(server, rule(excludeDefinitions=["demo/resize", DECISIONS])) == (0, 0, 0)
    assert len(decider.status("parent")["activities"]) == 2

    server.rpc("awf.workflow/cancel", {"id": "parent"})
    clock.advance(2 * HOUR)
    tasks, _, workflows = cleaned(server, rule("minute", 90, includeDefinitions=["demo/flow"]))
    assert workflows == 3
    # Two decisions and one task of each child, and two decisions of the parent: for its start and for the signal.
    assert tasks == 8
    assert_nothing_is_left(server)


def test_a_clean_up_deletes_nothing_of_a_live_workflow(server: Server, decider: Decider, clock: FrozenClock) -> None:
    id = decider.create()["id"]
    decider.decide(decider.decision(), decider.task("first"))
    (task,) = server.poll(start=True)
    server.rpc("awf.task/success", {"id": task["id"], "execId": task["execId"], "result": {}})
    clock.advance(2 * HOUR)
    assert cleaned(server, rule(), rule(includeDefinitions=[DECISIONS, "demo/resize"])) == (0, 0, 0)
    found = decider.status(id)
    assert (len(found["activities"]), len(found["decisions"])) == (1, 2)


def test_a_clean_up_rule_can_name_decision_tasks(server: Server, decider: Decider, clock: FrozenClock) -> None:
    id, activity = finished(server, decider)
    clock.advance(2 * HOUR)
    assert cleaned(server, rule(excludeDefinitions=["demo/flow", DECISIONS]))[0::2] == (1, 0)
    assert not is_there(server, activity)
    assert cleaned(server, rule(includeDefinitions=[DECISIONS]))[0::2] == (2, 0)
    assert decider.status(id)["resource"]["status"] == "done"
    assert cleaned(server, rule(includeDefinitions=["demo/flow"])) == (0, 0, 1)
    assert_nothing_is_left(server)


def many(server: Server, count: int, clock: FrozenClock | None = None, workflow: str = "null") -> None:
    """Insert `count` done tasks into the history, each with one log entry."""
    at = "now() - interval '2 hours'" if clock is None else f"timestamptz '{clock.now()}'"
    server.query(
        "with made as (insert into fencepost.done_tasks (seq, id, definition, definition_version, requester,"
        " created_by, created_at, version, action, done_by, status_before, outcome, retry_count, done_at, workflow_seq)"
        f" select nextval('fencepost.task_seq'), 'many-' || n, 'demo/resize', 1, '{{}}', 'test', {at}, 3,"
        f" 'awf.task/cancel', 'test', 'ready', 'canceled', 0, {at}, {workflow} from generate_series(1, {count}) as n"
        " returning seq, id),"
        " named as (insert into fencepost.task_names (id, seq) select id, seq from made)"
        " insert into fencepost.task_log (seq, version, at, action, caller, status_before, status, retry_count)"
        f" select seq, 2, {at}, 'awf.task/notify', 'test', 'in-progress', 'in-progress', 1 from made"
    )


def test_a_clean_up_deletes_more_than_one_batch(server: Server, decider: Decider, clock: FrozenClock) -> None:
    finished(server, decider)
    many(server, 4100, clock)
    many_of_workflow = "(select seq from fencepost.done_workflows)"
    server.query("delete from fencepost.task_names")
    many(server, 1300, clock, many_of_workflow)
    clock.advance(2 * HOUR)
    tasks, entries, workflows = cleaned(server, rule())
    assert (tasks, workflows) == (5403, 1)
    assert entries >= 5400 * 3
    assert_nothing_is_left(server)


def test_a_clean_up_that_is_canceled_stops(server: Server, clock: FrozenClock) -> None:
    many(server, 6000, clock)
    clock.advance(2 * HOUR)
    with stopped_in(server.conninfo, "done_tasks", "delete", when="old.id = 'many-1'"):
        id = server.create(CLEAN_UP, params={"rules": [rule()]})["id"]
        until(lambda: is_stopped(server.conninfo))
        server.rpc("awf.task/cancel", {"id": id})
    until(lambda: server.app.background.workers[2].running == 0)
    assert server.query("select count(*) from fencepost.done_tasks where definition = 'demo/resize'") == [(4000,)]
    assert server.task(id)["outcome"] == "canceled"


def test_two_concurrent_clean_ups_delete_each_task_once(
    server: Server, decider: Decider, clock: FrozenClock, pool: ThreadPoolExecutor
) -> None:
    for _ in range(5):
        finished(server, decider)
    many(server, 3000, clock)
    clock.advance(2 * HOUR)
    with running_server(server.conninfo, clock):
        counts = list(pool.map(lambda _: cleaned(server, rule()), range(4)))
    assert (sum(one[0] for one in counts), sum(one[2] for one in counts)) == (3015, 5)
    assert_nothing_is_left(server)


def test_a_clean_up_keeps_a_task_that_is_being_retried(
    server: Server, clock: FrozenClock, pool: ThreadPoolExecutor
) -> None:
    server.create(id="mine")
    server.rpc("awf.task/cancel", {"id": "mine"})
    clock.advance(2 * HOUR)
    with stopped_in(server.conninfo, "live_tasks", "insert", when="new.id = 'mine'"):
        retried = pool.submit(server.rpc, "awf.task/retry", {"id": "mine"})
        until_stuck(server.conninfo, retried)
        id = server.create(CLEAN_UP, params={"rules": [rule()]})["id"]
        until(lambda: is_stopped(server.conninfo))
    assert retried.result(10)["resource"]["status"] == "ready"
    assert ended(server, id)["result"]["deletedRowsCount"]["AidboxTask"] == 0
    assert server.task("mine")["status"] == "ready"


def _count(conninfo: str) -> int:
    with psycopg.connect(conninfo) as connection:
        row = connection.execute(
            "select count(*) from fencepost.done_tasks where definition = 'demo/resize'"
        ).fetchone()
        assert row is not None
        return int(row[0])


def test_another_server_continues_the_clean_up_of_a_killed_server(database: str, tmp_path: Path) -> None:
    later = FrozenClock(datetime.now(UTC) + HOUR)
    with serving(tmp_path, "--database-url", database) as process, Client(process.port) as client:
        with running_server(database, later) as other:
            many(other, 6000)
        with stopped_in(database, "done_tasks", "delete", when="old.id = 'many-2500'"):
            call = {"definition": CLEAN_UP, "params": {"rules": [rule()]}}
            id = client.call("awf.task/create-and-execute", call)["resource"]["id"]
            until(lambda: is_stopped(database))
            assert _count(database) == 4000
            process.kill()
    with running_server(database, later, Settings(lease_grace_seconds=0)) as server:
        server.reap()
        # The retry starts after 10 s plus a random delay of up to 10 s.
        later.advance(timedelta(seconds=21))
        server.reap()
        task = ended(server, id)
        assert (task["outcome"], task["retryCount"]) == ("succeeded", 2)
        counts = task["result"]["deletedRowsCount"]
        # The batch of the killed server may have committed when the lock was released.
        assert counts["AidboxTask"] in (2000, 4000)
        assert counts["AidboxTaskLog"] == 3 * counts["AidboxTask"]
        assert names(server) == set()
    assert _count(database) == 0
