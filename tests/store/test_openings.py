"""Openings: free capacity is recorded for its key, so that a claim reads no blocked key and misses no free one."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from fencepost.clock import FrozenClock
from fencepost.store import migrations
from tests.fixtures.locks import stopped_in, until_stuck
from tests.fixtures.servers import Server, pass_time, running_server
from tests.fixtures.two_servers import TwoServers
from tests.fixtures.waiting import until

pytestmark = pytest.mark.shows("guarantees/free-place-found")

# Three keys with two tasks each, as an older server left them; the key of the oldest is `k1`.
_WAITING = """
insert into fencepost.definitions
    (name, version, kind, document, is_newest, requested_to_start_timeout, in_progress_timeout, allowed_retry_count,
     retry_delay, concurrency_limit, concurrency_path, has_result_schema, has_error_schema, created_at, created_by)
values ('demo/resize', 1, 'task', '{"kind": "task", "name": "demo/resize"}', true, '10 s', '2 min', 2, '10 s', 1,
        'strict $."k"', false, false, now(), 'test');
insert into fencepost.live_tasks
    (seq, id, definition, definition_version, params, requester, created_by, created_at, status, version, retry_count,
     ready_at, updated_at, limit_key)
select
    n, 't' || n, 'demo/resize', 1, '{}', '{}', 'test', now(), 'ready', 1, 0, now() + n * interval '1 ms', now(),
    '"k' || n % 3 || '"'
