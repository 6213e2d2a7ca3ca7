from __future__ import annotations

import json

from fencepost_sdk.polls import Ask, Slots, Wanted
from fencepost_sdk.protocol import Fault


def slots(concurrency: int = 10) -> Slots:
    return Slots(Wanted(["demo/x"]), "me", concurrency)


def request_id(ask: Ask | None) -> str:
    assert ask is not None
    return str(json.loads(ask.poll())["params"]["requestId"])


def test_one_poll_at_a_time_asks_for_all_that_is_free() -> None:
    free = slots()
    free.running = 4
    asked = free.ask(0.0)
    assert asked is not None
    assert asked.size == 6
    assert free.ask(0.0) is None
    free.answered()
    free.running = 10
    assert free.ask(0.0) is None


def test_what_waits_for_a_slot_counts_as_taken() -> None:
    free = Slots(Wanted(["demo/x"]), "me", 10, prefetch=5)
    free.running, free.waiting = 10, 2
    asked = free.ask(0.0)
    assert asked is not None
    assert asked.size == 3
    free.answered()
    free.waiting = 5
    assert free.ask(0.0) is None


def test_a_poll_is_the_same_request_by_either_method() -> None:
    asked = slots().ask(0.0)
    assert asked is not None
    poll, long_poll = json.loads(asked.poll()), json.loads(asked.long_poll())
    assert (poll["method"], long_poll["method"]) == ("awf.task/poll", "awf.task/long-poll")
    assert long_poll["params"].pop("timeout") == 50_000
    assert poll["params"] == long_poll["params"]


def test_every_new_poll_has_a_new_request_id() -> None:
    free = slots()
    first = request_id(free.ask(0.0))
    free.answered()
    assert request_id(free.ask(0.0)) != first


def test_a_poll_that_the_server_failed_to_answer_is_asked_again_under_its_request_id_and_later() -> None:
    free = slots()
    first = request_id(free.ask(0.0))
    free.refused(Fault("internal-error"), 0.0)
    assert free.ask(0.0) is None
    assert request_id(free.ask(60.0)) == first


def test_a_poll_that_is_too_large_for_the_server_becomes_smaller() -> None:
    free = slots()
    free.ask(0.0)
    free.refused(Fault("invalid-params", path="$[0].params.maxBatchSize"), 0.0)
    asked = free.ask(0.0)
    assert asked is not None
    assert asked.size == 5


def test_another_refusal_does_not_make_polls_smaller() -> None:
    free = slots()
    free.ask(0.0)
    free.refused(Fault("invalid-params", path="$[0].params.taskDefinitions[0]"), 0.0)
    asked = free.ask(60.0)
    assert asked is not None
    assert asked.size == 10


def test_a_worker_that_stops_asks_no_more() -> None:
    free = slots()
    free.closed = True
    assert free.ask(0.0) is None
