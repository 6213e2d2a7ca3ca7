"""Limits are never exceeded while several servers claim, workers die and definitions change."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from fencepost.settings import Settings
from tests.fixtures.locks import stopped_in, until_stuck
from tests.fixtures.servers import Server, running_server
from tests.fixtures.two_servers import TwoServers, essence
from tests.fixtures.waiting import until

pytestmark = pytest.mark.shows("guarantees/limit-never-exceeded")

BY_K: dict[str, Any] = {"concurrencyPath": ["params", "k"]}

# At the commit of every new lease: count the leases of its key, by the params themselves, and refuse one too many. The
# lock serializes these commits, so that the second of two conflicting commits sees the first.
_JUDGE = """
create function public.judge() returns trigger language plpgsql as $$
declare
    asked text := coalesce(new.params ->> 'k', 'none');
    held integer;
    most integer := (select concurrency_limit from fencepost.definitions where name = new.definition and is_newest);
begin
    perform pg_advisory_xact_lock(4712, hashtext(new.definition || asked));
    select count(*) into held from fencepost.live_tasks as l
    where l.definition = new.definition and coalesce(l.params ->> 'k', 'none') = asked and l.exec_id is not null;
    if held > most then
        insert into public.judged values (new.definition || ' ' || asked || ': ' || held);
    end if;
    return null;
end $$;
create table public.judged (verdict text);
create constraint trigger judge after update on fencepost.live_tasks deferrable initially deferred
    for each row when (old.exec_id is null and new.exec_id is not null) execute function public.judge();
"""
_MOST = """
select definition, max(held) from (
    select l.definition, count(*) as held from fencepost.live_tasks as l
    where l.exec_id is not null group by l.definition, l.params ->> 'k'
) as leases group by definition
"""


def verdicts(server: Server) -> list[Any]:
    return server.query("select verdict from public.judged")


def held(server: Server) -> int:
    return int(server.query("select count(*) from fencepost.live_tasks where exec_id is not null")[0][0])


@contextmanager
def sampled(conninfo: str) -> Iterator[dict[str, int]]:
    """Count the leases repeatedly, and keep the highest count of each definition's keys."""
    most: dict[str, int] = {}
    over = threading.Event()

    def look() -> None:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            while not over.is_set():
                for definition, held in connection.execute(_MOST):
                    most[definition] = max(held, most.get(definition, 0))

    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(look)
        try:
            yield most
        finally:
            over.set()
            looking.result(10)


def work(server: Server, seed: int) -> None:
    """Work until no task is left: finish, fail, release, or abandon leases."""
    dice = random.Random(seed)
    while server.query("select exists (select from fencepost.live_tasks)") == [(True,)]:
        params: dict[str, Any] = {"maxBatchSize": dice.randint(1, 6), "start": dice.random() < 0.7, "timeout": 100}
        params["taskDefinitions"] = dice.choice([["demo/resize"], ["demo/resize", "demo/mail", "demo/free"]])
        tasks = server.rpc("awf.task/long-poll", params)["resources"]
        for task in tasks:
            lease = {"id": task["id"], "execId": task["execId"]}
            verb = dice.choices(["success", "fail", "release", "die"], [10, 1, 2, 2])[0]
            if verb != "die":
                essence(server, f"awf.task/{verb}", lease)


def test_no_limit_is_exceeded_at_any_commit_under_concurrent_claims_and_dying_workers(
    servers: TwoServers, pool: ThreadPoolExecutor
) -> None:
    silent = {"requestedToStartTimeout": 200, "inProgressTimeout": 200, "retryDelay": 1, "allowedRetryCount": 1000}
    limits: dict[str, dict[str, Any]] = {
        "demo/resize": {"concurrencyLimit": 2, **BY_K},
        "demo/mail": {"concurrencyLimit": 3},
        "demo/free": {},
    }
    servers.one.query(_JUDGE)
    for name, limit in limits.items():
        servers.define(name, **silent, **limit)
        params = [{} if name == "demo/mail" else {"k": number % 7} for number in range(140)]
        creates = [{"definition": name, "params": member} for member in params]
        servers.one.post([{"method": "awf.task/create-and-execute", "params": create} for create in creates])
    servers.one.query("update fencepost.definitions set requested_to_start_timeout = '1 s' where name = 'demo/free'")

    with sampled(servers.conninfo) as most, running_server(servers.conninfo, settings=Settings()) as third:
        workers = [pool.submit(work, server, seed) for seed, server in enumerate((*servers, third) * 4)]
        for worker in workers:
            worker.result(200)

    assert verdicts(servers.one) == []
    assert (most["demo/resize"], most["demo/mail"]) == (2, 3), "they did work side by side"
    outcomes = "select definition, outcome, count(*) from fencepost.done_tasks"
    done = servers.one.query(f"{outcomes} group by 1, 2 order by 1")
    assert done == [(name, "succeeded", 140) for name in sorted(limits)]
    timeouts = (
        "select count(*) > 0 from fencepost.task_log where action in ('awf.engine/timeout', 'awf.engine/requeue')"
    )
    assert servers.one.query(timeouts) == [(True,)]


