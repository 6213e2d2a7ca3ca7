"""Polls that name the members that they want of each task."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from fencepost.clock import FrozenClock
from fencepost.domain.polled import POLLED_FIELDS
from tests.fixtures.servers import Server, pass_time
from tests.fixtures.waiting import until
from tests.fixtures.workflows import Decider

ALL = list(POLLED_FIELDS)


def picked(task: Any, *fields: str) -> dict[str, Any]:
    """Return the members of a whole task that a poll with these fields returns."""
    return {name: task[name] for name in ("id", "execId", *fields) if name in task}


@pytest.mark.parametrize("fields", [[], ["params"], ["definition", "params", "inProgressTimeout"], ALL])
@pytest.mark.parametrize("limits", [{}, {"concurrencyLimit": 9}])
def test_a_poll_returns_the_named_members_as_they_are_in_the_whole_task(
    server: Server, limits: dict[str, Any], fields: list[str]
) -> None:
    server.define(inProgressTimeout=5000, attemptTimeout=60_000, **limits)
    server.create(params={"é\n": [1.50, '"']}, label='a "label" é\n')
    server.create(id="Mine.1-2", settings={"inProgressTimeout": 1234, "allowedRetryCount": 7, "retryDelay": 1})

    tasks = server.poll(start=True, maxBatchSize=9, fields=fields)

    assert tasks == [picked(server.task(task["id"]), *fields) for task in tasks]
    assert len(tasks) == 2


@pytest.mark.parametrize("limits", [{}, {"concurrencyLimit": 9}])
def test_a_task_with_lost_attempts_is_polled_alone(
    frozen_server: Server, clock: FrozenClock, limits: dict[str, Any]
) -> None:
    frozen_server.define(inProgressTimeout=5000, retryDelay=1000, **limits)
    ids = frozen_server.rpc("awf.task/create-many", {"definition": "demo/resize", "params": [{}, {}]})["ids"]
    fields = ["lostAttempts", "retryCount"]
    first = frozen_server.poll(start=True, maxBatchSize=9, fields=fields)
    pass_time(frozen_server, clock, 5000)
    pass_time(frozen_server, clock, 3 * 1000)  # a lost attempt waits longer
    second = [frozen_server.poll(start=True, maxBatchSize=9, fields=fields) for _ in range(2)]

    assert [task | {"execId": None} for task in first] == [{"id": id, "execId": None, "retryCount": 1} for id in ids]
    assert sorted(task["id"] for (task,) in second) == sorted(ids)
    assert [(task["lostAttempts"], task["retryCount"]) for (task,) in second] == [(1, 2)] * 2


def test_decisions_and_activities_have_the_named_members(server: Server) -> None:
    server.define()
    decider = Decider(server, "demo/order", inProgressTimeout=7000)
    workflow = decider.create()["id"]

    (decision,) = decider.poll(fields=ALL)

    whole = server.task(decision["id"])
    assert decision == picked(whole, *ALL)
    assert (decision["definition"], decision["workflow-definition"]) == ("awf.workflow/decision-task", "demo/order")
    decider.decide(decision, decider.task("a", params={"n": 1}))
    (activity,) = server.poll(start=True, fields=ALL)
    assert activity == picked(server.task(activity["id"]), *ALL)
    assert activity["requester"] == {"resourceType": "AidboxWorkflow", "id": workflow}


def test_polls_with_and_without_fields_share_a_claim(server: Server) -> None:
    server.define()
    wanted: list[dict[str, Any]] = [{}, {"fields": ["params"]}, {"fields": ["label"]}, {}]
    with ThreadPoolExecutor(4) as pool:
        call = {"taskDefinitions": ["demo/resize"], "timeout": 20_000}
        polls = [pool.submit(server.rpc, "awf.task/long-poll", {**call, **members}) for members in wanted]
        until(lambda: server.app.waiting_polls == 4)
        server.rpc("awf.task/create-many", {"definition": "demo/resize", "params": [{"n": 1}] * 4})
        tasks = [poll.result(10)["resources"][0] for poll in polls]

    assert [set(task) & {"params", "status"} for task in tasks] == [
        {"params", "status"},
        {"params"},
        set(),
        {"params", "status"},
    ]
    assert len({task["id"] for task in tasks}) == 4


def test_a_repeated_poll_with_fields_gets_the_same_tasks(server: Server) -> None:
    server.define()
    for number in range(3):
        server.create(params={"n": number})

    first = server.poll(requestId="r", maxBatchSize=2, fields=["params"])

    assert [set(task) for task in first] == [{"id", "execId", "params"}] * 2
    assert server.poll(requestId="r", maxBatchSize=2, fields=["params"]) == first
    assert server.poll(requestId="r", maxBatchSize=2, fields=[]) == [picked(task) for task in first]


def test_the_answer_ends_with_the_task_that_fills_it(server: Server) -> None:
    server.define()
    for number in range(12):
        server.create(params={"n": number, "pad": "x" * 900_000})

    counts = [len(server.poll(maxBatchSize=12, fields=["params"])) for _ in range(3)]

    assert (sum(counts), max(counts)) == (12, 10)


@pytest.mark.parametrize(("fields", "path"), [(["status"], "[0]"), (["params", 1], "[1]"), ("params", "")])
def test_an_unknown_field_is_refused(server: Server, fields: Any, path: str) -> None:
    refusal = server.refused("awf.task/poll", {"taskDefinitions": ["demo/resize"], "fields": fields})
    assert refusal == (400, "invalid-params", f"$.params.fields{path}")
