"""Methods about tasks for users: create, status, list, cancel, retry."""

from __future__ import annotations

from datetime import timedelta

import pytest

from fencepost.clock import FrozenClock
from tests.fixtures.servers import Server


@pytest.fixture(autouse=True)
def definition(server: Server) -> None:
    server.define()


def test_a_created_task_shows_its_settings_and_its_requester(server: Server) -> None:
    server.define(inProgressTimeout=5000)

    task = server.create(label="a label", params={"width": 320})

    assert (task["status"], task["label"], task["params"]) == ("ready", "a label", {"width": 320})
    assert task["requester"] == {"resourceType": "Client", "id": "local"}
    assert (task["inProgressTimeout"], task["definition-version"]) == (5000, 2)
    assert task["meta"]["createdAt"] == task["meta"]["lastUpdated"]
    assert task["meta"]["createdAt"].endswith("Z")


def test_a_create_with_the_same_id_and_content_returns_the_existing_task(server: Server) -> None:
    first = server.create(id="one", params={"a": 1, "b": 2}, executeAt="2099-01-01T00:00:00Z")

    again = server.create(id="one", params={"b": 2, "a": 1}, executeAt="2099-01-01T00:00:00")

    assert again == first
    for other in ({}, {"label": "x"}, {"params": {"a": 2}}, {"executeAt": "2098-01-01T00:00:00Z"}):
        params = {"id": "one", "definition": "demo/resize", "params": {"a": 1, "b": 2}, **other}
        assert server.refused("awf.task/create-and-execute", params)[:2] == (409, "already-exists")


@pytest.mark.parametrize("id", ["", "a b", "ä", "x" * 65, "a/b", "a\n"])
def test_an_id_with_invalid_characters_is_refused(server: Server, id: str) -> None:
    refusal = server.refused("awf.task/create-and-execute", {"id": id, "definition": "demo/resize"})

    assert refusal == (400, "invalid-params", "$.params.id")


def test_an_unknown_definition_is_refused_with_the_nearest_name(server: Server) -> None:
    status, answer = server.post({"method": "awf.task/create-and-execute", "params": {"definition": "demo/resise"}})

    assert (status, answer["error"]["type"]) == (404, "definition-not-found")
    assert answer["error"]["path"] == "$.params.definition"
    assert "did you mean 'demo/resize'" in answer["error"]["message"]


@pytest.mark.parametrize("moment", ["soon", "2026-13-01T00:00:00Z", "", "12:30", "99999-01-01T00:00:00Z"])
def test_an_invalid_execute_at_is_refused(server: Server, moment: str) -> None:
    refusal = server.refused("awf.task/create-and-execute", {"definition": "demo/resize", "executeAt": moment})

    assert refusal == (400, "invalid-params", "$.params.executeAt")


@pytest.mark.parametrize("params", [[1], "text", 7])
def test_params_must_be_an_object(server: Server, params: object) -> None:
    refusal = server.refused("awf.task/create-and-execute", {"definition": "demo/resize", "params": params})

    assert refusal == (400, "invalid-params", "$.params.params")


def test_a_task_with_an_execute_at_becomes_ready_at_that_time(frozen_server: Server, clock: FrozenClock) -> None:
    frozen_server.define()
    task = frozen_server.create(executeAt="2026-01-01T01:00:00")

    assert (task["status"], task["executeAt"]) == ("waiting", "2026-01-01T01:00:00.000000Z")
    assert frozen_server.poll() == []
    clock.advance(timedelta(hours=1))
    frozen_server.reap()
    assert [task["id"] for task in frozen_server.poll()] == [task["id"]]
    entry = frozen_server.log(task["id"])[1]
    assert (entry["action"], entry["status-before"], entry["status-after"]) == ("awf.engine/ready", "waiting", "ready")


def test_status_returns_settings_and_log_on_request(server: Server) -> None:
    lease = server.started(params={"a": 1})

    told = server.rpc("awf.task/status", {"id": lease["id"], "include-settings?": True, "include-log?": True})

    assert told["settings"] == {
        "requestedToStartTimeout": 10_000,
        "inProgressTimeout": 120_000,
        "allowedRetryCount": 2,
        "retryDelay": 10_000,
    }
    created, begun = told["log"]
    assert "status-before" not in created
    assert created["action-params"]["params"] == {"a": 1}
    assert begun["subject"] == {"resourceType": "AidboxTask", "id": lease["id"]}
    assert begun["scheduled"]["delay"] == 120_000
    assert set(server.rpc("awf.task/status", {"id": lease["id"]})) == {"resource"}


