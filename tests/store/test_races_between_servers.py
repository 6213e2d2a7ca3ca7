"""Races between servers on one database: a server is stopped inside a statement while it holds its locks."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from fencepost.clock import FrozenClock
from fencepost.settings import Settings
from tests.fixtures.locks import locked_rows, stopped_in, until_stuck
from tests.fixtures.servers import CallRefused, Server, running_server
from tests.fixtures.two_servers import TwoServers, essence, history


@pytest.fixture
def frozen(database: str, clock: FrozenClock) -> Iterator[TwoServers]:
    """Two servers on the clock of the test; tasks have an in-progress timeout of a second."""
    settings = Settings(lease_grace_seconds=0)
    with running_server(database, clock, settings) as one, running_server(database, clock, settings) as other:
        one.define(inProgressTimeout=1000, requestedToStartTimeout=1000, retryDelay=60_000)
        yield TwoServers(one, other)


# Claims


def test_a_poll_skips_tasks_that_another_server_is_claiming(servers: TwoServers, pool: ThreadPoolExecutor) -> None:
    ids = [servers.one.create()["id"] for _ in range(4)]
    with stopped_in(servers.conninfo, "live_tasks", "update"):
        first = pool.submit(servers.one.poll, maxBatchSize=2)
        until_stuck(servers.conninfo, first)
        second = pool.submit(servers.other.poll, maxBatchSize=4)
        until_stuck(servers.conninfo, first, second)
    taken = [[task["id"] for task in poll.result(10)] for poll in (first, second)]
    assert taken == [ids[:2], ids[2:]]


def test_a_claim_skips_locked_tasks(servers: TwoServers) -> None:
    servers.one.create()
    with locked_rows(servers.conninfo, "live_tasks"):
        free = servers.one.create()["id"]
        assert [task["id"] for task in servers.other.poll(maxBatchSize=2)] == [free]
    assert len(servers.other.poll(maxBatchSize=2)) == 1


def test_concurrent_polls_of_two_servers_claim_each_task_once(servers: TwoServers, pool: ThreadPoolExecutor) -> None:
    create = {"method": "awf.task/create-and-execute", "params": {"definition": "demo/resize"}}
    servers.one.post([create] * 600)

    def take_all(server: Server) -> list[tuple[str, str]]:
        taken: list[tuple[str, str]] = []
        while tasks := server.poll(maxBatchSize=7, start=True):
            taken += [(task["id"], task["execId"]) for task in tasks]
        return taken

    taken = [one for took in pool.map(take_all, servers * 8) for one in took]
    assert len({id for id, _ in taken}) == len({exec_id for _, exec_id in taken}) == len(taken) == 600


def test_two_polls_with_one_request_id_at_once_get_one_set_of_tasks(
    servers: TwoServers, pool: ThreadPoolExecutor
) -> None:
    for _ in range(5):
        servers.one.create()
    with stopped_in(servers.conninfo, "live_tasks", "update"):
        calls = []
        for server in (*servers, *servers):
            calls.append(pool.submit(server.poll, maxBatchSize=2, requestId="round-1"))
            until_stuck(servers.conninfo, *calls[:2])
    sets = [[(task["id"], task["execId"]) for task in call.result(10)] for call in calls]
    assert len(sets[0]) == 2
    assert sets == [sets[0]] * 4
    assert servers.one.query("select count(*) from fencepost.live_tasks where status = 'requested'") == [(2,)]


def test_the_second_of_two_different_polls_with_one_request_id_is_refused(
    servers: TwoServers, pool: ThreadPoolExecutor
) -> None:
    servers.one.define("demo/mail")
    servers.one.create()
    servers.one.create("demo/mail")
    with stopped_in(servers.conninfo, "live_tasks", "update"):
        first = pool.submit(servers.one.poll, "demo/resize", requestId="round-1")
        until_stuck(servers.conninfo, first)
        second = pool.submit(servers.one.poll, "demo/mail", requestId="round-1")
        until_stuck(servers.conninfo, first, second)
    assert len(first.result(10)) == 1
    with pytest.raises(CallRefused, match="request-id-reused"):
        second.result(10)


def test_two_claims_at_once_do_not_exceed_the_limit_together(servers: TwoServers, pool: ThreadPoolExecutor) -> None:
    servers.define("demo/import", concurrencyLimit=2, concurrencyPath=["params", "lane"])
    for lane in (1, 1, 1, 2):
        servers.one.create("demo/import", params={"lane": lane})
    polls = []
    with stopped_in(servers.conninfo, "live_tasks", "update"):
        for server, size in zip(servers, (1, 5), strict=True):
            polls.append(pool.submit(server.poll, "demo/import", maxBatchSize=size))
            until_stuck(servers.conninfo, *polls)
    lanes = [[task["params"]["lane"] for task in poll.result(10)] for poll in polls]
    assert lanes == [[1], [1, 2]]


def test_the_limit_applies_to_an_older_task_that_becomes_ready_during_a_claim(
    frozen: TwoServers, clock: FrozenClock, pool: ThreadPoolExecutor
) -> None:
    frozen.define("demo/import", concurrencyLimit=1, requestedToStartTimeout=60_000)
    frozen.one.create("demo/import", id="older", executeAt="2026-01-01T00:00:01Z")
    frozen.one.create("demo/import", id="newer")
    polls = []
    with stopped_in(frozen.conninfo, "live_tasks", "update", when="new.status = 'requested'"):
        for server in frozen:
            polls.append(pool.submit(server.poll, "demo/import"))
            until_stuck(frozen.conninfo, *polls)
            clock.advance(timedelta(seconds=2))
            frozen.one.reap()
    assert [[task["id"] for task in poll.result(10)] for poll in polls] == [["newer"], []]


def test_a_limit_lowered_during_a_claim_applies_to_the_next_claim(
    servers: TwoServers, pool: ThreadPoolExecutor
) -> None:
    servers.define("demo/import", concurrencyLimit=3)
    for _ in range(4):
        servers.one.create("demo/import")
    with stopped_in(servers.conninfo, "live_tasks", "update"):
        poll = pool.submit(servers.one.poll, "demo/import", maxBatchSize=2)
        until_stuck(servers.conninfo, poll)
        put = pool.submit(servers.other.define, "demo/import", concurrencyLimit=1)
        until_stuck(servers.conninfo, poll, put)
    assert len(poll.result(10)) == 2
    assert put.result(10)["version"] == 2
    assert servers.one.poll("demo/import", maxBatchSize=4) == []


# The reaper


def test_a_finish_that_comes_before_the_reaper_succeeds(
    frozen: TwoServers, clock: FrozenClock, pool: ThreadPoolExecutor
) -> None:
    lease = frozen.one.started()
    with stopped_in(frozen.conninfo, "done_tasks", "insert"):
        finish = pool.submit(essence, frozen.one, "awf.task/success", lease)
        until_stuck(frozen.conninfo, finish)
        clock.advance(timedelta(seconds=1))
        frozen.other.reap()
    assert finish.result(10)["outcome"] == "succeeded"
    frozen.other.reap()
    assert history(frozen.one, lease["id"])[2:] == [("awf.task/success", "in-progress", "done")]


def test_a_finish_during_the_reaping_of_its_task_is_refused(
    frozen: TwoServers, clock: FrozenClock, pool: ThreadPoolExecutor
) -> None:
    lease = frozen.one.started()
    with stopped_in(frozen.conninfo, "task_log", "insert"):
        clock.advance(timedelta(seconds=1))
        reaping = pool.submit(frozen.other.reap)
        until_stuck(frozen.conninfo, reaping)
        finish = pool.submit(essence, frozen.one, "awf.task/success", lease)
        until_stuck(frozen.conninfo, reaping, finish)
    assert finish.result(10) == (409, "exec-id-mismatch")
    assert history(frozen.one, lease["id"])[2:] == [("awf.engine/timeout", "in-progress", "waiting")]


def test_a_heartbeat_in_progress_at_the_deadline_keeps_the_lease(
    frozen: TwoServers, clock: FrozenClock, pool: ThreadPoolExecutor
) -> None:
    lease = frozen.one.started()
    clock.advance(timedelta(milliseconds=999))
    with stopped_in(frozen.conninfo, "task_log", "insert"):
        renewal = pool.submit(essence, frozen.one, "awf.task/notify", {**lease, "notification": "heartbeat"})
        until_stuck(frozen.conninfo, renewal)
        clock.advance(timedelta(milliseconds=1))
        frozen.other.reap()
    assert renewal.result(10) is False
    frozen.other.reap()
    assert frozen.one.task(lease["id"])["status"] == "in-progress"


def test_two_reapers_apply_each_deadline_once(frozen: TwoServers, clock: FrozenClock, pool: ThreadPoolExecutor) -> None:
    leases = [frozen.one.started() for _ in range(3)]
    with stopped_in(frozen.conninfo, "task_log", "insert"):
        clock.advance(timedelta(seconds=1))
        reapings = []
        for server in frozen:
            reapings.append(pool.submit(server.reap))
            until_stuck(frozen.conninfo, *reapings)
    for reaping in reapings:
        reaping.result(10)
    for lease in leases:
        assert history(frozen.one, lease["id"])[2:] == [("awf.engine/timeout", "in-progress", "waiting")]


# Definitions


def test_a_definition_is_not_deleted_while_a_task_of_it_is_being_created(
    servers: TwoServers, pool: ThreadPoolExecutor
) -> None:
    with stopped_in(servers.conninfo, "live_tasks", "insert"):
        create = pool.submit(essence, servers.one, "awf.task/create-and-execute", {"definition": "demo/resize"})
        until_stuck(servers.conninfo, create)
        delete = pool.submit(essence, servers.other, "awf.definition/delete", {"name": "demo/resize"})
        until_stuck(servers.conninfo, create, delete)
    assert create.result(10)["status"] == "ready"
    assert delete.result(10) == (422, "definition-in-use")


def test_no_task_is_created_while_its_definition_is_being_deleted(
    servers: TwoServers, pool: ThreadPoolExecutor
) -> None:
    servers.one.rpc("awf.task/cancel", {"id": servers.one.create()["id"]})  # server one remembers the definition now
    with stopped_in(servers.conninfo, "definitions", "update"):
        delete = pool.submit(servers.other.rpc, "awf.definition/delete", {"name": "demo/resize"})
        until_stuck(servers.conninfo, delete)
        create = pool.submit(essence, servers.one, "awf.task/create-and-execute", {"definition": "demo/resize"})
        until_stuck(servers.conninfo, delete, create)
    assert delete.result(10)["resource"]["name"] == "demo/resize"
    assert create.result(10) == (404, "definition-not-found")


@pytest.mark.parametrize(("timeouts", "versions"), [((1000, 2000), [1, 2]), ((1000, 1000), [1])])
def test_two_puts_of_one_definition_at_once_are_serialized(
    servers: TwoServers, pool: ThreadPoolExecutor, timeouts: tuple[int, int], versions: list[int]
) -> None:
    puts = []
    with stopped_in(servers.conninfo, "definitions", "insert"):
        for server, timeout in zip(servers, timeouts, strict=True):
            puts.append(pool.submit(server.define, "demo/mail", inProgressTimeout=timeout))
            until_stuck(servers.conninfo, *puts)
    assert sorted({put.result(10)["version"] for put in puts}) == versions
    newest = servers.one.query("select version from fencepost.definitions where name = 'demo/mail' and is_newest")
    assert newest == [(versions[-1],)]


# Creating


@pytest.mark.parametrize("same", [True, False])
def test_two_creates_with_one_id_at_once_create_one_task(
    servers: TwoServers, pool: ThreadPoolExecutor, same: bool
) -> None:
    creates = []
    with stopped_in(servers.conninfo, "live_tasks", "insert"):
        for server, width in zip(servers, (1, 1 if same else 2), strict=True):
            params = {"definition": "demo/resize", "id": "mine", "params": {"width": width}}
            creates.append(pool.submit(essence, server, "awf.task/create-and-execute", params))
            until_stuck(servers.conninfo, *creates)
    first, second = (create.result(10) for create in creates)
    assert first["status"] == "ready"
    assert second == (first if same else (409, "already-exists"))
    assert servers.one.query("select count(*) from fencepost.live_tasks") == [(1,)]
