"""What a client does about failures, without a network: the conversation is held by hand."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from fencepost_sdk import ConnectionFailed, RpcError, conversations
from fencepost_sdk.conversations import Conversation, Pause, Post
from fencepost_sdk.transport import Reply

TASK = {"id": "a", "definition": "demo/x", "status": "ready"}
LOST = ConnectionFailed("cut")


def reply(body: Any, status: int = 200, retry_after: float | None = None) -> Reply:
    return Reply(status, retry_after, json.dumps(body).encode())


def refusal(type: str, status: int) -> Reply:
    return reply({"error": {"type": type, "message": "no"}}, status)


def hold(conversation: Conversation[Any], *answers: Reply | ConnectionFailed) -> tuple[Any, list[Any], list[float]]:
    """Hold a conversation with prepared answers; return what it comes to, what it posted and how long it paused."""
    posted: list[Any] = []
    paused: list[float] = []
    left = list(answers)
    try:
        step = next(conversation)
        while True:
            if isinstance(step, Pause):
                paused.append(step.seconds)
                step = conversation.send(None)
                continue
            assert isinstance(step, Post)
            posted.append(json.loads(step.body))
            answer = left.pop(0)
            step = conversation.throw(answer) if isinstance(answer, ConnectionFailed) else conversation.send(answer)
    except StopIteration as end:
        assert not left
        return end.value, posted, paused


def create(**given: Any) -> Conversation[Any]:
    return conversations.create(
        "demo/x", {"n": 1}, **{"id": None, "label": None, "execute_at": None, "patience": 5.0, **given}
    )


def test_a_create_whose_reply_was_lost_is_repeated_under_the_same_id() -> None:
    task, (first, second), _ = hold(create(), LOST, reply({"result": {"resource": TASK}}))
    assert task.status == "ready"
    assert first == second
    assert first["params"]["id"]


def test_the_time_to_run_at_is_sent_in_utc() -> None:
    at = datetime.fromisoformat("2026-01-02T03:04:05+02:00")
    _, (sent,), _ = hold(create(execute_at=at), reply({"result": {"resource": TASK}}))
    assert sent["params"]["executeAt"] == "2026-01-02T01:04:05Z"
    assert datetime.fromisoformat(sent["params"]["executeAt"]) == at.astimezone(UTC)


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="has no timezone"):
        hold(create(execute_at=datetime(2026, 1, 1)))


def test_an_overloaded_server_is_waited_for_as_long_as_it_asks() -> None:
    busy = Reply(503, 2.0, b"")
    _, posted, (pause,) = hold(create(), busy, reply({"result": {"resource": TASK}}))
    assert len(posted) == 2
    assert 2.0 <= pause < 2.5


def test_patience_ends() -> None:
    with pytest.raises(ConnectionFailed, match="503"):
        hold(create(patience=1.0), Reply(503, 2.0, b""))
    with pytest.raises(ConnectionFailed, match="cut"):
        hold(create(patience=0.0), LOST)


def test_a_call_that_might_be_done_twice_is_not_repeated() -> None:
    unnamed = conversations.call("awf.task/create-and-execute", {"definition": "demo/x"}, Any, 5.0)
    with pytest.raises(ConnectionFailed):
        hold(unnamed, LOST)
    with pytest.raises(ConnectionFailed):
        hold(conversations.batch([("awf.task/poll", {"taskDefinitions": ["demo/x"]})], 5.0), LOST)


def test_a_cancel_that_was_done_by_our_own_lost_call_succeeds() -> None:
    canceled = {**TASK, "status": "done", "outcome": "canceled"}
    task, _, _ = hold(
        conversations.cancel("a", 5.0),
        LOST,
        refusal("task-has-been-done", 422),
        reply({"result": {"resource": canceled}}),
    )
    assert task.outcome == "canceled"


def test_a_cancel_of_what_was_over_before_is_refused() -> None:
    with pytest.raises(RpcError) as caught:
        hold(conversations.cancel("a", 5.0), refusal("task-has-been-done", 422))
    assert (caught.value.type, caught.value.status) == ("task-has-been-done", 422)


def test_a_retry_that_was_begun_by_our_own_lost_call_succeeds() -> None:
    task, _, _ = hold(
        conversations.retry("a", 5.0), LOST, refusal("task-not-done", 422), reply({"result": {"resource": TASK}})
    )
    assert task.status == "ready"


def test_a_batch_gives_results_and_refusals_in_their_places() -> None:
    answers = reply([{"result": {"resource": TASK}}, {"error": {"type": "task-not-found", "message": "no"}}])
    (first, second), _, _ = hold(conversations.batch([("a", {}), ("b", {})], 5.0), answers)
    assert first == {"resource": TASK}
    assert isinstance(second, RpcError)
    assert second.type == "task-not-found"


def test_a_page_that_is_not_fenceposts_is_told_as_that() -> None:
    with pytest.raises(ConnectionFailed, match="not one of Fencepost's"):
        hold(create(), Reply(200, None, b"<html>Please log in</html>"))
    with pytest.raises(RpcError, match="Forbidden by policy"):
        hold(create(), Reply(403, None, b"Forbidden by policy"))


def test_waiting_for_a_result_looks_more_and_more_seldom() -> None:
    running = reply({"result": {"resource": {**TASK, "status": "in-progress"}}})
    done = reply({"result": {"resource": {**TASK, "status": "done", "outcome": "succeeded", "result": {"n": 2}}}})
    result, _, paused = hold(conversations.result("a", None, 5.0), *[running] * 20, done)
    assert result == {"n": 2}
    assert paused == sorted(paused)
    assert paused[-1] == 1.0