def test_a_canceled_task_is_never_claimed(server: Server) -> None:
    id = server.create()["id"]

    canceled = server.rpc("awf.task/cancel", {"id": id})["resource"]

    assert (canceled["status"], canceled["outcome"]) == ("done", "canceled")
    assert server.poll() == []
    assert server.refused("awf.task/cancel", {"id": id})[:2] == (422, "task-has-been-done")
    assert server.refused("awf.task/cancel", {"id": "unknown"})[:2] == (404, "task-not-found")


def test_retry_makes_a_failed_task_ready_with_a_retry_count_of_0(server: Server) -> None:
    server.define(allowedRetryCount=0)
    lease = server.started()
    server.rpc("awf.task/fail", {**lease, "error": {"why": "disk"}})

    task = server.rpc("awf.task/retry", {"id": lease["id"]})["resource"]

    assert (task["status"], task.get("retryCount", 0), "outcome" in task) == ("ready", 0, False)
    assert [entry["versionId"] for entry in server.log(lease["id"])] == ["1", "2", "3", "4"]
    assert server.log(lease["id"])[2]["outcomeReason"]["type"] == "awf.task/failed-by-executor"
    (again,) = server.poll(start=True)
    assert again["retryCount"] == 1
    assert server.refused("awf.task/retry", {"id": lease["id"]})[:2] == (422, "task-not-done")


def test_a_succeeded_task_cannot_be_retried(server: Server) -> None:
    lease = server.started()
    server.rpc("awf.task/success", lease)

    assert server.refused("awf.task/retry", {"id": lease["id"]})[:2] == (422, "task-has-been-done")


def test_tasks_can_be_paged_in_both_directions(server: Server) -> None:
    ids = [server.create()["id"] for _ in range(5)]

    for direction, expected in (("asc", ids), ("desc", ids[::-1])):
        for sort in ("createdAt", "lastUpdated"):
            seen, after = [], None
            while True:
                page = server.rpc(
                    "awf.task/list", {"sort": {sort: direction}, "limit": 2, **({"after": after} if after else {})}
                )
                seen += [task["id"] for task in page["resources"]]
                after = page.get("next")
                if after is None:
                    break
            assert seen == expected


def test_list_filters_by_definition_status_outcome_and_text(server: Server) -> None:
    server.define("demo/other")
    other = server.create("demo/other", label="Find ME", params={"city": "Zürich"})["id"]
    plain = server.create()["id"]
    gone = server.create()["id"]
    server.rpc("awf.task/cancel", {"id": gone})

    def found(**wanted: object) -> set[str]:
        return {task["id"] for task in server.rpc("awf.task/list", {"filter": wanted})["resources"]}

    assert found(includeDefinitions=["demo/other"]) == {other}
    assert found(excludeDefinitions=["demo/other"]) == {plain, gone}
    assert found(status="done") == {gone}
    assert found(status=["ready", "done"]) == {other, plain, gone}
    assert found(outcome="canceled") == {gone}
    assert found(ilike="find me") == found(ilike="zürich") == {other}
    assert found(ilike="nothing like it") == set()


@pytest.mark.parametrize(
    "params",
    [
        {"after": "!!"},
        {"after": "eyJhIjoxfQ"},
        {"limit": 0},
        {"sort": {"createdAt": "asc", "lastUpdated": "asc"}},
        {"filter": {"status": "created?"}},
        {"filter": {"stauts": "done"}},
    ],
)
def test_invalid_params_of_a_list_are_refused(server: Server, params: dict[str, object]) -> None:
    assert server.refused("awf.task/list", params)[:2] == (400, "invalid-params")


def test_a_search_matches_wildcards_literally(server: Server) -> None:
    ids = {label: server.create(label=label)["id"] for label in ("a_b", "axb", "50%", "back\\slash")}

    for part, labels in {"a_b": ["a_b"], "%": ["50%"], "\\": ["back\\slash"], "%\\": []}.items():
        found = server.rpc("awf.task/list", {"filter": {"ilike": part}})["resources"]
        assert [task["id"] for task in found] == [ids[label] for label in labels], part
