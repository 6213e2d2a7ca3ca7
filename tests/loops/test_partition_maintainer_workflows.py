"""Tasks of a live workflow are kept past the retention, until the workflow is deleted."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from fencepost.clock import FrozenClock
from fencepost.settings import Settings
from tests.fixtures.history import HOUR, in_default, maintain_once, maintain_partitions, spans, until_maintained
from tests.fixtures.locks import stopped_in, until_stuck
from tests.fixtures.servers import Server, running_server
from tests.fixtures.two_servers import TwoServers
from tests.fixtures.workflows import COMPLETE, Decider

pytestmark = pytest.mark.shows("guarantees/live-workflow-kept")

TEN_HOURS = Settings(retention=10 * HOUR, lease_grace_seconds=0)
LONG = 1000 * 3_600_000
TABLES = (
    "live_tasks",
    "done_tasks",
    "task_log",
    "task_names",
    "live_workflows",
    "done_workflows",
    "workflow_names",
    "workflow_events",
    "activities",
    "workflow_signals",
)


@pytest.fixture
def server(new_database: str, clock: FrozenClock) -> Iterator[Server]:
    """A server that keeps history for ten hours, in partitions of one hour."""
    with running_server(new_database, clock, TEN_HOURS) as running:
        running.define(inProgressTimeout=LONG, requestedToStartTimeout=LONG)
        until_maintained(running)
        yield running


@pytest.fixture
def decider(server: Server) -> Decider:
    return Decider(server, "demo/flow", inProgressTimeout=LONG)


def finish(server: Server) -> str:
    """Finish the one task that is ready and return its id."""
    (task,) = server.poll(start=True)
    server.rpc("awf.task/success", {"id": task["id"], "execId": task["execId"], "result": {"n": 1}})
    return str(task["id"])


def left(server: Server) -> dict[str, int]:
    """Return the number of rows of each table that is not empty."""
    counts = {table: server.query(f"select count(*) from fencepost.{table}")[0][0] for table in TABLES}
    return {table: count for table, count in counts.items() if count}


def with_an_activity(server: Server, decider: Decider) -> tuple[str, str, Any]:
    """Begin a workflow whose activity is done; return the ids of both, and the next decision."""
    id = decider.create()["id"]
    decider.decide(decider.decision(), decider.task("first"))
    return id, finish(server), decider.decision()


def test_activities_of_a_live_workflow_outlive_the_retention(
    server: Server, decider: Decider, clock: FrozenClock
) -> None:
    id, activity, decision = with_an_activity(server, decider)
    before = decider.status(id)
    for _ in range(3):
        clock.advance(11 * HOUR)
        maintain_partitions(server)

    after = decider.status(id)
    assert after["activities"] == before["activities"]
    assert [one["id"] for one in after["decisions"]] == [one["id"] for one in before["decisions"]]
    assert server.task(activity)["result"] == {"n": 1}
    assert server.log(activity)[-1]["action"] == "awf.task/success"
    # The first decision and the activity.
    assert in_default(server) == 2
    assert min(span.begins_at for span in spans(server)) >= clock.now() - 11 * HOUR  # type: ignore[operator]

    # A label stays taken while its workflow is live, regardless of the age of its activity.
    decider.decide(decision, decider.task("first"))
    assert server.poll() == []


def test_a_task_of_a_live_workflow_can_be_retried_after_the_retention(
    server: Server, decider: Decider, clock: FrozenClock
) -> None:
    decider.create()
    decider.decide(decider.decision(), decider.task("first"))
    (task,) = server.poll()
    server.rpc("awf.task/cancel", {"id": task["id"]})
    clock.advance(11 * HOUR)
    maintain_partitions(server)

    assert server.rpc("awf.task/retry", {"id": task["id"]})["resource"]["status"] == "ready"
    assert finish(server) == task["id"]


def test_activities_kept_for_a_workflow_are_deleted_after_it_ends(
    server: Server, decider: Decider, clock: FrozenClock
) -> None:
    id, activity, decision = with_an_activity(server, decider)
    server.rpc("awf.workflow/signal", {"id": id, "name": "go", "signal-id": "once"})
    clock.advance(24 * HOUR)
    maintain_partitions(server)
    decider.decide(decision, decider.task("second"))
    server.rpc("awf.workflow/cancel", {"id": id})

    # The workflow has ended and can still be read, with all its activities.
    clock.advance(9 * HOUR)
    maintain_partitions(server)
    assert decider.status(id)["activities"][0]["id"] == activity
    assert server.task(activity)["status"] == "done"

    clock.advance(2 * HOUR)
    maintain_partitions(server)
    assert server.refused("awf.workflow/status", {"id": id})[0] == 404
    assert server.refused("awf.task/status", {"id": activity})[0] == 404
    assert left(server) == {}


def test_an_ended_workflow_is_deleted_after_the_retention(server: Server, decider: Decider, clock: FrozenClock) -> None:
    id, _, decision = with_an_activity(server, decider)
    decider.decide(decision, COMPLETE)
    clock.advance(timedelta(hours=9, minutes=59))
    maintain_partitions(server)
    assert decider.status(id)["resource"]["status"] == "done"
    assert in_default(server, "done_workflows") == 0

    clock.advance(2 * HOUR)
    maintain_partitions(server)
    assert server.refused("awf.workflow/status", {"id": id})[0] == 404
    assert left(server) == {}
    # The id can be used again.
    assert decider.create(id=id)["status"] == "in-progress"


def test_an_ended_child_workflow_is_kept_while_its_parent_is_live(
    server: Server, decider: Decider, clock: FrozenClock
) -> None:
    children = Decider(server, "demo/child", inProgressTimeout=LONG)
    id = decider.create()["id"]
    decider.decide(decider.decision(), decider.child("child", "demo/child"))
    children.decide(children.decision(), {**COMPLETE, "result": {"n": 2}})
    decision = decider.decision()
    child = decision["params"]["workflow-id"]
    clock.advance(24 * HOUR)
    maintain_partitions(server)

    assert children.status(child)["resource"]["result"] == {"n": 2}
    assert [one["id"] for one in decider.status(id)["activities"]] == [child]
    assert in_default(server, "done_workflows") == 1

    decider.decide(decision, COMPLETE)
    clock.advance(9 * HOUR)
    maintain_partitions(server)
    assert children.status(child)["resource"]["status"] == "done"
    clock.advance(2 * HOUR)
    maintain_partitions(server)
    assert left(server) == {}


def test_old_workflows_in_the_default_partition_are_deleted_too(
    server: Server, decider: Decider, clock: FrozenClock
) -> None:
    names = server.query("select name from fencepost.history_partitions where ends_at is not null")
    server.query("drop table " + ", ".join(f"fencepost.{name}" for (name,) in names))
    _, _, decision = with_an_activity(server, decider)
    decider.decide(decision, COMPLETE)
    assert in_default(server, "done_workflows") == 1
    clock.advance(11 * HOUR)
    maintain_partitions(server)
    assert left(server) == {}


def test_more_activities_than_one_batch_are_kept_for_live_workflows(
    server: Server, decider: Decider, clock: FrozenClock
) -> None:
    id = decider.create()["id"]
    decider.decide(decider.decision(), decider.task("first"))
    seq = server.query("select seq from fencepost.live_workflows")[0][0]
    server.query(
        "insert into fencepost.done_tasks (seq, id, definition, definition_version, requester, created_by, created_at,"
        " version, action, done_by, status_before, outcome, retry_count, done_at, workflow_seq)"
        f" select nextval('fencepost.task_seq'), 'x' || n, 'demo/resize', 1, '{{}}', 'test', '{clock.now()}', 2,"
        f" 'awf.task/cancel', 'test', 'ready', 'canceled', 0, '{clock.now()}', case when n % 2 = 0 then {seq} end"
        " from generate_series(1, 5000) as n"
    )
    clock.advance(11 * HOUR)
    maintain_partitions(server)
    # The activity and its decision task.
    assert in_default(server) == 2501
    assert server.query("select count(*) from fencepost.done_tasks") == [(2501,)]

    server.rpc("awf.workflow/cancel", {"id": id})
    clock.advance(12 * HOUR)
    maintain_partitions(server)
    assert left(server) == {}


def test_a_partition_is_not_dropped_when_its_kept_rows_cannot_be_moved(
    server: Server, decider: Decider, clock: FrozenClock
) -> None:
    id, activity, _ = with_an_activity(server, decider)
    clock.advance(11 * HOUR)
    with psycopg.connect(server.conninfo) as reader:
        reader.execute("select count(*) from fencepost.done_tasks")
        assert maintain_once(server) <= 60
    assert in_default(server) == 0
    assert [one["id"] for one in decider.status(id)["activities"]] == [activity]
    maintain_partitions(server)
    assert in_default(server) == 2
    assert [one["id"] for one in decider.status(id)["activities"]] == [activity]


def test_partitions_are_not_dropped_while_too_many_rows_must_be_kept(
    server: Server, decider: Decider, clock: FrozenClock
) -> None:
    server.app.partitions._store.most_kept = 1
    id, activity, _ = with_an_activity(server, decider)
    clock.advance(11 * HOUR)
    maintain_partitions(server)
    other, _, _ = with_an_activity(server, decider)
    clock.advance(11 * HOUR)
    maintain_partitions(server)
    assert in_default(server) == 2
    # One of the old partitions.
    assert len([span for span in spans(server) if span.ends_at <= clock.now() - 10 * HOUR]) == 1  # type: ignore[operator]
    assert [len(decider.status(one)["activities"]) for one in (id, other)] == [1, 1]

    server.rpc("awf.workflow/cancel", {"id": id})
    clock.advance(11 * HOUR)
    maintain_partitions(server)
    assert server.refused("awf.task/status", {"id": activity})[0] == 404
    assert [len(decider.status(one)["activities"]) for one in (other,)] == [1]


@pytest.fixture
def frozen_servers(server: Server, clock: FrozenClock) -> Iterator[TwoServers]:
    """Two servers on one database."""
    with running_server(server.conninfo, clock, TEN_HOURS) as other:
        until_maintained(other)
        yield TwoServers(server, other)


def test_two_servers_dropping_partitions_at_once_keep_rows_of_live_workflows(
    frozen_servers: TwoServers, decider: Decider, clock: FrozenClock, pool: ThreadPoolExecutor
) -> None:
    id, activity, _ = with_an_activity(frozen_servers.one, decider)
    clock.advance(11 * HOUR)
    list(pool.map(maintain_partitions, [*frozen_servers] * 3))
    assert [one["id"] for one in decider.status(id)["activities"]] == [activity]
    assert in_default(frozen_servers.one) == 2


def test_a_retry_during_the_move_of_kept_rows_is_applied_once(
    frozen_servers: TwoServers, decider: Decider, clock: FrozenClock, pool: ThreadPoolExecutor
) -> None:
    decider.create()
    decider.decide(decider.decision(), decider.task("first"))
    (task,) = frozen_servers.one.poll()
    frozen_servers.one.rpc("awf.task/cancel", {"id": task["id"]})
    clock.advance(11 * HOUR)
    with stopped_in(frozen_servers.conninfo, "live_tasks", "insert"):
        retried = pool.submit(frozen_servers.other.rpc, "awf.task/retry", {"id": task["id"]})
        until_stuck(frozen_servers.conninfo, retried)
        assert maintain_once(frozen_servers.one) <= 60
    assert retried.result(10)["resource"]["status"] == "ready"
    maintain_partitions(frozen_servers.one)
    assert frozen_servers.one.query(f"select count(*) from fencepost.task_resources where id = '{task['id']}'") == [
        (1,)
    ]
    assert finish(frozen_servers.one) == task["id"]
