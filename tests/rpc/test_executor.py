"""Guarantees for workers: the fencing token, repeated calls, requestId, start, release, and cancellation."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest

from fencepost.clock import FrozenClock
from tests.fixtures.servers import Server

pytestmark = pytest.mark.shows("guarantees/no-late-write", "guarantees/lost-reply")

OTHER = str(uuid.uuid4())
FINISHES = ["awf.task/success", "awf.task/fail"]


@pytest.fixture(autouse=True)
def definition(server: Server) -> None:
    server.define(retryDelay=60_000)


@pytest.mark.parametrize("method", ["awf.task/start", "awf.task/notify", "awf.task/release", *FINISHES])
def test_another_exec_id_is_409_and_an_unknown_task_404(server: Server, method: str) -> None:
    lease = server.started()
    extra = {"notification": "heartbeat"} if method == "awf.task/notify" else {}

    assert server.refused(method, {**lease, **extra, "execId": OTHER})[:2] == (409, "exec-id-mismatch")
    assert server.refused(method, {**extra, "id": "unknown", "execId": OTHER})[:2] == (404, "task-not-found")
    assert server.task(lease["id"])["status"] == "in-progress"


@pytest.mark.parametrize("method", [*FINISHES, "awf.task/notify"])
def test_a_report_about_a_task_that_was_not_started_is_422(server: Server, method: str) -> None:
    server.create()
    (task,) = server.poll()
    extra = {"notification": "heartbeat"} if method == "awf.task/notify" else {}

    refusal = server.refused(method, {"id": task["id"], "execId": task["execId"], **extra})

    assert refusal == (422, "task-not-in-progress", "$.params.id")


def test_a_repeated_success_with_the_same_content_gets_the_first_answer(server: Server) -> None:
    lease = server.started()
    first = server.rpc("awf.task/success", {**lease, "result": {"a": 1, "b": [2]}})

    assert server.rpc("awf.task/success", {**lease, "result": {"b": [2], "a": 1}}) == first
    assert server.refused("awf.task/success", {**lease, "result": {"a": 2}})[:2] == (409, "task-has-been-done")
    assert server.refused("awf.task/fail", lease)[:2] == (409, "task-has-been-done")
    assert [entry["action"] for entry in server.log(lease["id"])].count("awf.task/success") == 1


def test_a_repeated_fail_gets_the_first_answer_even_while_another_attempt_runs(server: Server) -> None:
    server.define(retryDelay=0)
    lease = server.started()
    first = server.rpc("awf.task/fail", {**lease, "error": {"why": "disk"}})
    server.reap()
    (again,) = server.poll(start=True)

    assert first["resource"]["status"] == "waiting"
    assert server.rpc("awf.task/fail", {**lease, "error": {"why": "disk"}}) == first
    assert server.refused("awf.task/fail", {**lease, "error": {"why": "net"}})[:2] == (409, "exec-id-mismatch")
    assert server.task(lease["id"])["execId"] == again["execId"]


def test_a_repeated_start_gets_the_first_answer(server: Server) -> None:
    server.create()
    (task,) = server.poll()
    lease = {"id": task["id"], "execId": task["execId"]}
    first = server.rpc("awf.task/start", lease)

    assert server.rpc("awf.task/start", lease) == first
    server.rpc("awf.task/success", lease)
    assert server.rpc("awf.task/start", lease) == first
    assert len(server.log(task["id"])) == 4


def test_poll_with_start_returns_tasks_in_progress(server: Server) -> None:
    server.create()

    (task,) = server.poll(start=True, worker="w-1")

    assert (task["status"], task["retryCount"], task["worker"]) == ("in-progress", 1, "w-1")
    entry = server.log(task["id"])[-1]
    assert (entry["status-before"], entry["status-after"], entry["worker"]) == ("ready", "in-progress", "w-1")


def test_a_poll_without_definitions_is_refused(server: Server) -> None:
    assert server.refused("awf.task/poll", {})[:2] == (400, "invalid-params")


def test_a_poll_for_several_definitions_gets_the_oldest_tasks_first(server: Server) -> None:
    server.define("demo/other")
    ids = [server.create(definition)["id"] for definition in ("demo/other", "demo/resize", "demo/other")]

    tasks = server.poll("demo/resize", "demo/other", "demo/undeclared", maxBatchSize=2)

    assert [task["id"] for task in tasks] == ids[:2]


def test_a_repeated_request_id_gets_the_tasks_that_it_still_holds_and_no_others(server: Server) -> None:
    for _ in range(3):
        server.create()
    first = server.poll(maxBatchSize=2, requestId="r-1")
    server.rpc("awf.task/start", {"id": first[0]["id"], "execId": first[0]["execId"]})

    again = server.poll(maxBatchSize=2, requestId="r-1")

    assert [(task["id"], task["execId"]) for task in again] == [(task["id"], task["execId"]) for task in first]
    assert [task["status"] for task in again] == ["in-progress", "requested"]
    server.rpc("awf.task/success", {"id": first[0]["id"], "execId": first[0]["execId"]})
    assert [task["id"] for task in server.poll(maxBatchSize=2, requestId="r-1")] == [first[1]["id"]]


def test_a_request_id_without_leases_can_be_used_for_another_poll(server: Server) -> None:
    server.define("demo/other")
    server.create()
    other = server.create("demo/other")["id"]
    (task,) = server.poll(requestId="r-1")
    server.rpc("awf.task/release", {"id": task["id"], "execId": task["execId"]})
    server.poll()  # leases the task again, without a requestId

    assert [task["id"] for task in server.poll("demo/other", requestId="r-1")] == [other]
    assert [task["id"] for task in server.poll("demo/other", requestId="r-1")] == [other]
    assert server.refused("awf.task/poll", {"taskDefinitions": ["demo/resize"], "requestId": "r-1"})[0] == 409


def test_a_request_id_with_other_params_is_409(server: Server) -> None:
    server.create()
    server.poll(maxBatchSize=2, requestId="r-1")

    refusal = server.refused("awf.task/poll", {"taskDefinitions": ["demo/resize"], "requestId": "r-1"})

    assert refusal == (409, "request-id-reused", "$.params.requestId")


def test_an_empty_answer_is_not_stored_for_its_request_id(server: Server) -> None:
    assert server.poll(requestId="r-1") == []
    id = server.create()["id"]

    assert [task["id"] for task in server.poll(requestId="r-1")] == [id]


def test_release_returns_a_task_to_ready_without_counting_the_attempt(server: Server) -> None:
    lease = server.started()

    released = server.rpc("awf.task/release", lease)

    assert (released["resource"]["status"], released["resource"].get("retryCount", 0)) == ("ready", 0)
    assert server.rpc("awf.task/release", lease) == released
    (task,) = server.poll(start=True)
    assert (task["retryCount"], task["execId"] != lease["execId"]) == (1, True)


def test_a_heartbeat_for_a_canceled_task_gets_cancel_requested_and_a_finish_is_refused(server: Server) -> None:
    lease = server.started()
    server.rpc("awf.task/cancel", {"id": lease["id"]})

    told = [server.rpc("awf.task/notify", {**lease, "notification": "heartbeat"}) for _ in range(2)]

    assert told == [{"inProgressTimeoutAt": None, "cancelRequested": True}] * 2
    for method in FINISHES:
        assert server.refused(method, lease)[:2] == (409, "task-has-been-done")
    log = server.log(lease["id"])
    assert [(e["action"], e["status-after"]) for e in log[-2:]] == [
        ("awf.task/cancel", "done"),
        ("awf.task/notify", "done"),
    ]
    assert server.task(lease["id"])["meta"]["versionId"] == log[-1]["versionId"]


def test_progress_is_logged_with_its_numbers(server: Server) -> None:
    lease = server.started()
    said = {"progress-current": 5, "progress-total": 10, "progress-unit": "rows"}

    for kind in ("progress", "awf.task/progress"):
        server.rpc("awf.task/notify", {**lease, "notification": kind, **said})

    entry = server.log(lease["id"])[-1]
    assert entry["action-params"] == {"notification": "progress", **said}
    assert entry["re-scheduled"]["action"] == "awf.engine/timeout"
    assert server.refused("awf.task/notify", {**lease, "notification": "progress"})[2] == "$.params.progress-current"


def test_fail_accepts_the_error_in_the_member_result(server: Server) -> None:
    server.define(allowedRetryCount=0)
    lease = server.started()

    resource = server.rpc("awf.task/fail", {**lease, "result": {"why": "disk"}})["resource"]

    assert resource["error"] == {"why": "disk"}
    assert resource["outcomeReason"] == {"type": "awf.task/failed-by-executor", "message": "Failed by executor"}


def test_two_allowed_retries_are_three_attempts(frozen_server: Server, clock: FrozenClock) -> None:
    frozen_server.define(allowedRetryCount=2, retryDelay=10_000)
    id = frozen_server.create()["id"]
    states = []
    for _ in range(3):
        (task,) = frozen_server.poll(start=True)
        states.append(frozen_server.rpc("awf.task/fail", {"id": id, "execId": task["execId"]})["resource"])
        clock.advance(timedelta(seconds=10))
        frozen_server.reap()

    assert [state["status"] for state in states] == ["waiting", "waiting", "done"]
    assert (states[-1]["outcome"], states[-1]["retryCount"]) == ("failed", 3)


# Short answers

SHORT = {"include-resource?": False}


@pytest.mark.parametrize("method", ["awf.task/start", "awf.task/release", *FINISHES])
def test_a_call_without_the_resource_gets_the_id_and_has_the_same_effect(server: Server, method: str) -> None:
    tasks = []
    for members in ({}, SHORT):
        server.create()
        (task,) = server.poll(start=method != "awf.task/start")
        lease = {"id": task["id"], "execId": task["execId"]}
        answer = server.rpc(method, {**lease, **members})
        assert ("resource" in answer, answer.get("id")) == ((False, task["id"]) if members else (True, None))
        assert server.rpc(method, {**lease, **members}) == answer, "a repeat got another answer"
        tasks.append(server.task(task["id"]))
        if tasks[-1]["status"] != "done":
            server.rpc("awf.task/cancel", {"id": task["id"]})

    whole, short = ({name: task.get(name) for name in ("status", "outcome", "retryCount")} for task in tasks)
    assert whole == short


def test_calls_of_one_array_can_ask_for_short_and_full_answers(server: Server) -> None:
    for _ in range(4):
        server.create()
    tasks = server.poll(maxBatchSize=4, start=True)
    finishes = [
        {"id": task["id"], "execId": OTHER if place == 2 else task["execId"], **(SHORT if place % 2 else {})}
        for place, task in enumerate(tasks)
    ]

    _, answers = server.post([{"method": "awf.task/success", "params": params} for params in finishes])

    assert [sorted(answer.get("result", answer.get("error"))) for answer in answers] == [
        ["resource"],
        ["id"],
        ["message", "path", "type"],
        ["id"],
    ]
    assert answers[2]["error"]["type"] == "exec-id-mismatch"


def test_a_create_without_the_resource_gets_only_the_id(server: Server) -> None:
    create = {"definition": "demo/resize", "params": {"width": 3}, **SHORT}

    answer = server.rpc("awf.task/create-and-execute", create)
    named = server.rpc("awf.task/create-and-execute", {**create, "id": "mine"})
    again = server.rpc("awf.task/create-and-execute", {**create, "id": "mine"})
    (first,) = server.poll()

    assert (sorted(answer), named, again) == (["id"], {"id": "mine"}, {"id": "mine"})
    assert (first["id"], first["params"]) == (answer["id"], {"width": 3})
    assert server.refused("awf.task/create-and-execute", {**create, "id": "mine", "params": {}})[1] == "already-exists"


def test_a_task_failed_with_a_short_answer_is_retried_in_time(server: Server) -> None:
    server.define(retryDelay=100)
    lease = server.started()

    server.rpc("awf.task/fail", {**lease, **SHORT})

    params = {"taskDefinitions": ["demo/resize"], "timeout": 20_000}
    (again,) = server.rpc("awf.task/long-poll", params)["resources"]
    assert again["id"] == lease["id"]
