"""Schedules on several servers, some of which die: each due time is started and recorded once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from typing import Any

import psycopg
import pytest

from fencepost.clock import FrozenClock
from fencepost.errors import Refusal
from fencepost.settings import Settings
from tests.fixtures.locks import stopped_in, until_stuck
from tests.fixtures.schedules import HOUR, MINUTE, NIGHTLY, became, pass_time, put, run_due, starts, status
from tests.fixtures.servers import Server, running_server
from tests.fixtures.waiting import until

pytestmark = pytest.mark.shows("guarantees/due-time-once")

SECOND = timedelta(seconds=1)
BROKEN = """
create or replace function public.refuse() returns trigger language plpgsql as
    $$ begin raise exception 'the disk is full' using errcode = 'disk_full'; end $$;
create trigger refuse before {event} on fencepost.{table} for each row execute function public.refuse();
"""


@pytest.fixture
def servers(database: str, clock: FrozenClock) -> Iterator[list[Server]]:
    """Three servers on one database and one clock."""
    with ExitStack() as stack:
        running = [
            stack.enter_context(running_server(database, clock, Settings(lease_grace_seconds=0))) for _ in range(3)
        ]
        running[0].define()
        yield running


def tasks(server: Server) -> int:
    return int(server.query("select count(*) from fencepost.live_tasks")[0][0])


def step(server: Server) -> float:
    return server.run(server.app.scheduler.run_once())


def begun(server: Server, clock: FrozenClock, pool: ThreadPoolExecutor) -> Future[float]:
    """Advance an hour, and wait until this server, or another server's own loop, is stopped at the lock."""
    clock.advance(HOUR + SECOND)
    run = pool.submit(step, server)
    until(lambda: waiting(server.conninfo) == 1)
    return run


def refused(server: Server) -> bool:
    """Return whether a step met the full disk; a step skips schedules that another server has locked."""
    try:
        step(server)
    except Refusal as refusal:
        return "the disk is full" in refusal.message
    return False


