from __future__ import annotations

import json

from fencepost_sdk.polls import Capacity, Poll, PolledDefinitions
from fencepost_sdk.protocol import Fault


def capacity(concurrency: int = 10) -> Capacity:
    return Capacity(PolledDefinitions(["demo/x"]), "me", concurrency)


def request_id(poll: Poll | None) -> str:
    assert poll is not None
    return str(json.loads(poll.encode_poll())["params"]["requestId"])


def test_one_poll_at_a_time_asks_for_the_whole_free_capacity() -> None:
    worker = capacity()
    worker.running = 4
    poll = worker.next_poll(0.0)
    assert poll is not None
    assert poll.size == 6
    assert worker.next_poll(0.0) is None
    worker.answered()
    worker.running = 10
    assert worker.next_poll(0.0) is None


def test_prefetched_tasks_count_as_taken() -> None:
    worker = Capacity(PolledDefinitions(["demo/x"]), "me", 10, prefetch=5)
    worker.running, worker.waiting = 10, 2
    poll = worker.next_poll(0.0)
    assert poll is not None
    assert poll.size == 3
    worker.answered()
    worker.waiting = 5
    assert worker.next_poll(0.0) is None


def test_a_poll_and_its_long_poll_have_the_same_params() -> None:
    poll = capacity().next_poll(0.0)
    assert poll is not None
    short, long = json.loads(poll.encode_poll()), json.loads(poll.encode_long_poll())
    assert (short["method"], long["method"]) == ("awf.task/poll", "awf.task/long-poll")
    assert long["params"].pop("timeout") == 50_000
    assert short["params"] == long["params"]


def test_every_new_poll_has_a_new_request_id() -> None:
    worker = capacity()
    first = request_id(worker.next_poll(0.0))
    worker.answered()
    assert request_id(worker.next_poll(0.0)) != first


def test_a_poll_after_a_server_error_is_repeated_later_under_its_request_id() -> None:
    worker = capacity()
    first = request_id(worker.next_poll(0.0))
    worker.refused(Fault("internal-error"), 0.0)
    assert worker.next_poll(0.0) is None
    assert request_id(worker.next_poll(60.0)) == first


def test_a_poll_above_the_servers_batch_limit_is_halved() -> None:
    worker = capacity()
    worker.next_poll(0.0)
    worker.refused(Fault("invalid-params", path="$[0].params.maxBatchSize"), 0.0)
    poll = worker.next_poll(0.0)
    assert poll is not None
    assert poll.size == 5


def test_a_refusal_for_another_reason_does_not_halve_the_poll() -> None:
    worker = capacity()
    worker.next_poll(0.0)
    worker.refused(Fault("invalid-params", path="$[0].params.taskDefinitions[0]"), 0.0)
    poll = worker.next_poll(60.0)
    assert poll is not None
    assert poll.size == 10


def test_a_closed_capacity_sends_no_poll() -> None:
    worker = capacity()
    worker.closed = True
    assert worker.next_poll(0.0) is None
