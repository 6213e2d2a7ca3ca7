"""Methods for many tasks with one call."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.fixtures.servers import Server

MANY = "awf.task/create-many"
INVALID = (400, "invalid-params")


def create_many(server: Server, *params: Any, definition: str = "demo/resize", **members: Any) -> Any:
    """Create tasks and return the result of the call."""
    return server.rpc(MANY, {"definition": definition, "params": list(params), **members})


def errors(result: Any) -> list[tuple[int, str, str]]:
    """Return index, type and path of each refused item."""
    return [(item["index"], item["error"]["type"], item["error"]["path"]) for item in result["refused"]]


def test_tasks_are_created_in_the_order_of_their_params(server: Server) -> None:
    server.define()

    result = create_many(server, *({"width": number} for number in range(1000)))

    assert set(result) == {"ids"}
    polled = server.poll(maxBatchSize=1000)
    assert [task["id"] for task in polled] == result["ids"]
    assert [task["params"]["width"] for task in polled] == list(range(1000))


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"executeAt": "2099-01-01T00:00:00Z"},
        {"executeAt": "2001-01-01T00:00:00+02:00"},
        {"settings": {"allowedRetryCount": 7, "expiresAfter": 5000}},
        {"executeAt": "2099-01-01T00:00:00Z", "settings": {"expiresAfter": 5000}},
    ],
)
@pytest.mark.parametrize("limits", [{}, {"concurrencyLimit": 3, "concurrencyPath": ["params", "key"]}])
def test_a_task_of_many_equals_one_that_is_created_alone(
    frozen_server: Server, limits: dict[str, Any], members: dict[str, Any]
) -> None:
    frozen_server.define(**limits)
    ids = [
        frozen_server.create(params={"key": "k", "é": [1.50]}, label="a label", **members)["id"],
        frozen_server.create(id="mine", params={"key": "k", "é": [1.50]}, label="a label", **members)["id"],
        *create_many(frozen_server, {"key": "k", "é": [1.50]}, labels=["a label"], **members)["ids"],
        *create_many(frozen_server, {"key": "k", "é": [1.50]}, labels=["a label"], ids=["yours"], **members)["ids"],
    ]

    rows = frozen_server.query("select to_jsonb(l) - 'seq' - 'id', params::text from fencepost.live_tasks as l")
    assert rows == [rows[0]] * 4
    shown = [orjson.dumps([frozen_server.task(id), frozen_server.log(id)]).decode().replace(id, "ID") for id in ids]
    assert shown == [shown[0]] * 4


def test_a_label_or_an_id_may_be_left_out_for_some_tasks(server: Server) -> None:
    server.define()

    ids = (
        create_many(server, {}, {}, labels=["first", None])["ids"] + create_many(server, {}, {}, ids=["a", None])["ids"]
    )

    assert [server.task(id).get("label") for id in ids] == ["first", None, None, None]
    assert (ids[2], len(set(ids))) == ("a", 4)


def test_items_that_are_refused_are_named_and_the_others_are_created(server: Server) -> None:
    server.define(params={"type": "object", "required": ["width"], "properties": {"width": {"type": "integer"}}})

    result = create_many(server, {"width": 1}, {}, {"width": "2"}, [], {"width": 3})

    assert [id is None for id in result["ids"]] == [False, True, True, True, False]
    assert errors(result) == [
        (1, "invalid-params", "$.params.params[1]"),
        (2, "invalid-params", "$.params.params[2].width"),
        (3, "invalid-params", "$.params.params[3]"),
    ]
    assert [task["params"] for task in server.poll(maxBatchSize=9)] == [{"width": 1}, {"width": 3}]


def test_tasks_with_ids_are_created_once(server: Server) -> None:
    server.define()
    first = create_many(server, {"n": 1}, {"n": 2}, ids=["a", "b"])

    again = create_many(server, {"n": 1}, {"n": 3}, {"n": 4}, {"n": 5}, ids=["a", "b", "c", "c"])

    assert first == {"ids": ["a", "b"]}
    assert again["ids"] == ["a", None, "c", None]
    assert errors(again) == [(1, "already-exists", "$.params.ids[1]"), (3, "already-exists", "$.params.ids[3]")]
    assert server.query("select count(*) from fencepost.live_tasks") == [(3,)]


def test_a_call_with_a_request_id_creates_its_tasks_once(server: Server) -> None:
    server.define()
    params: list[Any] = [{"n": 1}, [], None, {"n": 3}]
    first = create_many(server, *params, requestId="r", labels=["a", "b", "c", "d"])
    (task,) = server.poll(start=True)
    server.rpc("awf.task/success", {"id": task["id"], "execId": task["execId"]})

    assert create_many(server, *params, requestId="r", labels=["a", "b", "c", "d"]) == first
    assert server.query("select count(*) from fencepost.task_resources") == [(3,)]
    assert create_many(server, *params, requestId="other")["ids"] != first["ids"]
    for other in ({"params": params[:3]}, {"params": params, "executeAt": "2099-01-01"}, {"params": [{"n": 1}]}):
        call = {"definition": "demo/resize", "requestId": "r", **other}
        assert server.refused(MANY, call) == (409, "request-id-reused", "$.params.requestId")


def test_timers_are_created_together_too(server: Server) -> None:
    result = create_many(server, {"duration": {"hours": 1}}, {"duration": "x"}, definition="awf.task/wait")

    assert [item["index"] for item in result["refused"]] == [1]
    assert server.task(result["ids"][0])["status"] == "in-progress"


@pytest.mark.parametrize(
    ("members", "refusal"),
    [
        ({"params": []}, (*INVALID, "$.params.params")),
        ({"params": {}}, (*INVALID, "$.params.params")),
        ({"params": [{}] * 1001}, (*INVALID, "$.params.params")),
        ({"params": [{}], "ids": []}, (*INVALID, "$.params.ids")),
        ({"params": [{}], "ids": ["a b"]}, (*INVALID, "$.params.ids[0]")),
        ({"params": [{}], "labels": ["a", "b"]}, (*INVALID, "$.params.labels")),
        ({"params": [{}], "executeAt": "soon"}, (*INVALID, "$.params.executeAt")),
        ({"params": [{}], "settings": {"retryDelay": -1}}, (*INVALID, "$.params.settings.retryDelay")),
        ({"params": [{}], "ids": ["a"], "requestId": "r"}, (*INVALID, "$.params.requestId")),
        ({"params": [{}], "definition": "awf.task/wait", "requestId": "r"}, (*INVALID, "$.params.requestId")),
        ({"params": [{}], "id": "a"}, (*INVALID, "$.params.id")),
        ({"params": [{}], "definition": "demo/resise"}, (404, "definition-not-found", "$.params.definition")),
        ({"params": [{}], "ids": ["a"], "definition": "x"}, (404, "definition-not-found", "$.params.definition")),
    ],
)
def test_a_call_with_a_fault_of_its_own_creates_nothing(
    server: Server, members: dict[str, Any], refusal: tuple[int, str, str]
) -> None:
    server.define()

    assert server.refused(MANY, {"definition": "demo/resize", **members}) == refusal
    assert server.query("select count(*) from fencepost.live_tasks") == [(0,)]


def test_a_definition_that_another_server_changed_is_read_again(server: Server) -> None:
    server.define()
    create_many(server, {})
    # As another server does, without its notification.
    server.query(
        "update fencepost.definitions set is_newest = false where name = 'demo/resize';"
        "insert into fencepost.definitions select (d).* from (select jsonb_populate_record(d, jsonb_build_object("
        '\'version\', 2, \'is_newest\', true, \'document\', \'{"kind": "task", "name": "demo/resize",'
        '"params": {"required": ["width"]}}\'::jsonb)) as d from fencepost.definitions as d'
        " where name = 'demo/resize') as d"
    )

    result = create_many(server, {"width": 1}, {})

    assert server.task(result["ids"][0])["definition-version"] == 2
    assert errors(result) == [(1, "invalid-params", "$.params.params[1]")]
