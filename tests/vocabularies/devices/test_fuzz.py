"""Random requests to device routes: the server answers each, never with an internal error."""

from __future__ import annotations

import json
import os
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fixtures.devices import Fleet
from tests.fixtures.servers import Server

NAMES = [
    "device",
    "deviceId",
    "device_id",
    "payload",
    "id",
    "reason",
    "failPoint",
    "fail_point",
    "result",
    "type",
    "task_id",
]
WORDS = [*NAMES, "TASK_STARTED", "TASK_FAILED", "r2", "demo/patrol", "", "\x00", "é", "a" * 200]
KNOWN = ["r2", "demo/patrol", "demo", "TASK", "runs", "events", "start", "fail", "stop"]
NOUNS = ["workflows", "workflow-runs", "tasks", "devices", "task-state", "server-settings", "events/client"]
scalars = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.sampled_from(WORDS) | st.text()
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4)
)
bodies = values.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=40)
words = st.sampled_from(KNOWN) | st.text(max_size=8)
paths = st.tuples(st.sampled_from(["", "/api"]), st.sampled_from(NOUNS), st.lists(words, max_size=3))
_SETTINGS = settings(
    max_examples=300,
    deadline=None,
    derandomize=os.environ.get("CI") == "true",
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture
def task(server: Server) -> str:
    return str(Fleet(server).begin()["currentTaskId"])


def test_no_request_to_a_device_route_is_answered_500(server: Server, task: str) -> None:
    @_SETTINGS
    @given(method=st.sampled_from(["GET", "POST", "PUT"]), path=paths, body=bodies, query=st.text(max_size=6))
    def send(method: str, path: tuple[str, str, list[str]], body: bytes, query: str) -> None:
        prefix, noun, rest = path
        where = "/".join([f"{prefix}/{noun}", *(quote(word if word != "TASK" else task, safe="/") for word in rest)])
        if method == "GET" and where.endswith(("/events", "/events/client")):
            return  # it would never end
        asked = f"?after={quote(query)}" if query else ""
        content = None if method == "GET" else body
        status, _, answer = server.send(method, where + asked, content, content_type="application/json")
        assert status != 500, (method, where, body, answer)

    send()
