"""Methods for many tasks with one call."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
import pytest

from tests.fixtures.servers import Server
from tests.fixtures.waiting import until
from tests.fixtures.workflows import Decider

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

    assert result["refused"] == []
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

    assert first == {"ids": ["a", "b"], "refused": []}
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


def leased(server: Server, count: int, definition: str = "demo/resize", **members: Any) -> dict[str, list[str]]:
    """Create tasks and poll them started; return the ids and execIds of their executions."""
    create_many(server, *[{}] * count, definition=definition, **members)
    tasks = server.poll(definition, start=True, maxBatchSize=count)
    return {"ids": [task["id"] for task in tasks], "execIds": [task["execId"] for task in tasks]}


@pytest.mark.parametrize(
    ("verb", "member", "column"), [("success", "result", "results"), ("fail", "error", "errors"), ("release", "", "")]
)
@pytest.mark.parametrize("content", [None, {"é": [1.50, 2]}])
def test_an_execution_of_many_ends_as_one_that_ends_alone(
    frozen_server: Server, verb: str, member: str, column: str, content: Any
) -> None:
    frozen_server.define(allowedRetryCount=0)
    held = leased(frozen_server, 2)
    lease = {"id": held["ids"][0], "execId": held["execIds"][0]}
    frozen_server.rpc(f"awf.task/{verb}", lease | ({member: content} if member and content else {}))
    rest = {name: column[1:] for name, column in held.items()}

    result = frozen_server.rpc(f"awf.task/{verb}-many", rest | ({column: [content]} if column else {}))

    assert result == {"refused": []}
    texts = [
        orjson.dumps([frozen_server.task(id), frozen_server.log(id)])
        .decode()
        .replace(id, "ID")
        .replace(exec_id, "EXEC")
        for id, exec_id in zip(held["ids"], held["execIds"], strict=True)
    ]
    assert texts[0] == texts[1]
    assert ("é" in texts[0]) == (content is not None and member != "")


def test_a_thousand_executions_end_with_one_call_and_a_repeated_call_changes_nothing(server: Server) -> None:
    server.define()
    call: dict[str, Any] = {**leased(server, 1000), "results": [{"n": number} for number in range(1000)]}

    assert server.rpc("awf.task/success-many", call) == {"refused": []}
    assert server.rpc("awf.task/success-many", call) == {"refused": []}

    rows = server.query("select id, (result ->> 'n')::integer, version from fencepost.done_tasks")
    assert sorted(rows) == sorted((id, number, 3) for number, id in enumerate(call["ids"]))


def test_executions_that_are_refused_are_named_and_the_others_end(server: Server) -> None:
    server.define()
    held = leased(server, 4)
    server.rpc("awf.task/cancel", {"id": held["ids"][1]})
    ids = [*held["ids"], "none", held["ids"][0], held["ids"][3]]
    exec_ids = [*held["execIds"], held["execIds"][0], "?", held["execIds"][0]]

    result = server.rpc(
        "awf.task/success-many", {"ids": ids, "execIds": exec_ids, "results": [{}, {}, [], *[None] * 4]}
    )

    assert errors(result) == [
        (1, "task-has-been-done", "$.params.ids[1]"),
        (2, "invalid-params", "$.params.results[2]"),
        (4, "task-not-found", "$.params.ids[4]"),
        (5, "invalid-params", "$.params.execIds[5]"),
        (6, "exec-id-mismatch", "$.params.execIds[6]"),
    ]
    states = [server.task(id).get("outcome") for id in held["ids"]]
    assert states == ["succeeded", "canceled", None, "succeeded"]


def test_the_calls_about_one_task_are_applied_in_their_order(server: Server) -> None:
    server.define()
    held = {name: column * 3 for name, column in leased(server, 1).items()}

    result = server.rpc("awf.task/success-many", {**held, "results": [{"n": 1}, {"n": 2}, {"n": 1}]})

    assert errors(result) == [(1, "task-has-been-done", "$.params.ids[1]")]
    assert server.task(held["ids"][0])["result"] == {"n": 1}


@pytest.mark.parametrize(("verb", "member"), [("success", "result"), ("fail", "error")])
def test_results_and_errors_are_checked_against_their_schema(server: Server, verb: str, member: str) -> None:
    schema: dict[str, Any] = {member: {"type": "object", "required": ["rows"]}}
    server.define(**schema)
    held = leased(server, 3)

    result = server.rpc(f"awf.task/{verb}-many", {**held, f"{member}s": [{"rows": 1}, {}, None]})

    places = [(1, f"$.params.{member}s[1]"), (2, f"$.params.{member}s[2]")]
    assert errors(result) == [(place, "invalid-params", path) for place, path in places]


def test_ended_executions_free_places_for_a_waiting_poll(server: Server, pool: ThreadPoolExecutor) -> None:
    server.define(concurrencyLimit=2)
    held = leased(server, 2)
    id = server.create()["id"]
    waiting = pool.submit(server.rpc, "awf.task/long-poll", {"taskDefinitions": ["demo/resize"], "timeout": 20_000})
    until(lambda: server.app.waiting_polls == 1)
    server.rpc("awf.task/success-many", held)

    assert [task["id"] for task in waiting.result(10)["resources"]] == [id]


def test_decisions_and_activities_end_with_the_calls_for_many(server: Server) -> None:
    decider = Decider(server, "demo/order")
    server.define()
    decider.create()
    decision = decider.decision()
    call = {"ids": [decision["id"]], "execIds": [decision["execId"]], "results": [[decider.task("a")]]}

    assert server.rpc("awf.task/success-many", call) == {"refused": []}

    (activity,) = server.poll(start=True)
    call = {"ids": [activity["id"]], "execIds": [activity["execId"]], "results": [{"n": 1}]}
    assert server.rpc("awf.task/success-many", call) == {"refused": []}
    next_decision = decider.decision()
    assert next_decision["params"]["event"] == "awf.workflow.event/task-completed"
    # A repeated call is answered from the history, and is no second event.
    assert server.rpc("awf.task/success-many", call) == {"refused": []}
    decider.decide(next_decision)
    assert decider.poll() == []


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"ids": []}, "ids"),
        ({"ids": ["a"] * 1001, "execIds": ["b"] * 1001}, "ids"),
        ({"ids": ["a"], "execIds": []}, "execIds"),
        ({"ids": ["a"], "execIds": ["b"], "results": []}, "results"),
        ({"ids": ["a"], "execIds": ["b"], "result": {}}, "result"),
        ({"ids": [1], "execIds": ["b"]}, "ids[0]"),
    ],
)
def test_a_finishing_call_with_a_fault_of_its_own_is_refused(
    server: Server, members: dict[str, Any], field: str
) -> None:
    params = {"execIds": [], **members}
    assert server.refused("awf.task/success-many", params) == (*INVALID, f"$.params.{field}")
