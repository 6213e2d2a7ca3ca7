"""Every example of the vendor's Task Executor API page, as YAML, with the ids of an existing task."""

from __future__ import annotations

from textwrap import dedent
from typing import Any

import orjson
import pytest

from fencepost.notation.yaml import to_json
from tests.fixtures.servers import Server

IMPORT = "aidbox.bulk/import-resource-task"


@pytest.fixture
def executor(server: Server) -> Server:
    server.define(IMPORT)
    return server


def exchange(server: Server, body: str) -> tuple[int, Any]:
    status, headers, answer = server.send(
        "POST", "/rpc", dedent(body).encode(), content_type="text/yaml", accept="text/yaml"
    )
    assert headers["content-type"] == "text/yaml"
    return status, orjson.loads(to_json(answer))


def leased(server: Server, *, start: bool) -> dict[str, str]:
    server.create(IMPORT, id="c578a224-c1fa-44c1-bc7a-9d2e624b872b")
    (task,) = server.poll(IMPORT, start=start)
    return {"id": task["id"], "exec_id": task["execId"]}


def test_poll_returns_a_requested_task_with_its_exec_id(executor: Server) -> None:
    id = executor.create(IMPORT)["id"]

    status, answer = exchange(
        executor,
        """
        method: awf.task/poll
        params:
          taskDefinitions: [aidbox.bulk/import-resource-task]
        """,
    )

    (task,) = answer["result"]["resources"]
    assert (status, task["resourceType"], task["id"], task["status"]) == (200, "AidboxTask", id, "requested")
    assert len(task["execId"]) == 36


def test_poll_returns_an_empty_array_when_no_task_is_ready(executor: Server) -> None:
    _, answer = exchange(
        executor, "method: awf.task/poll\nparams: {taskDefinitions: [aidbox.bulk/import-resource-task]}"
    )

    assert answer == {"result": {"resources": []}}


def test_long_poll_returns_a_ready_task_at_once(executor: Server) -> None:
    id = executor.create(IMPORT)["id"]

    _, answer = exchange(
        executor,
        """
        method: awf.task/long-poll
        params:
          timeout: 50000
          taskDefinitions: [aidbox.bulk/import-resource-task]
        """,
    )

    assert [task["id"] for task in answer["result"]["resources"]] == [id]


def test_start_puts_a_requested_task_in_progress(executor: Server) -> None:
    _, answer = exchange(
        executor,
        """
        method: awf.task/start
        params:
          id: {id}
          execId: {exec_id}
        """.format(**leased(executor, start=False)),
    )

    resource = answer["result"]["resource"]
    assert (resource["status"], resource["retryCount"]) == ("in-progress", 1)


def test_notify_extends_the_deadline_and_returns_it(executor: Server) -> None:
    lease = leased(executor, start=True)
    before = executor.task(lease["id"])["inProgressTimeoutAt"]

    _, answer = exchange(
        executor,
        """
        method: awf.task/notify
        params:
          id: {id}
          execId: {exec_id}
          notification: awf.task/heartbeat
          message: "task is alive"
        """.format(**lease),
    )

    assert answer["result"]["inProgressTimeoutAt"] > before
    assert executor.log(lease["id"])[-1]["action-params"]["message"] == "task is alive"


def test_success_completes_a_task_as_succeeded(executor: Server) -> None:
    _, answer = exchange(
        executor,
        """
        method: awf.task/success
        params:
          id: {id}
          execId: {exec_id}
        """.format(**leased(executor, start=True)),
    )

    resource = answer["result"]["resource"]
    assert (resource["status"], resource["outcome"]) == ("done", "succeeded")


def test_fail_puts_a_task_into_waiting_for_its_next_attempt(executor: Server) -> None:
    _, answer = exchange(
        executor,
        """
        method: awf.task/fail
        params:
          id: {id}
          execId: {exec_id}
        """.format(**leased(executor, start=True)),
    )

    resource = answer["result"]["resource"]
    assert (resource["status"], resource["retryCount"], "executeAt" in resource) == ("waiting", 1, True)