def waiting(conninfo: str) -> int:
    """Return the number of sessions that wait for a lock."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        row = connection.execute(
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        ).fetchone()
    assert row is not None
    return int(row[0])


def test_several_servers_start_each_due_time_once(
    servers: list[Server], clock: FrozenClock, pool: ThreadPoolExecutor
) -> None:
    names = [f"demo/every-{number}" for number in range(4)]
    for name in names:
        put(servers[0], name, schedule="* * * * *", concurrency_policy="allow", execute_on_setup=True)
    for _ in range(60):
        clock.advance(MINUTE)
        for run in [pool.submit(run_due, server) for server in servers]:
            run.result(20)
    due = ["2026-01-01T00:00", *(f"2026-01-01T00:{minute:02}" for minute in range(1, 60)), "2026-01-01T01:00"]
    for name in names:
        assert became(servers[1], name) == [(at, "started") for at in due]
    assert tasks(servers[0]) == len(names) * len(due)
    references = [start["reference"]["id"] for name in names for start in starts(servers[2], name)]
    assert len(set(references)) == len(references)


def test_a_second_server_skips_a_schedule_that_another_server_is_starting(
    servers: list[Server], clock: FrozenClock, pool: ThreadPoolExecutor
) -> None:
    put(servers[0])
    with stopped_in(servers[0].conninfo, "schedule_starts", "insert"):
        first = begun(servers[0], clock, pool)
        assert 0 < step(servers[1]) < 1
        assert tasks(servers[1]) == 0
    first.result(10)
    run_due(servers[2])
    assert (became(servers[0]), tasks(servers[0])) == ([("2026-01-01T01:00", "started")], 1)


@pytest.mark.parametrize("verb", ["pause", "resume", "run-now", "backfill", "delete", "put"])
def test_a_change_of_a_schedule_waits_for_a_start_in_progress(
    servers: list[Server], clock: FrozenClock, pool: ThreadPoolExecutor, verb: str
) -> None:
    calls: dict[str, tuple[str, dict[str, Any]]] = {
        "delete": ("awf.definition/delete", {"name": NIGHTLY}),
        "backfill": (
            "awf.schedule/backfill",
            {"name": NIGHTLY, "from": "2026-01-01T00:00:01Z", "to": "2026-01-01T01:00:00.5Z"},
        ),
        "put": (
            "awf.definition/put",
            {
                "kind": "schedule",
                "name": NIGHTLY,
                "schedule": "@hourly",
                "execute-on-setup": True,
                "task-request": {"definition": "demo/resize"},
            },
        ),
    }
    method, params = calls.get(verb, (f"awf.schedule/{verb}", {"name": NIGHTLY}))
    put(servers[0])
    with stopped_in(servers[0].conninfo, "schedule_starts", "insert", when="new.kind = 'scheduled'"):
        run = begun(servers[0], clock, pool)
        call = pool.submit(servers[1].rpc, method, params)
        until(lambda: waiting(servers[0].conninfo) == 2)
        assert not call.done()
    run.result(10)
    answer = call.result(10)
    rows = servers[0].query("select kind, status, reason from fencepost.schedule_starts order by seq")
    assert rows[0] == ("scheduled", "started", None)
    if verb == "backfill":
        assert [start["kind"] for start in answer["starts"]] == ["scheduled"]
    # The start that the call waited for is live, and the policy forbids a second one.
    more = {"put": [("setup", "skipped", "still-live")], "run-now": [("manual", "started", None)]}
    assert rows[1:] == more.get(verb, [])


def test_concurrent_manual_starts_with_one_id_start_one_task(servers: list[Server], pool: ThreadPoolExecutor) -> None:
    put(servers[0])
    calls = []
    with stopped_in(servers[0].conninfo, "schedule_starts", "insert"):
        for server in servers:
            calls.append(pool.submit(server.rpc, "awf.schedule/run-now", {"name": NIGHTLY, "id": "mine"}))
            until_stuck(servers[0].conninfo, *calls)
    references = {call.result(10)["start"]["reference"]["id"] for call in calls}
    assert (len(references), tasks(servers[0])) == (1, 1)


def test_two_backfills_at_once_start_each_due_time_once(
    servers: list[Server], clock: FrozenClock, pool: ThreadPoolExecutor
) -> None:
    put(servers[0])
    servers[0].rpc("awf.schedule/pause", {"name": NIGHTLY})
    clock.advance(12 * HOUR)
    calls = []
    with stopped_in(servers[0].conninfo, "schedule_starts", "insert"):
        for server, end in zip(servers, ("06", "09", "12"), strict=True):
            stretch = {"from": "2026-01-01T00:00:00Z", "to": f"2026-01-01T{end}:00:00Z"}
            calls.append(pool.submit(server.rpc, "awf.schedule/backfill", {"name": NIGHTLY, **stretch}))
            until_stuck(servers[0].conninfo, *calls)
    assert [len(call.result(10)["starts"]) for call in calls] == [6, 9, 12]
    assert tasks(servers[0]) == 12


def test_concurrent_puts_that_start_at_once_start_one_task(servers: list[Server], pool: ThreadPoolExecutor) -> None:
    puts = []
    with stopped_in(servers[0].conninfo, "schedule_starts", "insert"):
        for server in servers:
            puts.append(pool.submit(put, server, execute_on_setup=True))
            until_stuck(servers[0].conninfo, *puts)
    assert {one.result(10)["version"] for one in puts} == {1}
    assert tasks(servers[0]) == 1


def test_a_scheduled_start_uses_a_definition_version_newer_than_the_cache(
    servers: list[Server], clock: FrozenClock
) -> None:
    put(servers[0])
    # The new version is not announced, as when the notification is late: the server has cached version 1.
    servers[0].run(servers[0].app.engine.definitions.newest("demo/resize"))
    servers[0].query("update fencepost.definitions set is_newest = false where name = 'demo/resize'")
    servers[0].query(
        "insert into fencepost.definitions select name, 2, kind, document, true, requested_to_start_timeout,"
        " in_progress_timeout, allowed_retry_count, retry_delay, has_result_schema, has_error_schema, created_at,"
        " created_by from fencepost.definitions where name = 'demo/resize'"
    )
    pass_time(servers[0], clock, HOUR)
    (start,) = starts(servers[0])
    assert servers[0].task(start["reference"]["id"])["definition-version"] == 2


# Failures in the middle of a start


@pytest.mark.parametrize(
    ("table", "event"), [("live_tasks", "insert"), ("schedule_starts", "insert"), ("schedules", "update")]
)
def test_a_start_that_fails_in_the_middle_is_rolled_back_and_done_later(
    servers: list[Server], clock: FrozenClock, table: str, event: str
) -> None:
    put(servers[0])
    before = status(servers[0])
    servers[0].query(BROKEN.format(table=table, event=event))
    clock.advance(HOUR)
    for server in servers:
        until(partial(refused, server))
    assert (tasks(servers[0]), starts(servers[0]), status(servers[0])) == (0, [], before)

    servers[0].query(f"drop trigger refuse on fencepost.{table}")
    run_due(servers[1])
    assert (became(servers[0]), tasks(servers[0])) == ([("2026-01-01T01:00", "started")], 1)


def test_a_schedule_that_fails_does_not_block_other_schedules(servers: list[Server], clock: FrozenClock) -> None:
    servers[0].define("demo/broken")
    put(servers[0], task_request={"definition": "demo/broken"})
    put(servers[0], "demo/other")
    servers[0].query(
        BROKEN.format(table="live_tasks", event="insert").replace(
            "for each row", "for each row when (new.definition = 'demo/broken')"
        )
    )
    clock.advance(HOUR)
    until(partial(refused, servers[0]))
    # The loop of another server may be handling it.
    until(lambda: became(servers[0], "demo/other") == [("2026-01-01T01:00", "started")])
    assert became(servers[0]) == []


def test_a_put_of_a_schedule_that_fails_while_it_starts_is_rolled_back(servers: list[Server]) -> None:
    servers[0].query(BROKEN.format(table="schedule_starts", event="insert"))
    with pytest.raises(Exception, match="the disk is full"):
        put(servers[0], execute_on_setup=True)
    assert servers[0].rpc("awf.schedule/list")["resources"] == []
    assert servers[0].refused("awf.definition/get", {"name": NIGHTLY})[:2] == (404, "definition-not-found")
    servers[0].query("drop trigger refuse on fencepost.schedule_starts")
    assert put(servers[0], execute_on_setup=True)["version"] == 1
    assert tasks(servers[0]) == 1


def test_a_start_is_made_once_when_its_connection_is_killed(
    servers: list[Server], clock: FrozenClock, pool: ThreadPoolExecutor
) -> None:
    put(servers[0])
    conninfo = servers[0].conninfo
    with stopped_in(conninfo, "schedule_starts", "insert"), psycopg.connect(conninfo, autocommit=True) as admin:
        run = begun(servers[0], clock, pool)
        admin.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and wait_event_type = 'Lock'"
        )
        # The server repeats the start on another connection.
        until(lambda: sum(server.app.database.outages for server in servers) > 0)
        until(lambda: waiting(conninfo) == 1)
    run.result(10)
    # The blocked statement may belong to the loop of another server, which commits at any time.
    run_due(servers[1])
    assert (became(servers[1]), tasks(servers[1])) == ([("2026-01-01T01:00", "started")], 1)


def test_a_server_completes_the_due_starts_of_a_server_that_died(database: str, clock: FrozenClock) -> None:
    with running_server(database, clock) as before:
        before.define()
        put(before, concurrency_policy="allow", start_deadline_seconds=7200)
    clock.advance(timedelta(hours=2))
    with running_server(database, clock) as after:
        run_due(after)
        assert became(after) == [("2026-01-01T01:00", "started"), ("2026-01-01T02:00", "started")]
