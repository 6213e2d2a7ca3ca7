"""Random life cycles over plain calls, on several connections at once, get the same bytes from both protocol classes.

Each connection has a definition and tasks of its own, so that its answers depend on its own calls alone.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from itertools import count
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fencepost.rpc.endpoint import Endpoint
from tests.fixtures.locks import is_blocked, locked_rows
from tests.fixtures.protocols import PlainCalls, Protocol, speaking
from tests.fixtures.raw_http import Answer, Raw, post
from tests.fixtures.servers import Server
from tests.fixtures.waiting import until

LANES = 3
NO_LEASE = "aac4c869-daa4-45fb-917a-46fe14359ed4"
runs = count()

POLLS: list[dict[str, Any]] = [
    {"maxBatchSize": 1},
    {"maxBatchSize": 5, "start": True},
    {"fields": ["params", "retryCount"]},
    {"requestId": ""},
    {"maxBatchSize": 0},
    {"taskDefinitions": []},
    {"maxBatchSize": 1_000_000},
]
ENDS: list[dict[str, Any]] = [
    *({}, {"include-resource?": False}, {"result": {"a": [1, "é"]}}, {"error": {"reason": "x"}}),
    *({"result": 1}, {"execId": NO_LEASE}, {"id": "none"}, {"execId": "x"}, {"wrong": 1}),
]
ENVELOPES: list[dict[str, Any]] = [{}, {}, {"id": 7}, {"jsonrpc": "2.0", "id": "a"}, {"jsonrpc": "1.0"}]
# A method, what its params have beside the task or definition, the envelope, and which of the leases it is about.
CALLS = st.one_of(
    st.tuples(st.just("poll"), st.sampled_from(POLLS), st.sampled_from(ENVELOPES), st.just(0)),
    st.tuples(
        st.sampled_from(["start", "start", "success", "success", "fail", "release", "notify"]),
        st.sampled_from(ENDS),
        st.sampled_from(ENVELOPES),
        st.integers(0, 2),
    ),
)
TURNS = st.lists(st.tuples(*[CALLS] * LANES), min_size=1, max_size=8)


@pytest.fixture(scope="module")
def pair(module_database: str) -> Iterator[tuple[Server, Server]]:
    """Two servers on one database, one for each class."""
    with speaking("lean", module_database) as lean, speaking("uvicorn", module_database) as other:
        yield lean, other


class Lane:
    """A connection, its definition, and the leases of its tasks."""

    def __init__(self, server: Server, name: str) -> None:
        self.definition = f"demo/{name}"
        self.leases = [{"id": f"{name}-{number}", "execId": NO_LEASE} for number in range(2)]
        server.define(self.definition, retryDelay=3_600_000)
        for lease in self.leases:
            server.create(self.definition, id=lease["id"], params={"n": 1})
        self._connection = Raw(server.port)

    def close(self) -> None:
        self._connection.close()

    def send(self, call: tuple[str, dict[str, Any], dict[str, Any], int]) -> None:
        verb, members, envelope, place = call
        if verb == "poll":
            params = {"taskDefinitions": [self.definition], **members}
            if "requestId" in members:
                params["requestId"] = self.definition
        else:
            notification = {"notification": "heartbeat"} if verb == "notify" else {}
            params = {**self.leases[place % 2], **notification, **members}
        self._connection.send(post("/rpc", orjson.dumps({"method": f"awf.task/{verb}", "params": params, **envelope})))

    def answer(self) -> Answer:
        answer = self._connection.answer()
        for task in answer.json.get("result", {}).get("resources", ()):
            for lease in self.leases:
                if lease["id"] == task["id"]:
                    lease["execId"] = task["execId"]
        return answer


def comparable(answer: Answer, side: str) -> tuple[int, list[tuple[str, str]], bytes]:
    """Return an answer without what differs between two servers: execIds, times, and the names of their tasks."""
    assert answer.headers["content-length"] == str(len(answer.body))
    headers = [header for header in answer.headers.items() if header[0] != "content-length"]
    body = re.sub(rb'"\d{4}-\d\d-\d\dT[^"]+Z"', b'"time"', answer.body)
    return answer.status, headers, re.sub(rb"[0-9a-f]{8}-[0-9a-f-]{27}", b"uuid", body).replace(side.encode(), b"side")


def answered(server: Server, side: str, turns: list[tuple[Any, ...]]) -> list[Any]:
    """Make the calls of each turn at once, on a connection each; return the answers."""
    found: list[Any] = []
    with contextlib.ExitStack() as stack:
        lanes = [stack.enter_context(contextlib.closing(Lane(server, f"{side}-{place}"))) for place in range(LANES)]
        for calls in turns:
            for lane, call in zip(lanes, calls, strict=True):
                lane.send(call)
            found += [comparable(lane.answer(), side) for lane in lanes]
    return found


@settings(max_examples=40)
@given(turns=TURNS)
def test_random_life_cycles_get_the_same_bytes_from_both_classes(
    pair: tuple[Server, Server], turns: list[tuple[Any, ...]]
) -> None:
    lean, other = pair
    run = next(runs)
    assert answered(lean, f"lean-{run}", turns) == answered(other, f"parsed-{run}", turns)


@pytest.mark.parametrize("protocol", ["lean", "uvicorn"])
def test_a_client_that_hangs_up_does_not_disturb_the_calls_that_run_with_its_own(
    module_database: str, protocol: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = PlainCalls()
    monkeypatch.setattr(Endpoint, "enter", calls.counting(Endpoint.enter))
    name = f"demo/gone-{protocol}"
    with speaking(protocol, module_database) as server, contextlib.ExitStack() as stack:
        server.define(name)
        ids = [server.create(name)["id"] for _ in range(3)]
        leases = [{"id": one["id"], "execId": one["execId"]} for one in server.poll(name, maxBatchSize=3, start=True)]
        assert sorted(lease["id"] for lease in leases) == sorted(ids)
        clients = [stack.enter_context(contextlib.closing(Raw(server.port))) for _ in leases]
        calls.entered = 0
        with locked_rows(server.conninfo, "live_tasks"):
            for client, lease in zip(clients, leases, strict=True):
                client.send(post("/rpc", orjson.dumps({"method": "awf.task/success", "params": lease})))
            until(lambda: is_blocked(server.conninfo, "tasks/success"))
            if protocol == "lean":
                until(lambda: calls.entered == len(clients))
            clients[1].close()
        for client in (clients[0], clients[2]):
            assert client.answer().json["result"]["resource"]["outcome"] == "succeeded"
        until(lambda: server.task(leases[1]["id"])["status"] == "done")
        assert server.app.rpc._admission.bodies.used == 0
