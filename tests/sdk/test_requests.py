"""Requests of a client and their failures, with prepared replies in place of a network."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from fencepost_sdk import ConnectionFailed, RpcError, requests
from fencepost_sdk.requests import Pause, Post, Request
from fencepost_sdk.transport import Reply

TASK = {"id": "a", "definition": "demo/x", "status": "ready"}
LOST = ConnectionFailed("cut")


def reply(body: Any, status: int = 200, retry_after: float | None = None) -> Reply:
    return Reply(status, retry_after, json.dumps(body).encode())


def refusal(type: str, status: int) -> Reply:
    return reply({"error": {"type": type, "message": "no"}}, status)


def answer_with(request: Request[Any], *answers: Reply | ConnectionFailed) -> tuple[Any, list[Any], list[float]]:
    """Run a request with prepared replies; return its result, the bodies that it posted and the pauses that it made."""
    posted: list[Any] = []
    paused: list[float] = []
    left = list(answers)
    try:
        step = next(request)
        while True:
            if isinstance(step, Pause):
                paused.append(step.seconds)
                step = request.send(None)
                continue
            assert isinstance(step, Post)
            posted.append(json.loads(step.body))
            answer = left.pop(0)
            step = request.throw(answer) if isinstance(answer, ConnectionFailed) else request.send(answer)
    except StopIteration as end:
        assert not left
        return end.value, posted, paused


def create(**given: Any) -> Request[Any]:
    return requests.create(
        "demo/x", {"n": 1}, **{"id": None, "label": None, "execute_at": None, "patience": 5.0, **given}
    )


def test_a_create_with_a_lost_reply_is_repeated_under_the_same_id() -> None:
    task, (first, second), _ = answer_with(create(), LOST, reply({"result": {"resource": TASK}}))
    assert task.status == "ready"
    assert first == second
    assert first["params"]["id"]


def test_execute_at_is_sent_in_utc() -> None:
    at = datetime.fromisoformat("2026-01-02T03:04:05+02:00")
    _, (sent,), _ = answer_with(create(execute_at=at), reply({"result": {"resource": TASK}}))
    assert sent["params"]["executeAt"] == "2026-01-02T01:04:05Z"
    assert datetime.fromisoformat(sent["params"]["executeAt"]) == at.astimezone(UTC)


def test_execute_at_without_a_timezone_is_refused() -> None:
    with pytest.raises(ValueError, match="has no timezone"):
        answer_with(create(execute_at=datetime(2026, 1, 1)))


def test_retry_after_of_an_overloaded_server_is_followed() -> None:
    busy = Reply(503, 2.0, b"")
    _, posted, (pause,) = answer_with(create(), busy, reply({"result": {"resource": TASK}}))
    assert len(posted) == 2
    assert 2.0 <= pause < 2.5


def test_a_request_fails_after_its_patience() -> None:
    with pytest.raises(ConnectionFailed, match="503"):
        answer_with(create(patience=1.0), Reply(503, 2.0, b""))
    with pytest.raises(ConnectionFailed, match="cut"):
        answer_with(create(patience=0.0), LOST)


def test_a_call_that_is_not_idempotent_is_not_repeated() -> None:
    unnamed = requests.call("awf.task/create-and-execute", {"definition": "demo/x"}, Any, 5.0)
    with pytest.raises(ConnectionFailed):
        answer_with(unnamed, LOST)
    with pytest.raises(ConnectionFailed):
        answer_with(requests.batch([("awf.task/poll", {"taskDefinitions": ["demo/x"]})], 5.0), LOST)


def test_a_cancel_succeeds_when_its_own_lost_attempt_canceled_the_task() -> None:
    canceled = {**TASK, "status": "done", "outcome": "canceled"}
    task, _, _ = answer_with(
        requests.cancel("a", 5.0),
        LOST,
        refusal("task-has-been-done", 422),
        reply({"result": {"resource": canceled}}),
    )
    assert task.outcome == "canceled"


def test_a_cancel_of_a_done_task_is_refused() -> None:
    with pytest.raises(RpcError) as caught:
        answer_with(requests.cancel("a", 5.0), refusal("task-has-been-done", 422))
    assert (caught.value.type, caught.value.status) == ("task-has-been-done", 422)


def test_a_retry_succeeds_when_its_own_lost_attempt_made_the_task_ready() -> None:
    task, _, _ = answer_with(
        requests.retry("a", 5.0), LOST, refusal("task-not-done", 422), reply({"result": {"resource": TASK}})
    )
    assert task.status == "ready"


def test_a_batch_returns_results_and_errors_in_order() -> None:
    answers = reply([{"result": {"resource": TASK}}, {"error": {"type": "task-not-found", "message": "no"}}])
    (first, second), _, _ = answer_with(requests.batch([("a", {}), ("b", {})], 5.0), answers)
    assert first == {"resource": TASK}
    assert isinstance(second, RpcError)
    assert second.type == "task-not-found"


def test_an_answer_that_is_not_from_fencepost_is_reported() -> None:
    with pytest.raises(ConnectionFailed, match="not from a Fencepost server"):
        answer_with(create(), Reply(200, None, b"<html>Please log in</html>"))
    with pytest.raises(RpcError, match="Forbidden by policy"):
        answer_with(create(), Reply(403, None, b"Forbidden by policy"))


def test_polls_for_a_result_have_growing_intervals_where_the_server_does_not_wait() -> None:
    running = reply({"result": {"resource": {**TASK, "status": "in-progress"}}})
    done = reply({"result": {"resource": {**TASK, "status": "done", "outcome": "succeeded", "result": {"n": 2}}}})
    unknown = refusal("method-not-found", 404)
    result, posted, paused = answer_with(requests.result("a", None, 5.0), unknown, *[running] * 20, done)
    assert result == {"n": 2}
    assert [one["method"] for one in posted] == ["awf.task/wait-for", *["awf.task/status"] * 21]
    assert paused == sorted(paused)
    assert paused[-1] == 1.0


def test_a_server_that_stops_is_not_asked_again_at_once() -> None:
    running = reply({"result": {"resource": {**TASK, "status": "in-progress"}}})
    done = reply({"result": {"resource": {**TASK, "status": "done", "outcome": "succeeded", "result": {"n": 2}}}})
    result, posted, paused = answer_with(requests.result("a", 600.0, 5.0), running, running, done)
    assert result == {"n": 2}
    assert [one["params"]["timeout"] for one in posted] == [25_000] * 3
    assert len(paused) == 2
