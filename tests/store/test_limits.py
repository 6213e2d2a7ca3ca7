"""Concurrency limits: how many tasks of a definition, or of one key in their params, may be leased at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from fencepost.clock import FrozenClock
from fencepost.loops import fallback_poller
from fencepost.store.tasks import TaskStore
from fencepost.store.workflows import WorkflowStore
from tests.fixtures.polls import waiting_poll
from tests.fixtures.servers import Server, running_server
from tests.fixtures.two_servers import TwoServers

BY_K: dict[str, Any] = {"concurrencyPath": ["params", "k"]}


def create_all(server: Server, values: list[Any], definition: str = "demo/resize") -> list[str]:
    """Create a task for each value of `k`, one after the other, and return their ids."""
    return [server.create(definition, params={"k": value})["id"] for value in values]


def _create(value: Any) -> dict[str, Any]:
    return {"method": "awf.task/create-and-execute", "params": {"definition": "demo/resize", "params": {"k": value}}}


def lease_of(task: Any) -> dict[str, str]:
    return {"id": task["id"], "execId": task["execId"]}


def keys(server: Server) -> Counter[str | None]:
    return Counter(key for (key,) in server.query("select limit_key from fencepost.live_tasks"))


# Limits and keys


def test_no_more_tasks_of_a_definition_are_leased_than_its_limit(server: Server) -> None:
    server.define(concurrencyLimit=2)
    ids = create_all(server, [1, 2, 3, 4])

    first, second = server.poll(maxBatchSize=10)

    assert [first["id"], second["id"]] == ids[:2]
    assert server.poll(maxBatchSize=10) == []
    server.rpc("awf.task/start", lease_of(first))
    assert server.poll(maxBatchSize=10) == []
    server.rpc("awf.task/success", lease_of(first))
    assert [task["id"] for task in server.poll(maxBatchSize=10)] == ids[2:3]


def test_with_a_path_the_limit_applies_to_each_value_at_the_path(server: Server) -> None:
    server.define(concurrencyLimit=2, **BY_K)
    ids = create_all(server, ["a", "a", "a", "b", "a", "b", "b"])

    assert [task["id"] for task in server.poll(maxBatchSize=10)] == [ids[place] for place in (0, 1, 3, 5)]
    assert server.poll(maxBatchSize=10) == []


def test_a_task_shows_the_limit_at_its_creation(server: Server) -> None:
    server.define(concurrencyLimit=2, concurrencyPath=["params", "rows", 0])
    task = server.create()
    settings = server.rpc("awf.task/status", {"id": task["id"], "include-settings?": True})["settings"]
    for shown in (task, settings):
        assert (shown["concurrencyLimit"], shown["concurrencyPath"]) == (2, ["params", "rows", 0])
    server.define("demo/mail")
    assert "concurrencyLimit" not in server.create("demo/mail")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"k": "a"}, {"k": "a", "more": 1}, True),
        ({"k": "a"}, {"k": "A"}, False),
        ({"k": 1}, {"k": "1"}, False),
        ({"k": 1}, {"k": True}, False),
        ({"k": "\N{SNOWMAN}"}, {"k": "\N{SNOWMAN}"}, True),
        ({"k": "e\N{COMBINING ACUTE ACCENT}"}, {"k": "\N{LATIN SMALL LETTER E WITH ACUTE}"}, False),
        ({"k": {"x": 1, "y": [2]}}, {"k": {"y": [2], "x": 1}}, True),
        ({"k": [1, 2]}, {"k": [2, 1]}, False),
        ({"k": "x" * 5000 + "a"}, {"k": "x" * 5000 + "a"}, True),
        ({"k": "x" * 5000 + "a"}, {"k": "x" * 5000 + "b"}, False),
        ({}, {"l": 1}, True),
        ({}, None, True),
        ({}, {"k": None}, False),
        ({}, {"k": "-"}, False),
        ({}, {"k": ""}, False),
        # A member's name does not reach into arrays.
        ({"k": "a"}, [{"k": "a"}], False),
    ],
)
def test_two_tasks_share_a_key_when_the_values_at_the_path_are_equal_json(
    server: Server, one: Any, other: Any, same: bool
) -> None:
    server.define(concurrencyLimit=1, concurrencyPath=["params", "in", "k"])
    for value in (one, other):
        server.create(params={} if value is None else {"in": value})
    assert len(server.poll(maxBatchSize=2)) == (1 if same else 2)


def test_a_path_may_have_array_indexes_and_unusual_names(server: Server) -> None:
    server.define(concurrencyLimit=1, concurrencyPath=["params", 'a "b" \\ $', 1, "\N{SNOWMAN}"])
    for value in ("x", "y", "x"):
        server.create(params={'a "b" \\ $': [{}, {"\N{SNOWMAN}": value}]})
    assert len(server.poll(maxBatchSize=3)) == 2
    assert keys(server) == {'"x"': 2, '"y"': 1}


def test_a_path_that_is_only_params_limits_equal_params(server: Server) -> None:
    server.define(concurrencyLimit=1, concurrencyPath=["params"])
    create_all(server, [1, 2, 1])
    assert len(server.poll(maxBatchSize=3)) == 2


def test_tasks_without_a_limit_have_no_key(server: Server) -> None:
    server.define()
    create_all(server, [1, 2])
    assert keys(server) == {None: 2}


# Order of claims


def test_the_oldest_unblocked_tasks_of_several_definitions_are_claimed_first(server: Server) -> None:
    server.define("demo/limited", concurrencyLimit=1, **BY_K)
    server.define("demo/free")
    order = [("demo/limited", "z"), ("demo/free", 0), ("demo/limited", "z"), ("demo/limited", "a"), ("demo/free", 1)]
    ids = [create_all(server, [value], definition)[0] for definition, value in order]

    both = "demo/limited", "demo/free"
    assert [task["id"] for task in server.poll(*both, maxBatchSize=3)] == [ids[0], ids[1], ids[3]]
    assert [task["id"] for task in server.poll(*both, maxBatchSize=3)] == [ids[4]]


def test_every_key_is_claimed_when_there_are_more_keys_than_one_claim_reads(server: Server) -> None:
    server.define(concurrencyLimit=1, **BY_K)
    values = [f"{number:03}" for number in range(600)]
    creates = [_create(value) for value in values]
    for _ in range(3):
        server.post(creates)

    served: set[str] = set()
    for _ in range(20):
        tasks = server.poll(maxBatchSize=60, start=True)
        assert len(tasks) == 60
        served |= {task["params"]["k"] for task in tasks}
        server.post([{"method": "awf.task/success", "params": lease_of(task)} for task in tasks])

    assert served == set(values), "1200 of 1800 tasks are done: those of the first keys only, if all looked from there"


def test_a_repeated_poll_gets_its_tasks_again_and_counts_once(server: Server) -> None:
    server.define(concurrencyLimit=2)
    create_all(server, [1, 2, 3])

    first, again = (server.poll(maxBatchSize=1, requestId="round-1") for _ in range(2))

    assert [lease_of(task) for task in first] == [lease_of(task) for task in again]
    assert len(server.poll(maxBatchSize=5, requestId="round-2")) == 1
    assert server.poll(maxBatchSize=5, requestId="round-3") == []


# When the limit has capacity again

ENDS: dict[str, Callable[[Server, dict[str, str]], Any]] = {
    "success": lambda server, lease: server.rpc("awf.task/success", lease),
    "fail": lambda server, lease: server.rpc("awf.task/fail", lease),
    "release": lambda server, lease: server.rpc("awf.task/release", lease),
    "cancel": lambda server, lease: server.rpc("awf.task/cancel", {"id": lease["id"]}),
    "put": lambda server, _: server.define(concurrencyLimit=2),
    "put without": lambda server, _: server.define(),
}


@pytest.fixture
def without_fallback_polls(monkeypatch: pytest.MonkeyPatch, database: str) -> Iterator[TwoServers]:
    """Two servers with a fallback poller that polls only once, at the start."""
    monkeypatch.setattr(fallback_poller, "_INTERVAL", 3600.0)
    with running_server(database) as one, running_server(database) as other:
        yield TwoServers(one, other)


@pytest.mark.parametrize("elsewhere", [False, True])
@pytest.mark.parametrize("end", ENDS)
def test_a_waiting_poll_is_woken_when_the_limit_has_capacity_again(
    without_fallback_polls: TwoServers, pool: ThreadPoolExecutor, end: str, elsewhere: bool
) -> None:
    without_fallback_polls.define(concurrencyLimit=1)
    lease = without_fallback_polls.one.started()
    without_fallback_polls.one.create()
    waiter = without_fallback_polls.other if elsewhere else without_fallback_polls.one
    assert waiter.poll() == []
    poll = waiting_poll(waiter, pool)
    ENDS[end](without_fallback_polls.one, lease)
    assert len(poll.result(10)) == 1


@pytest.mark.parametrize(("start", "silent"), [(False, 1000), (True, 2000)])
def test_a_dead_worker_counts_against_the_limit_until_its_lease_ends(
    frozen_server: Server, clock: FrozenClock, start: bool, silent: int
) -> None:
    settings: dict[str, Any] = {"requestedToStartTimeout": 1000, "inProgressTimeout": 2000, "allowedRetryCount": 0}
    frozen_server.define(concurrencyLimit=1, **settings)
    create_all(frozen_server, [1, 2])
    assert len(frozen_server.poll(start=start)) == 1

    clock.advance(timedelta(milliseconds=silent - 1))
    frozen_server.reap()
    assert frozen_server.poll() == []
    clock.advance(timedelta(milliseconds=1))
    frozen_server.reap()
    assert len(frozen_server.poll(maxBatchSize=5)) == 1


def test_a_ready_task_blocked_by_a_limit_wakes_no_poll(server: Server) -> None:
    server.define(concurrencyLimit=1, **BY_K)
    store = TaskStore(server.app.database, FrozenClock(), WorkflowStore(server.app.database, FrozenClock()))
    create_all(server, ["a", "a", "b", "b"])
    names = ["demo/resize", "demo/unknown"]

    assert server.run(store.peek(names)).ready == [("demo/resize", True)]
    first, _ = server.poll(maxBatchSize=5)
    assert server.run(store.peek(names)).ready == []
    server.rpc("awf.task/release", lease_of(first))
    assert server.run(store.peek(names)).ready == [("demo/resize", True)]


# When the limit changes


def test_a_lower_limit_ends_no_lease_and_blocks_claims_until_enough_ended(server: Server) -> None:
    server.define(concurrencyLimit=3)
    create_all(server, [1, 2, 3, 4, 5])
    held = server.poll(maxBatchSize=5, start=True)

    server.define(concurrencyLimit=1)

    for task in held:
        assert server.poll() == []
        server.rpc("awf.task/success", lease_of(task))
    assert len(server.poll(maxBatchSize=5)) == 1


def test_a_higher_limit_allows_more_claims(server: Server) -> None:
    server.define(concurrencyLimit=1, **BY_K)
    create_all(server, [1, 1, 1, 1])
    assert len(server.poll(maxBatchSize=5)) == 1
    server.define(concurrencyLimit=3, **BY_K)
    assert len(server.poll(maxBatchSize=5)) == 2


@pytest.mark.parametrize(
    ("before", "after", "labels"),
    [
        ({}, {"concurrencyLimit": 1}, {"-": 4}),
        ({}, {"concurrencyLimit": 1, **BY_K}, {'"a"': 2, '"b"': 2}),
        ({"concurrencyLimit": 1, **BY_K}, {"concurrencyLimit": 1}, {"-": 4}),
        ({"concurrencyLimit": 1, **BY_K}, {"concurrencyLimit": 1, "concurrencyPath": ["params", "l"]}, {"-": 4}),
        ({"concurrencyLimit": 1, **BY_K}, {}, {None: 4}),
    ],
)
def test_a_put_gives_live_tasks_new_keys_and_counts_their_leases(
    server: Server, before: dict[str, Any], after: dict[str, Any], labels: dict[str | None, int]
) -> None:
    server.define(**before)
    create_all(server, ["a", "a", "b", "b"])
    held = server.poll()

    server.define(**after)

    assert keys(server) == labels
    more = server.poll(maxBatchSize=5)
    assert len(more) == {1: {"-": 0, None: 3}.get(next(iter(labels)), 0), 2: 1}[len(labels)]
    assert held[0]["id"] not in {task["id"] for task in more}


def test_a_retried_task_gets_the_current_limit(server: Server) -> None:
    server.define(allowedRetryCount=0)
    for _ in range(2):
        server.rpc("awf.task/fail", server.started(params={"k": 1}))
    server.define(concurrencyLimit=1, **BY_K)
    for (id,) in server.query("select id from fencepost.task_resources"):
        server.rpc("awf.task/retry", {"id": id})
    assert keys(server) == {"1": 2}
    assert len(server.poll(maxBatchSize=5)) == 1


def test_a_definition_put_again_limits_tasks_retried_meanwhile(server: Server) -> None:
    server.define(concurrencyLimit=1)
    ids = create_all(server, [1, 2])
    for id in ids:
        server.rpc("awf.task/cancel", {"id": id})
    server.rpc("awf.definition/delete", {"name": "demo/resize"})
    for id in ids:
        server.rpc("awf.task/retry", {"id": id})
    assert keys(server) == {None: 2}
    server.define(concurrencyLimit=1)
    assert keys(server) == {"-": 2}
    assert len(server.poll(maxBatchSize=5)) == 1


def test_a_poll_for_limited_and_unlimited_definitions_gets_the_oldest_tasks(server: Server) -> None:
    names = [f"many/kind-{number}" for number in range(80)]
    for number in (7, 33, 71):
        limit = {"concurrencyLimit": 1} if number == 33 else {}
        server.rpc("awf.definition/put", {"kind": "task", "name": names[number], **limit})
    begun = [server.create(names[number])["id"] for number in (71, 33, 33, 7)]
    server.rpc("awf.definition/put", {"kind": "task", "name": "other/kind"})
    server.create("other/kind")
    found = [task["id"] for task in server.poll(*names, maxBatchSize=10)]
    assert found == [begun[0], begun[1], begun[3]]
    assert server.poll(*names) == []
