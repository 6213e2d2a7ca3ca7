"""The partition maintainer creates partitions ahead and drops history older than the retention."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from fencepost.clock import FrozenClock
from fencepost.settings import Settings
from tests.fixtures.events import publish, put_trigger, rule
from tests.fixtures.history import (
    HOUR,
    Span,
    in_default,
    maintain_once,
    maintain_partitions,
    seamless,
    spans,
    until_maintained,
)
from tests.fixtures.servers import Server, running_server

pytestmark = pytest.mark.shows("guarantees/retention")

TEN_HOURS = Settings(retention=10 * HOUR, lease_grace_seconds=0)
DAY = timedelta(days=1)
PARENTS = ("done_tasks", "task_log", "done_workflows")

# Each function brings a task into a state that needs more than one log entry, and returns its id.
Way = Callable[[Server], str]


@pytest.fixture
def server(new_database: str, clock: FrozenClock) -> Iterator[Server]:
    """A server that keeps history for ten hours, in partitions of one hour."""
    with running_server(new_database, clock, TEN_HOURS) as running:
        running.define(inProgressTimeout=1000 * 3_600_000, requestedToStartTimeout=1000 * 3_600_000)
        until_maintained(running)
        yield running


def finished(server: Server, **members: Any) -> str:
    lease = server.started(**members)
    server.rpc("awf.task/notify", {**lease, "notification": "heartbeat"})
    server.rpc("awf.task/success", {**lease, "result": {}})
    return lease["id"]


def canceled(server: Server, id: str) -> str:
    server.create(id=id)
    server.rpc("awf.task/cancel", {"id": id})
    return id


@pytest.mark.parametrize("parent", PARENTS)
def test_a_start_creates_partitions_for_now_and_two_widths_ahead(
    server: Server, clock: FrozenClock, parent: str
) -> None:
    found = spans(server, parent)
    assert clock.now() in found[0]
    assert seamless(found)
    assert found[-1].ends_at >= clock.now() + 2 * HOUR  # type: ignore[operator]
    assert {one.ends_at - one.begins_at for one in found} == {HOUR}


def test_partitions_are_created_ahead_while_time_passes(server: Server, clock: FrozenClock) -> None:
    for _ in range(8):
        finished(server)
        clock.advance(HOUR / 2)
        maintain_partitions(server)
    assert [in_default(server, parent) for parent in PARENTS] == [0, 0, 0]
    assert seamless(spans(server))
    assert len(server.query("select distinct tableoid from fencepost.done_tasks")) == 4


def test_maintaining_twice_creates_each_partition_once(server: Server) -> None:
    before = server.query("select * from fencepost.history_partitions order by name")
    maintain_partitions(server)
    assert server.query("select * from fencepost.history_partitions order by name") == before


def test_a_new_partition_width_continues_where_the_last_partition_ends(
    server: Server, new_database: str, clock: FrozenClock
) -> None:
    for settings in (Settings(retention=50 * HOUR), Settings(), Settings(retention=HOUR)):
        clock.advance(2 * HOUR)
        with running_server(new_database, clock, settings) as other:
            found = spans(other)
            assert seamless(found)
            assert any(clock.now() in one for one in found)
            finished(other)
    assert in_default(server) == 0
    assert max(one.ends_at - one.begins_at for one in spans(server)) == 30 * DAY


def test_no_partitions_are_created_for_a_time_without_a_server(server: Server, clock: FrozenClock) -> None:
    last = spans(server)[-1]
    clock.advance(timedelta(hours=9, minutes=30))
    maintain_partitions(server)
    found = spans(server)
    assert last in found
    assert clock.now() in found[found.index(last) + 1]
    finished(server)
    assert in_default(server) == 0


def test_rows_in_the_default_partition_do_not_prevent_new_partitions(server: Server, clock: FrozenClock) -> None:
    drop_partitions(server)
    stray = finished(server)
    assert [in_default(server, parent) for parent in PARENTS] == [1, 2, 0]

    maintain_partitions(server)
    clock.advance(timedelta(minutes=1))
    found = [finished(server) for _ in range(2)]

    assert [in_default(server, parent) for parent in PARENTS] == [1, 2, 0]
    assert clock.now() in spans(server)[0]
    assert [server.task(id)["status"] for id in (stray, *found)] == ["done"] * 3


def test_history_is_deleted_after_the_retention_and_not_before(server: Server, clock: FrozenClock) -> None:
    old = finished(server, id="mine")
    clock.advance(HOUR)
    young = finished(server, id="younger")

    clock.advance(timedelta(hours=9, minutes=59))
    maintain_partitions(server)
    assert server.task(old)["status"] == "done"

    clock.advance(timedelta(minutes=1))
    maintain_partitions(server)
    assert server.refused("awf.task/status", {"id": old})[:2] == (404, "task-not-found")
    assert server.task(young)["status"] == "done"
    assert [entry["action"] for entry in server.log(young)][-2:] == ["awf.task/notify", "awf.task/success"]
    assert min(one.begins_at for parent in PARENTS for one in spans(server, parent)) == clock.now() - 10 * HOUR  # type: ignore[operator]


def test_an_id_stays_taken_while_the_history_of_its_task_is_kept(server: Server, clock: FrozenClock) -> None:
    finished(server, id="mine", params={"n": 1})
    assert server.refused("awf.task/create-and-execute", other := {"definition": "demo/resize", "id": "mine"})[0] == 409

    clock.advance(11 * HOUR)
    maintain_partitions(server)

    assert server.rpc("awf.task/create-and-execute", other)["resource"]["status"] == "ready"
    assert server.query("select count(*) from fencepost.task_names where id = 'mine'") == [(1,)]


def test_ids_and_request_ids_are_deleted_with_their_tasks(server: Server, clock: FrozenClock) -> None:
    for id in ("mine", None, "yours", None):
        finished(server, **({} if id is None else {"id": id}))
    clock.advance(11 * HOUR)
    maintain_partitions(server)
    assert server.query("select id from fencepost.task_names") == []


def test_a_retried_task_is_kept_after_the_retention(server: Server, clock: FrozenClock) -> None:
    canceled(server, "mine")
    canceled(server, "gone")
    clock.advance(5 * HOUR)
    server.rpc("awf.task/retry", {"id": "mine"})

    clock.advance(6 * HOUR)
    maintain_partitions(server)

    assert server.task("mine")["status"] == "ready"
    assert server.refused("awf.task/status", {"id": "gone"})[0] == 404


def requested(server: Server) -> str:
    server.create()
    return str(server.poll()[0]["id"])


def in_progress(server: Server) -> str:
    lease = server.started()
    server.rpc("awf.task/notify", {**lease, "notification": "heartbeat"})
    return lease["id"]


def released(server: Server) -> str:
    lease = server.started()
    server.rpc("awf.task/release", lease)
    return lease["id"]


def waiting_for_a_retry(server: Server) -> str:
    server.define("demo/patient", retryDelay=1000 * 3_600_000)
    lease = server.started("demo/patient")
    server.rpc("awf.task/fail", {**lease, "error": {}})
    return lease["id"]


@pytest.mark.parametrize("way", [requested, in_progress, released, waiting_for_a_retry])
def test_a_live_task_older_than_the_retention_keeps_a_log_entry_with_its_state(
    server: Server, clock: FrozenClock, way: Way
) -> None:
    id = way(server)
    before = server.task(id)

    clock.advance(11 * HOUR)
    maintain_partitions(server)

    after, log = server.task(id), server.log(id)
    assert [entry["action"] for entry in log] == ["awf.task/create-and-execute", "awf.engine/snapshot"]
    newest = log[-1]
    assert (newest["status-before"], newest["status-after"]) == (before["status"], before["status"])
    for member in ("execId", "executeAt", "worker"):
        assert newest.get(member) == after.get(member) == before.get(member)
    assert newest.get("retryCount", 0) == after.get("retryCount", 0) == before.get("retryCount", 0)
    assert newest["versionId"] == after["meta"]["versionId"] == str(int(before["meta"]["versionId"]) + 1)
    assert newest["meta"]["createdAt"] == after["meta"]["lastUpdated"]
    assert after.get("inProgressTimeoutAt") == before.get("inProgressTimeoutAt")


def test_a_lease_stays_valid_after_its_history_is_deleted(server: Server, clock: FrozenClock) -> None:
    lease = server.started()
    for _ in range(3):
        clock.advance(11 * HOUR)
        maintain_partitions(server)
    assert server.rpc("awf.task/success", {**lease, "result": {}})["resource"]["outcome"] == "succeeded"
    assert [entry["action"] for entry in server.log(lease["id"])] == [
        "awf.task/create-and-execute",
        "awf.engine/snapshot",
        "awf.task/success",
    ]


def test_a_live_task_with_a_recent_log_entry_gets_no_snapshot_entry(server: Server, clock: FrozenClock) -> None:
    untouched = server.create("demo/resize", executeAt="2030-01-01T00:00:00Z")["id"]
    lease = server.started()
    clock.advance(10 * HOUR)
    server.rpc("awf.task/notify", {**lease, "notification": "heartbeat"})
    clock.advance(HOUR)
    maintain_partitions(server)
    assert [entry["action"] for entry in server.log(untouched)] == ["awf.task/create-and-execute"]
    assert [entry["action"] for entry in server.log(lease["id"])] == ["awf.task/create-and-execute", "awf.task/notify"]


def test_the_log_entry_of_a_lease_is_kept_as_long_as_the_row_of_its_task(server: Server, clock: FrozenClock) -> None:
    server.define(inProgressTimeout=10 * 3_600_000, allowedRetryCount=0)
    lease = server.started()
    clock.advance(11 * HOUR)

    assert maintain_once(server) <= 60
    assert [entry["action"] for entry in server.log(lease["id"])] == ["awf.task/create-and-execute", "awf.task/poll"]

    server.reap()
    maintain_partitions(server)
    assert [entry["action"] for entry in server.log(lease["id"])] == [
        "awf.task/create-and-execute",
        "awf.task/poll",
        "awf.engine/timeout",
    ]


def test_old_rows_in_the_default_partition_are_deleted_with_their_ids(server: Server, clock: FrozenClock) -> None:
    drop_partitions(server)
    old = finished(server, id="mine")
    lease = server.started()
    clock.advance(9 * HOUR)
    drop_partitions(server)
    young = finished(server, id="younger")

    clock.advance(2 * HOUR)
    maintain_partitions(server)

    assert server.refused("awf.task/status", {"id": old})[0] == 404
    assert server.query("select id from fencepost.task_names where id in ('mine', 'younger')") == [("younger",)]
    assert server.task(young)["status"] == "done"
    # Snapshot entries of live tasks stay.
    assert [entry["action"] for entry in server.log(lease["id"])] == ["awf.task/create-and-execute", "awf.task/poll"]


def test_more_old_rows_than_one_batch_are_all_deleted(server: Server, clock: FrozenClock) -> None:
    drop_partitions(server)
    insert = (
        "insert into fencepost.task_log (seq, version, at, action, caller, status_before, status, retry_count)"
        " select n, 2, '{at}', 'awf.task/notify', 'test', 'in-progress', 'in-progress', 1"
        " from generate_series(1, 2500) as n"
    )
    server.query(insert.format(at=clock.now()))
    clock.advance(11 * HOUR)
    maintain_partitions(server)
    assert in_default(server, "task_log") == 0


def test_no_history_is_deleted_without_a_retention(new_database: str, clock: FrozenClock) -> None:
    with running_server(new_database, clock) as server:
        server.define()
        id = finished(server)
        for _ in range(3):
            clock.advance(100 * DAY)
            maintain_partitions(server)
        assert server.task(id)["status"] == "done"
        assert {one.ends_at - one.begins_at for one in spans(server)} == {30 * DAY}


def drop_partitions(server: Server) -> None:
    """Drop all partitions except the default ones."""
    maintain_partitions(server)
    names = server.query("select name from fencepost.history_partitions where ends_at is not null")
    server.query("drop table " + ", ".join(f"fencepost.{name}" for (name,) in names))
    assert spans(server) == spans(server, "task_log") == []


def test_a_partition_includes_its_start_and_excludes_its_end(clock: FrozenClock) -> None:
    now = clock.now()
    assert now is not None
    assert now in Span(now, now + HOUR)
    assert now + HOUR not in Span(now, now + HOUR)


def test_old_events_are_deleted_with_their_trigger_runs_and_free_their_ids(server: Server, clock: FrozenClock) -> None:
    put_trigger(server, rule("n", value=1))
    publish(server, {"n": 1}, id="old")
    clock.advance(9 * HOUR)
    publish(server, {"n": 1}, id="young")
    clock.advance(2 * HOUR)
    maintain_partitions(server)

    status = server.rpc("awf.trigger/status", {"name": "demo/review"})
    assert [start["event"]["id"] for start in status["starts"]] == ["young"]
    assert status["counts"]["started"] == 1
    assert publish(server, {"n": 2}, id="old")["started"] == []
    assert server.refused("awf.event/publish", {"resource": {"n": 2}, "id": "young"})[0] == 409
