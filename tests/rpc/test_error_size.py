"""Errors repeat little of the request, and a thousand of them in one array are cheap."""

from __future__ import annotations

import time
from typing import Any

import orjson
import pytest

from tests.fixtures.servers import Server

LONG = "n" * 400_000


@pytest.mark.parametrize(
    "call",
    [
        {"method": LONG, "params": {}},
        {"method": "awf.task/status", "params": {LONG: 1}},
        {"method": "awf.task/status", "params": {"id": LONG}},
        {"method": "awf.task/cancel", "params": {"id": LONG}},
        {"method": "awf.task/create-and-execute", "params": {"definition": LONG, "params": {}}},
        {"method": "awf.task/create-and-execute", "params": {"definition": "demo/none", "params": LONG}},
        {"method": "awf.task/success", "params": {"id": LONG, "execId": LONG, "result": {}}},
        {"method": "awf.task/poll", "params": {"taskDefinitions": [LONG]}},
        {"method": "awf.task/list", "params": {"filter": {LONG: "x"}}},
        {"method": "awf.task/list", "params": {"sort": {LONG: "asc"}}},
        {"method": "awf.task/list", "params": {"after": LONG}},
        {"method": "awf.workflow/signal", "params": {"id": LONG, "name": LONG}},
        {"method": "awf.schedule/status", "params": {"name": LONG}},
        {"method": "awf.definition/put", "params": {"kind": LONG, "name": "demo/x"}},
        {"method": "awf.definition/put", "params": {"kind": "task", "name": LONG}},
        {"method": "awf.definition/put", "params": {"kind": "task", "name": "demo/x", "params": {"type": LONG}}},
        {"method": "awf.definition/put", "params": {"kind": "task", "name": "demo/x", "params": {"$ref": LONG}}},
        {"method": "awf.definition/put", "params": {"kind": "task", "name": "demo/x",
                                                    "params": {"pattern": "(" + LONG}}},
        {"method": "awf.definition/put", "params": {"kind": "schedule", "name": "demo/x", "schedule": LONG,
                                                    "task-request": {"definition": "demo/y"}}},
        {"method": "awf.definition/put", "params": {"kind": "schedule", "name": "demo/x", "schedule": "@daily",
                                                    "timezone": LONG, "task-request": {"definition": "demo/y"}}},
        {"method": "awf.taskflow/produce", "params": {"stages": [{"name": LONG, "tasks": []}]}},
        {"method": "awf.device/status", "params": {"id": LONG}},
        {"method": "awf.machine/status", "params": {"id": LONG}},
        {LONG: 1},
    ],
)  # fmt: skip
def test_an_error_repeats_little_of_the_request(server: Server, call: dict[str, Any]) -> None:
    status, answer = server.post(call)
    assert status in (400, 404, 422), answer
    assert len(orjson.dumps(answer)) < 8000


def test_a_thousand_misspelt_methods_in_one_array_are_answered_at_once(server: Server) -> None:
    calls = [{"method": f"awf.task/pol{number}", "params": {}} for number in range(1000)]
    begun = time.process_time()
    status, answers = server.post(calls)
    assert time.process_time() - begun < 2.0
    assert (status, len(answers)) == (200, 1000)
    messages = [answer["error"]["message"] for answer in answers]
    assert messages[0] == "there is no method 'awf.task/pol0'; did you mean 'awf.task/poll'?"
    assert messages[-1] == "there is no method 'awf.task/pol999'"


def test_an_unknown_definition_gets_a_hint_among_thousands(server: Server) -> None:
    server.query(
        "insert into fencepost.definitions (name, version, kind, document, created_by, is_newest, "
        "has_result_schema, has_error_schema, created_at, requested_to_start_timeout, in_progress_timeout, "
        "allowed_retry_count, retry_delay) "
        "select 'acme/resize-' || n, 1, 'task', '{}', 'test', true, false, false, now(), '1s', '1s', 1, '1s' "
        "from generate_series(1, 5000) as n"
    )
    status, answer = server.post({"method": "awf.definition/get", "params": {"name": "acme/rezise-77"}})
    assert status == 404
    assert answer["error"]["message"] == "there is no definition 'acme/rezise-77'; did you mean 'acme/resize-77'?"
