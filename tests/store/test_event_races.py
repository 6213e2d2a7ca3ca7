"""Concurrent events and subscriptions on two servers: each event is accepted and delivered once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.fixtures.events import publish, put_trigger, rule, subscribe
from tests.fixtures.locks import stopped_in, until_stuck
from tests.fixtures.servers import CallRefused
from tests.fixtures.two_servers import TwoServers
from tests.fixtures.waiting import until
from tests.fixtures.workflows import Decider

pytestmark = pytest.mark.shows("guarantees/event-once")

IS_FINAL = rule("status", value="final")
FINAL = {"status": "final"}


def tried(call: Any, *args: Any, **members: Any) -> Any:
    """Return the answer of a call, or the type of its refusal."""
    try:
        return call(*args, **members)
    except CallRefused as refused:
        return refused.fault["type"]


def test_the_same_event_at_two_servers_at_once_is_accepted_once(servers: TwoServers, pool: ThreadPoolExecutor) -> None:
    put_trigger(servers.one, IS_FINAL)
    with stopped_in(servers.conninfo, "events", "insert"):
        calls = [pool.submit(publish, server, FINAL, id="one") for server in servers]
        until_stuck(servers.conninfo, *calls)
    first, second = (call.result(10) for call in calls)
    assert first == second
    assert len(first["started"]) == 1
    assert servers.one.query("select count(*) from fencepost.live_tasks") == [(1,)]


def test_two_events_with_one_id_and_different_content_at_once_accept_one(
    servers: TwoServers, pool: ThreadPoolExecutor
) -> None:
    with stopped_in(servers.conninfo, "events", "insert"):
        calls = [
            pool.submit(tried, publish, server, {"n": n}, id="one") for n, server in enumerate((*servers, *servers))
        ]
        until_stuck(servers.conninfo, *calls[:2])
    answers = [call.result(10) for call in calls]
    assert sorted(str(answer == "already-exists") for answer in answers) == ["False", "True", "True", "True"]


def test_two_events_at_once_end_a_subscription_once(servers: TwoServers, pool: ThreadPoolExecutor) -> None:
    waiting = subscribe(servers.one, IS_FINAL)
    with stopped_in(servers.conninfo, "live_tasks", "delete"):
        calls = [pool.submit(publish, server, {**FINAL, "n": n}) for n, server in enumerate(servers)]
        until_stuck(servers.conninfo, *calls)
    completed = [call.result(10)["completed"] for call in calls]
    assert sorted(completed) == [[], [waiting]]
    assert servers.one.task(waiting)["result"]["resource"]["n"] == completed.index([waiting])


def test_an_event_waits_for_a_subscription_that_is_being_created(servers: TwoServers, pool: ThreadPoolExecutor) -> None:
    with stopped_in(servers.conninfo, "live_tasks", "insert"):
        subscribing = pool.submit(subscribe, servers.one, IS_FINAL)
        until_stuck(servers.conninfo, subscribing)
        publishing = pool.submit(publish, servers.other, FINAL)
        until_stuck(servers.conninfo, subscribing, publishing)
    assert publishing.result(10)["completed"] == [subscribing.result(10)]


def test_a_subscription_waits_for_an_event_that_is_being_accepted(
    servers: TwoServers, pool: ThreadPoolExecutor
) -> None:
    with stopped_in(servers.conninfo, "events", "insert"):
        publishing = pool.submit(publish, servers.one, FINAL)
        until_stuck(servers.conninfo, publishing)
        subscribing = pool.submit(subscribe, servers.other, IS_FINAL)
        until_stuck(servers.conninfo, publishing, subscribing)
    assert publishing.result(10)["completed"] == []
    assert publish(servers.one, FINAL)["completed"] == [subscribing.result(10)]


def test_a_slow_event_does_not_block_another_event(servers: TwoServers, pool: ThreadPoolExecutor) -> None:
    with stopped_in(servers.conninfo, "events", "insert", when="new.id = 'slow'"):
        slow = pool.submit(publish, servers.one, FINAL, id="slow")
        until_stuck(servers.conninfo, slow)
        assert publish(servers.other, FINAL, id="quick")["id"] == "quick"
        assert not slow.done()
    slow.result(10)


@pytest.mark.parametrize("event_first", [True, False])
def test_an_event_and_a_cancel_at_once_end_a_subscription_once(
    servers: TwoServers, pool: ThreadPoolExecutor, event_first: bool
) -> None:
    waiting = subscribe(servers.one, IS_FINAL)
    calls = [
        lambda: publish(servers.one, FINAL)["completed"],
        lambda: tried(servers.other.rpc, "awf.task/cancel", {"id": waiting}),
    ]
    with stopped_in(servers.conninfo, "live_tasks", "delete"):
        first = pool.submit(calls[not event_first])
        until_stuck(servers.conninfo, first)
        second = pool.submit(calls[event_first])
        until_stuck(servers.conninfo, first, second)
    answers = [first.result(10), second.result(10)]
    assert servers.one.task(waiting)["outcome"] == ("succeeded" if event_first else "canceled")
    assert answers[not event_first] == ([waiting] if event_first else [])
    assert (answers[event_first] == "task-has-been-done") is event_first


def test_a_decision_may_subscribe_while_events_end_another_subscription(
    servers: TwoServers, pool: ThreadPoolExecutor
) -> None:
    decider = Decider(servers.one, "demo/order")
    params = {"select-by": [rule("n", value=1)]}
    decider.create()
    decider.decide(decider.decision(), decider.task("first", "awf.task/subscribe", params=params))
    publish(servers.one, {"n": 1})
    decision = decider.decision()
    # The decision creates a subscription while events end another subscription of the same workflow.
    second = decider.task("second", "awf.task/subscribe", params=params)
    third = decider.task("third", "awf.task/subscribe", params={"select-by": [rule("n", value=2)]})
    with stopped_in(servers.conninfo, "live_tasks", "insert"):
        deciding = pool.submit(decider.decide, decision, second, third)
        until_stuck(servers.conninfo, deciding)
        publishing = [pool.submit(publish, server, {"n": 1}) for server in servers]
        until_stuck(servers.conninfo, deciding, *publishing)
    deciding.result(10)
    completed = [call.result(10)["completed"] for call in publishing]
    assert sorted(map(len, completed)) == [0, 1]
    assert decider.decision()["params"]["label"] == "second"


def test_concurrent_events_complete_each_subscription_exactly_once(
    servers: TwoServers, pool: ThreadPoolExecutor
) -> None:
    decider = Decider(servers.one, "demo/order")
    put_trigger(servers.one, rule("n", value=0), definition="awf.task/subscribe", params={"select-by": [IS_FINAL]})

    def one(n: int) -> tuple[str, list[str]]:
        server = servers[n % 2]
        match n % 4:
            case 0 | 1:
                return "subscribed", [subscribe(server, rule("n", value=n % 3))]
            case 2:
                decider.create(params={"n": n})
                for decision in decider.poll(maxBatchSize=1):
                    params = {"select-by": [rule("n", value=n % 3)]}
                    decider.decide(decision, decider.task(f"wait-{n}", "awf.task/subscribe", params=params))
                return "decided", []
            case _:
                return "completed", publish(server, {"n": n % 3})["completed"]

    done = list(pool.map(one, range(160)))
    completed = [id for what, ids in done if what == "completed" for id in ids]
    completed += [id for n in range(3) for id in publish(servers.one, {"n": n})["completed"]]
    assert len(completed) == len(set(completed)), "told twice"
    assert {id for what, ids in done if what == "subscribed" for id in ids} <= set(completed), "missed"
    assert {servers.one.task(id)["outcome"] for id in completed} == {"succeeded"}
    assert servers.one.query("select deadlocks from pg_stat_database where datname = current_database()") == [(0,)]


def test_an_event_applies_a_trigger_that_was_put_at_another_server(servers: TwoServers) -> None:
    for version in range(1, 6):
        put_trigger(servers.one, rule("n", value=version))
        assert len(publish(servers.other, {"n": version})["started"]) == 1
        assert publish(servers.other, {"n": version - 1})["started"] == []


def test_an_event_applies_a_definition_that_was_put_at_another_server(servers: TwoServers) -> None:
    put_trigger(servers.one, IS_FINAL, params={"n": {"get-in": ["n"]}})
    publish(servers.other, FINAL)
    for kind, starts in (("string", 0), ("integer", 1)):
        servers.one.define(params={"type": "object", "properties": {"n": {"type": kind}}})
        assert len(publish(servers.other, {**FINAL, "n": 1})["started"]) == starts


def test_a_task_started_by_an_event_wakes_a_poll_at_another_server(
    servers: TwoServers, pool: ThreadPoolExecutor
) -> None:
    put_trigger(servers.one, IS_FINAL)
    params = {"taskDefinitions": ["demo/resize"], "timeout": 20_000}
    polling = pool.submit(servers.other.rpc, "awf.task/long-poll", params)
    until(lambda: servers.other.app.waiting_polls)
    (started,) = publish(servers.one, FINAL)["started"]
    assert [task["id"] for task in polling.result(10)["resources"]] == [started["resource"]["id"]]