def test_two_polls_at_once_for_the_last_capacity_of_a_limit_lease_one_task(
    servers: TwoServers, pool: ThreadPoolExecutor
) -> None:
    servers.define(concurrencyLimit=1, **BY_K)
    for _ in range(3):
        servers.one.create(params={"k": "a"})
    polls = []
    with stopped_in(servers.conninfo, "live_tasks", "update"):
        for server in servers:
            polls.append(pool.submit(server.poll, maxBatchSize=2))
            until_stuck(servers.conninfo, *polls)
        assert not any(poll.done() for poll in polls), "the second does not count before the first is there"
    assert sorted(len(poll.result(10)) for poll in polls) == [0, 1]


@pytest.mark.parametrize("order", [1, -1])
def test_polls_for_several_limited_definitions_do_not_deadlock(
    servers: TwoServers, pool: ThreadPoolExecutor, order: int
) -> None:
    names = [f"demo/kind-{number}" for number in range(12)][::order]
    for name in names:
        servers.define(name, concurrencyLimit=1)
        servers.one.create(name)

    def poll(number: int) -> list[Any]:
        return servers[number % 2].poll(*names[number % 12 :], *names[: number % 5], maxBatchSize=12)

    assert sum(len(tasks) for tasks in pool.map(poll, range(48))) == 12


def test_a_new_limit_counts_the_tasks_of_a_claim_in_progress(servers: TwoServers, pool: ThreadPoolExecutor) -> None:
    for _ in range(5):
        servers.one.create()
    with stopped_in(servers.conninfo, "live_tasks", "update"):
        poll = pool.submit(servers.one.poll, maxBatchSize=2)
        until_stuck(servers.conninfo, poll)
        put = pool.submit(servers.other.define, concurrencyLimit=3)
        until_stuck(servers.conninfo, poll, put)
    assert len(poll.result(10)) == 2
    put.result(10)
    assert len(servers.other.poll(maxBatchSize=5)) == 1


def test_a_poll_that_races_with_a_new_limit_does_not_exceed_it(servers: TwoServers, pool: ThreadPoolExecutor) -> None:
    for _ in range(5):
        servers.one.create()
    assert servers.one.poll("demo/none") == []  # server one has looked up which definitions have a limit: none
    with stopped_in(servers.conninfo, "live_tasks", "update"):
        put = pool.submit(servers.other.define, concurrencyLimit=3)
        until_stuck(servers.conninfo, put)
        polls = [pool.submit(server.poll, maxBatchSize=5) for server in servers]
        until(lambda: polls[0].done())
    put.result(10)
    taken = sum(len(poll.result(10)) for poll in polls)
    assert taken in (0, 3), "as many as the limit says, or none because the tasks were locked"
    until(lambda: servers.one.poll(maxBatchSize=5) or held(servers.one) == 3)
    assert held(servers.one) == 3


def test_a_lower_limit_waits_for_a_claim_in_progress(servers: TwoServers, pool: ThreadPoolExecutor) -> None:
    servers.define(concurrencyLimit=3)
    for _ in range(5):
        servers.one.create()
    with stopped_in(servers.conninfo, "live_tasks", "update"):
        poll = pool.submit(servers.one.poll, maxBatchSize=5)
        until_stuck(servers.conninfo, poll)
        put = pool.submit(servers.other.define, concurrencyLimit=1)
        until_stuck(servers.conninfo, poll, put)
        assert servers.other.rpc("awf.definition/get", {"name": "demo/resize"})["resource"]["concurrencyLimit"] == 3
    assert len(poll.result(10)) == 3
    put.result(10)


