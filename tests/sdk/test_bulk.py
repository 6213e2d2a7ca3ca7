from __future__ import annotations

from typing import Any

import pytest

from fencepost_sdk import NotJson, RpcError
from fencepost_sdk.bulk import BulkCreate
from tests.sdk.test_requests import LOST, answer_with, refusal, reply


def bulk(count: int, *, size: int = 0, **given: Any) -> BulkCreate:
    params = ({"n": number, "pad": "x" * size} for number in range(count))
    return BulkCreate("demo/x", params, **{"ids": None, "label": None, "execute_at": None, **given})


def answers(*types: str | None) -> Any:
    refused = [
        {"index": index, "error": {"type": type, "message": "no", "path": f"$.params.params[{index}]"}}
        for index, type in enumerate(types)
        if type
    ]
    return reply({"result": {"ids": [None if type else "a" for type in types], "refused": refused}})


def outcome(one: str | RpcError) -> str:
    return one if isinstance(one, str) else one.type


def test_batches_are_within_the_servers_limits() -> None:
    assert [len(batch) for batch in bulk(2001).batches] == [1000, 1000, 1]
    assert [len(batch) for batch in bulk(3, size=500_000).batches] == [1, 1, 1]


def test_only_creates_with_a_transient_error_are_sent_again() -> None:
    one = bulk(3, ids=["x", "y", "z"])
    ids, (first, second), (_,) = answer_with(
        one.send(one.batches[0], 5.0), answers("unavailable", "invalid-params", None), answers(None)
    )
    assert [outcome(each) for each in ids] == ["a", "invalid-params", "a"]
    assert (first["params"]["ids"], second["params"]["ids"]) == (["x", "y", "z"], ["x"])


def test_a_repeated_request_has_the_same_idempotency_key_and_another_request_another() -> None:
    one = bulk(1001)
    _, (first, again), _ = answer_with(one.send(one.batches[0], 5.0), LOST, answers(*[None] * 1000))
    _, (other,), _ = answer_with(one.send(one.batches[1], 5.0), answers(None))
    assert again == first
    assert other["params"]["requestId"] != first["params"]["requestId"]


@pytest.mark.parametrize(("status", "type"), [(413, "payload-too-large"), (400, "invalid-request")])
def test_a_batch_above_the_servers_limit_is_halved(status: int, type: str) -> None:
    one = bulk(2)
    ids, posted, _ = answer_with(
        one.send(one.batches[0], 5.0), refusal(type, status), LOST, answers(None), refusal(type, status)
    )
    assert [outcome(each) for each in ids] == ["a", type]
    assert [len(call["params"]["params"]) for call in posted] == [2, 1, 1, 1]


def test_a_refused_login_is_raised() -> None:
    one = bulk(2)
    with pytest.raises(RpcError, match="unauthenticated"):
        answer_with(one.send(one.batches[0], 5.0), refusal("unauthenticated", 401))


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("$.params.params[1].n", "$[1001].params.n"),
        ("$.params.ids[1]", "$[1001].id"),
        ("$.params.labels[1]", "$[1001].label"),
        ("$.params.params[9]", "$.params.params[9]"),
        ("$.params.definition", "$.params.definition"),
    ],
)
def test_the_path_of_an_error_begins_with_the_index_in_the_callers_params(path: str, seen: str) -> None:
    one = bulk(1002)
    fault = {"type": "invalid-params", "message": "no", "path": path, "errors": [{"path": path, "message": "no"}]}
    result = {"ids": ["a", None], "refused": [{"index": 1, "error": fault}]}
    ids, _, _ = answer_with(one.send(one.batches[1], 5.0), reply({"result": result}))
    assert (ids[0], ids[1].path) == ("a", seen)
    assert ids[1].errors == [{"path": seen, "message": "no"}]


def test_a_create_that_a_request_is_refused_for_is_sent_separately() -> None:
    one = bulk(10)
    whole = reply({"error": {"type": "invalid-request", "message": "no", "path": "$.params.params[4].n"}}, 400)
    alone = reply({"error": {"type": "invalid-request", "message": "no", "path": "$.params.params[0].n"}}, 400)
    ids, posted, _ = answer_with(
        one.send(one.batches[0], 5.0), whole, answers(*[None] * 4), alone, alone, answers(*[None] * 5)
    )
    assert [len(call["params"]["params"]) for call in posted] == [10, 4, 6, 1, 5]
    assert ids[4].path == "$[4].params.n"
    assert [outcome(each) for each in ids] == ["a"] * 4 + ["invalid-request"] + ["a"] * 5


def test_params_that_json_cannot_represent_are_refused_before_a_request_is_sent() -> None:
    with pytest.raises(NotJson) as caught:
        BulkCreate("demo/x", [{}, {"a": float("nan")}], ids=None, label=None, execute_at=None)
    assert caught.value.path == "$[1].params.a"