from generate_series(1, 6) as n;
"""
BY_K: dict[str, Any] = {"concurrencyPath": ["params", "k"]}


def create_all(server: Server, values: list[Any], definition: str = "demo/resize") -> None:
    creates = [
        {"method": "awf.task/create-and-execute", "params": {"definition": definition, "params": {"k": value}}}
        for value in values
    ]
    for first in range(0, len(creates), 500):
        server.post(creates[first : first + 500])


def lease_of(task: Any) -> dict[str, str]:
    return {"id": task["id"], "execId": task["execId"]}


def values(tasks: list[Any]) -> list[Any]:
    return [task["params"]["k"] for task in tasks]


def openings(server: Server) -> list[Any]:
    return [key for (key,) in server.query("select limit_key from fencepost.openings order by ready_at, seq")]


def all_blocked(server: Server, keys: int) -> list[Any]:
    """Lease one task of each key while another waits; return the leased tasks."""
    server.define(concurrencyLimit=1, **BY_K)
    create_all(server, [f"k{number}" for number in range(keys)] * 2)
    held: list[Any] = []
    while tasks := server.poll(maxBatchSize=500):
        held += tasks
    assert len(held) == keys
    return held


# Openings that a claim reads


def test_a_claim_reads_no_opening_when_every_key_is_blocked(server: Server) -> None:
    all_blocked(server, 1500)
    assert openings(server) == [], "1500 keys wait, and the next poll looks at none of them"
    assert server.poll() == []


def test_a_finished_task_adds_an_opening_for_its_key_only(server: Server) -> None:
    held = all_blocked(server, 300)
    server.rpc("awf.task/start", lease_of(held[77]))
    server.rpc("awf.task/success", lease_of(held[77]))
    assert openings(server) == [f'"{held[77]["params"]["k"]}"']
    assert values(server.poll(maxBatchSize=10)) == values([held[77]])
    assert server.poll() == []
    assert openings(server) == []


def test_a_free_key_is_found_behind_thousands_of_blocked_keys(server: Server) -> None:
    all_blocked(server, 3000)
    create_all(server, [f"k{number}" for number in range(3000)] + ["free"])
    assert values(server.poll()) == ["free"], "one poll that does not wait"


def test_the_oldest_of_many_free_keys_is_claimed_first(server: Server) -> None:
    server.define(concurrencyLimit=2, **BY_K)
    order = [f"k{number}" for number in range(700)]
    random.Random(5).shuffle(order)
    create_all(server, order)
    assert [value for _ in range(7) for value in values(server.poll(maxBatchSize=100))] == order


def test_a_key_with_many_tasks_does_not_hide_other_keys(server: Server) -> None:
    server.define(concurrencyLimit=1, **BY_K)
    create_all(server, ["a"] * 900 + ["b", "c"])
    assert values(server.poll(maxBatchSize=3)) == ["a", "b", "c"]


def test_an_opening_that_a_claim_did_not_use_is_kept(server: Server) -> None:
    server.define(concurrencyLimit=3, **BY_K)
    server.define("demo/other", concurrencyLimit=1, **BY_K)
    create_all(server, ["a", "a"], "demo/other")
    create_all(server, ["b"] * 5)
    both = "demo/other", "demo/resize"
    assert [values(server.poll(*both)) for _ in range(5)] == [["a"], ["b"], ["b"], ["b"], []]


def test_a_claim_for_one_definition_leaves_the_openings_of_others(server: Server) -> None:
    for name in ("demo/resize", "demo/other"):
        server.define(name, concurrencyLimit=1, **BY_K)
        create_all(server, ["a", "b"], name)
    assert values(server.poll(maxBatchSize=5)) == ["a", "b"]
    assert values(server.poll("demo/other", maxBatchSize=5)) == ["a", "b"]


def test_a_definition_without_a_limit_has_no_openings(server: Server) -> None:
    server.define()
    server.rpc("awf.task/success", server.started(params={"k": "a"}))
    server.rpc("awf.task/release", server.started(params={"k": "a"}))
    assert openings(server) == []


def test_a_limit_without_a_path_needs_no_openings(server: Server) -> None:
    server.define(concurrencyLimit=1)
    first = server.started()
    server.create()
    assert server.poll() == []
    server.rpc("awf.task/success", first)
    assert openings(server) == []
    assert len(server.poll(maxBatchSize=5)) == 1


# Events that add an opening


@pytest.mark.parametrize("end", ["success", "fail", "fail for good", "release", "cancel", "silence", "requeue"])
def test_the_end_of_a_lease_adds_an_opening(frozen_server: Server, clock: FrozenClock, end: str) -> None:
    terms: dict[str, Any] = {"requestedToStartTimeout": 1000, "inProgressTimeout": 1000, "retryDelay": 600_000}
    terms["allowedRetryCount"] = 0 if end == "fail for good" else 5
    frozen_server.define(concurrencyLimit=1, **terms, **BY_K)
    create_all(frozen_server, ["a", "a", "b"])
    held = [task for task in frozen_server.poll(maxBatchSize=5, start=end != "requeue") if task["params"]["k"] == "a"]
    assert frozen_server.poll(maxBatchSize=5) == []
    assert openings(frozen_server) == []
    (lease,) = map(lease_of, held)
    match end:
        case "cancel":
            frozen_server.rpc("awf.task/cancel", {"id": lease["id"]})
        case "silence" | "requeue":
            frozen_server.query("update fencepost.live_tasks set deadline_at = '2999-01-01' where limit_key = '\"b\"'")
            pass_time(frozen_server, clock, 1000)
        case _:
            frozen_server.rpc(f"awf.task/{end.split()[0]}", lease)
    assert values(frozen_server.poll(maxBatchSize=5)) == ["a"]


@pytest.mark.parametrize("come", ["create", "retry", "time", "sql"])
def test_a_task_that_becomes_ready_adds_an_opening(frozen_server: Server, clock: FrozenClock, come: str) -> None:
    frozen_server.define(concurrencyLimit=1, allowedRetryCount=0, **BY_K)
    now = clock.now()
    assert isinstance(now, datetime)
    due = {"executeAt": (now + timedelta(seconds=5)).isoformat()} if come in ("time", "sql") else {}
    id = frozen_server.create(params={"k": "a"}, **due)["id"]
    if come == "retry":
        frozen_server.rpc("awf.task/cancel", {"id": id})
    if come in ("retry", "time", "sql"):
        assert frozen_server.poll() == []
        assert openings(frozen_server) == []
    match come:
        case "retry":
            frozen_server.rpc("awf.task/retry", {"id": id})
        case "time":
            pass_time(frozen_server, clock, 5000)
        case "sql":
            frozen_server.query("update fencepost.live_tasks set status = 'ready', deadline_at = null")
    assert [task["id"] for task in frozen_server.poll()] == [id]


# When the limit changes


def test_a_higher_limit_adds_an_opening_for_every_key(server: Server) -> None:
    all_blocked(server, 40)
    server.define(concurrencyLimit=2, **BY_K)
    assert len(server.poll(maxBatchSize=100)) == 40


def test_lowering_and_raising_a_limit_loses_no_key(server: Server) -> None:
    all_blocked(server, 10)
    server.define(concurrencyLimit=3, **BY_K)
    create_all(server, [f"k{number}" for number in range(10)])
    server.define(concurrencyLimit=1, **BY_K)
    assert server.poll() == []
    server.define(concurrencyLimit=3, **BY_K)
    assert len(server.poll(maxBatchSize=100)) == 20


def test_a_new_path_replaces_the_openings_and_removing_the_limit_deletes_them(server: Server) -> None:
    held = all_blocked(server, 10)
    server.rpc("awf.task/release", lease_of(held[0]))
    server.define(concurrencyLimit=4, concurrencyPath=["params"])
    assert openings(server) == [f'{{"k": "k{number}"}}' for number in range(10)]
    server.define()
    assert openings(server) == []
    server.define(concurrencyLimit=1, **BY_K)
    assert len(server.poll(maxBatchSize=100)) == 1


def test_a_deleted_definition_leaves_no_openings(server: Server) -> None:
    server.define(concurrencyLimit=1, **BY_K)
    server.rpc("awf.task/success", server.started(params={"k": "a"}))
    assert openings(server) != []
    server.rpc("awf.definition/delete", {"name": "demo/resize"})
    assert openings(server) == []


def test_tasks_from_before_the_openings_migration_are_found(
    empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = migrations.migrations()
    with monkeypatch.context() as patch:
        patch.setattr(migrations, "migrations", lambda: files[:13])
        migrations.migrate(empty_database)
    with psycopg.connect(empty_database) as connection:
        connection.execute(_WAITING)
    migrations.migrate(empty_database)
    with running_server(empty_database) as server:
        assert openings(server) == ['"k1"', '"k2"', '"k0"']
        assert [task["id"] for task in server.poll(maxBatchSize=10)] == ["t1", "t2", "t3"]


# Races and crashes


@pytest.mark.parametrize("end", ["success", "fail", "release", "cancel"])
def test_a_lease_that_ends_during_a_claim_adds_an_opening_afterwards(
    servers: TwoServers, pool: ThreadPoolExecutor, end: str
) -> None:
    servers.define(concurrencyLimit=1, retryDelay=0, **BY_K)
    create_all(servers.one, ["a", "a", "a"])
    (task,) = servers.one.poll(start=True)
    params = {"id": task["id"]} if end == "cancel" else lease_of(task)
    event = "update" if end in ("fail", "release") else "delete"
    with stopped_in(servers.conninfo, "live_tasks", event):
        ending = pool.submit(servers.one.rpc, f"awf.task/{end}", params)
        until_stuck(servers.conninfo, ending)
        assert servers.other.poll() == []
        assert openings(servers.other) == [], "the claim has seen what it could see"
    ending.result(10)
    assert len(servers.other.poll(maxBatchSize=5)) == 1


def test_a_task_created_while_a_claim_empties_its_key_is_claimed_later(
    servers: TwoServers, pool: ThreadPoolExecutor
) -> None:
    servers.define(concurrencyLimit=5, **BY_K)
    create_all(servers.one, ["a"])
    with stopped_in(servers.conninfo, "live_tasks", "insert"):
        creating = pool.submit(create_all, servers.one, ["a"])
        until_stuck(servers.conninfo, creating)
        assert len(servers.other.poll(maxBatchSize=5)) == 1
        assert servers.other.poll(maxBatchSize=5) == []
    creating.result(10)
    assert len(servers.other.poll(maxBatchSize=5)) == 1


def test_a_claim_that_dies_before_its_commit_leaves_its_openings(servers: TwoServers, pool: ThreadPoolExecutor) -> None:
    servers.define(concurrencyLimit=1, **BY_K)
    create_all(servers.one, ["a", "b", "b"])
    with stopped_in(servers.conninfo, "live_tasks", "update"):
        dying = pool.submit(servers.one.poll, maxBatchSize=5)
        until_stuck(servers.conninfo, dying)
        waiting = (
            "select pid from pg_stat_activity"
            " where datname = current_database() and wait_event_type = 'Lock' and application_name = 'fencepost'"
        )
        ((pid,),) = servers.one.query(waiting)
        servers.one.query(f"select pg_terminate_backend({pid})")
        until(lambda: (found := servers.one.query(waiting)) and (pid,) not in found)
    # The server claims again by itself. Either claim may be first; every key is given out once.
    assert len(dying.result(20)) + len(servers.other.poll(maxBatchSize=5)) == 2