@pytest.mark.parametrize("method", ["create-and-execute", "retry"])
@pytest.mark.parametrize("first", ["task", "put"])
def test_a_task_created_while_its_definition_gets_a_limit_has_its_key(
    servers: TwoServers, pool: ThreadPoolExecutor, method: str, first: str
) -> None:
    servers.one.create(params={"k": "there before"})
    again = servers.one.create(params={"k": "a"})["id"]
    servers.one.rpc("awf.task/cancel", {"id": again})
    params = {"id": again} if method == "retry" else {"definition": "demo/resize", "params": {"k": "a"}}

    def make() -> Any:
        return essence(servers.one, f"awf.task/{method}", params)

    def put() -> Any:
        return servers.other.define(concurrencyLimit=1, **BY_K)

    with stopped_in(servers.conninfo, "live_tasks", "insert" if first == "task" else "update"):
        calls = []
        for function in (make, put) if first == "task" else (put, make):
            calls.append(pool.submit(function))
            until_stuck(servers.conninfo, *calls)
        assert not any(call.done() for call in calls), "they wait for each other"
    for call in calls:
        call.result(10)
    keys = servers.one.query("select limit_key from fencepost.live_tasks order by 1")
    assert keys == [('"a"',), ('"there before"',)]


def test_a_put_that_changes_keys_does_not_deadlock_with_many_finishes(
    servers: TwoServers, pool: ThreadPoolExecutor
) -> None:
    create = {"method": "awf.task/create-and-execute", "params": {"definition": "demo/resize", "params": {"k": 1}}}
    for _ in range(3):
        servers.one.post([create] * 400)
        finishes = [
            {"method": "awf.task/success", "params": {"id": task["id"], "execId": task["execId"]}}
            for task in servers.one.poll(maxBatchSize=400, start=True)
        ]
        before = servers.one.query("select deadlocks from pg_stat_database where datname = current_database()")
        finishing = pool.submit(servers.one.post, finishes)
        servers.other.define(concurrencyLimit=1000, **BY_K)
        servers.other.define()
        assert all("result" in answer for answer in finishing.result(30)[1])
        assert before == servers.one.query("select deadlocks from pg_stat_database where datname = current_database()")


def test_a_server_that_missed_a_new_limit_claims_nothing_until_it_reads_it(
    servers: TwoServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fencepost.store.limits._TRUSTED_SECONDS", 3600.0)
    assert servers.one.poll() == []
    servers.one.create()
    sql = "update fencepost.definitions set concurrency_limit = 1; update fencepost.live_tasks set limit_key = '-'"
    servers.one.query(sql)
    assert servers.one.poll() == []
    # The fallback poller runs once a second and finds limited work.
    long = {"taskDefinitions": ["demo/resize"], "timeout": 20_000}
    assert len(servers.one.rpc("awf.task/long-poll", long)["resources"]) == 1


def test_claims_and_puts_that_wait_for_a_lock_leave_connections_to_others(
    servers: TwoServers, pool: ThreadPoolExecutor
) -> None:
    server = servers.one
    names = [f"demo/kind-{number}" for number in range(8)]
    for name in (*names, "demo/resize"):
        server.define(name, concurrencyLimit=1)
    server.define("demo/free")
    server.create()
    assert server.poll("demo/free", "demo/resize") != [], "the server knows which definitions have a limit"
    with psycopg.connect(server.conninfo) as holder:
        holder.execute("select pg_advisory_xact_lock(hashtextextended('definition demo/resize', 0))")
        waiting = [pool.submit(server.poll, "demo/resize", name) for name in names[:4]]
        waiting += [pool.submit(server.define, concurrencyLimit=number) for number in range(2, 6)]
        until_stuck(server.conninfo, *waiting[:2])
        for _ in range(3):
            server.rpc("awf.task/success", server.started("demo/free"))
        assert not any(call.done() for call in waiting)
    for call in waiting:
        call.result(20)
