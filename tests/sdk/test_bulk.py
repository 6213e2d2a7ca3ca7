from __future__ import annotations

from typing import Any

import pytest

from fencepost_sdk import RpcError
from fencepost_sdk.bulk import Bulk
from tests.sdk.test_conversations import LOST, hold, refusal, reply


def bulk(count: int, *, size: int = 0, **given: Any) -> Bulk:
    params = ({"n": number, "pad": "x" * size} for number in range(count))
    return Bulk("demo/x", params, **{"ids": None, "label": None, "execute_at": None, "repeatable": True, **given})


def answers(*types: str | None) -> Any:
    return reply([{"error": {"type": type, "message": "no"}} if type else {"result": {"id": "a"}} for type in types])


def said(one: str | RpcError) -> str:
    return one if isinstance(one, str) else one.type


def test_arrays_keep_within_the_servers_limits() -> None:
    assert [len(array) for array in bulk(2001).arrays] == [1000, 1000, 1]
    assert [len(array) for array in bulk(3, size=500_000).arrays] == [1, 1, 1]


def test_what_the_server_had_no_time_for_is_sent_again_and_the_rest_is_not() -> None:
    one = bulk(3)
    ids, (first, second), (_,) = hold(
        one.send(one.arrays[0], 5.0), answers("unavailable", "invalid-params", None), answers(None)
    )
    assert [said(each) for each in ids] == ["a", "invalid-params", "a"]
    assert second == first[:1]


def test_without_ids_nothing_is_sent_again() -> None:
    one = bulk(1, repeatable=False)
    (refused,), _, _ = hold(one.send(one.arrays[0], 5.0), answers("unavailable"))
    assert refused.type == "unavailable"


@pytest.mark.parametrize(("status", "type"), [(413, "payload-too-large"), (400, "invalid-request")])
def test_a_server_that_takes_less_at_once_gets_less(status: int, type: str) -> None:
    one = bulk(2)
    ids, posted, _ = hold(
        one.send(one.arrays[0], 5.0), refusal(type, status), LOST, answers(None), refusal(type, status)
    )
    assert [said(each) for each in ids] == ["a", type]
    assert list(map(len, posted)) == [2, 1, 1, 1]


def test_a_login_that_is_refused_is_raised() -> None:
    one = bulk(2)
    with pytest.raises(RpcError, match="unauthenticated"):
        hold(one.send(one.arrays[0], 5.0), refusal("unauthenticated", 401))
