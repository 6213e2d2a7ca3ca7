"""Documents of device workflows, params of runs, reports, and statuses."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
import orjson
import pytest

from fencepost.domain.transitions import STATUSES
from fencepost.domain.workflow import Workflow
from fencepost.errors import Refusal
from fencepost.vocabularies.devices.document import DeviceWorkflow, parse_run_params
from fencepost.vocabularies.devices.reports import parse_report, parse_task_id, parse_task_state
from fencepost.vocabularies.devices.statuses import (
    ALLOWED_FROM,
    CORE_STATUSES,
    RESULTING_STATUS,
    Verb,
    reason_of,
    run_status,
    task_status,
)


def document(**members: Any) -> DeviceWorkflow:
    whole = {"kind": "device-workflow", "name": "demo/patrol", "steps": [{"action": "GO"}], **members}
    read = msgspec.json.decode(orjson.dumps(whole), type=DeviceWorkflow)
    read.compile()
    return read


def refused(call: Any, *args: Any, **members: Any) -> str | None:
    with pytest.raises(Refusal) as caught:
        call(*args, **members)
    assert caught.value.kind.status == 400
    return caught.value.field


@pytest.mark.parametrize(
    ("members", "at"),
    [
        ({"steps": [{"action": "GO"}, {}]}, "steps[1].action"),
        ({"steps": [{"action": "GO", "workflow": "a/b"}]}, "steps[0].action"),
        ({"steps": [{"action": "GO", "payload": []}]}, "steps[0].payload"),
        ({"steps": [{"action": "GO", "payload": None}]}, "steps[0].payload"),
        ({"steps": [{"action": "GO", "payload": "{}"}]}, "steps[0].payload"),
        ({"name": "demo/runs"}, "name"),
    ],
)
def test_a_contradictory_document_is_refused_with_the_path(members: dict[str, Any], at: str) -> None:
    assert refused(document, **members) == at


@pytest.mark.parametrize(
    "members",
    [
        {"steps": []},
        {"steps": [{"action": ""}]},
        {"steps": [{"action": "GO", "speed": 1}]},
        {"steps": [{"workflow": "no where"}]},
        {"device": "a b"},
        {"device": True},
        {"device": -1},
        {"retries": 3},
    ],
)
def test_a_document_with_bad_members_is_refused(members: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        document(**members)


@pytest.mark.parametrize(
    ("params", "at"),
    [
        (b'{"device":"a b"}', "params.device"),
        (b'{"device":true}', "params.device"),
        (b'{"device":"../r2"}', "params.device"),
        (b'{"payload":[1]}', "params.payload"),
        (b'{"speed":1}', "params.speed"),
    ],
)
def test_bad_run_params_are_refused_with_the_path(params: bytes, at: str) -> None:
    assert refused(parse_run_params, params) == at


def test_a_run_needs_a_device_from_its_params_or_document() -> None:
    assert refused(document().device_of, parse_run_params(None)) == "params.device"
    assert document(device=12).device_of(parse_run_params(None)) == "12"
    assert document(device="r2").device_of(parse_run_params(b'{"device":"c3"}')) == "c3"


@pytest.mark.shows("devices/task-id-types")
@pytest.mark.parametrize(("said", "id"), [("ab-1", "ab-1"), (" 7 ", "7"), (7, "7"), ("x" * 128, "x" * 128)])
def test_a_task_id_may_be_a_number_or_have_blanks_around_it(said: object, id: str) -> None:
    assert parse_task_id(said) == id


@pytest.mark.shows("devices/task-id-types", "devices/task-id-format")
@pytest.mark.parametrize("said", [True, False, None, "", "  ", "a b", "a/b", "x" * 129, 1.5, [], {}])
def test_a_bad_task_id_is_refused(said: object) -> None:
    assert refused(parse_task_id, said) == "task_id"


@pytest.mark.shows("devices/message-extras")
def test_a_report_may_be_empty_or_have_unknown_members() -> None:
    assert parse_report("start", b"").content_from("PENDING") is None
    assert parse_report("complete", b'{"type":"TASK_COMPLETED","device_id":3}').content_from("IN_PROGRESS") is None
    assert parse_report("complete", b'{"result":{"n":1.0}}').content_from("IN_PROGRESS") == b'{"n":1.0}'


@pytest.mark.shows("devices/fail-point-spellings")
@pytest.mark.parametrize("spelling", ["failPoint", "fail_point"])
@pytest.mark.parametrize("verb", ["abort", "fail"])
def test_a_fail_point_has_two_spellings_and_any_json_type(verb: Verb, spelling: str) -> None:
    body = b'{"reason":"fell","%s":[1.0,{"a":null}]}' % spelling.encode()
    content = parse_report(verb, body).content_from("IN_PROGRESS")
    assert content == b'{"status":"ABORTED","reason":"fell","failPoint":[1.0,{"a":null}]}'


@pytest.mark.parametrize("empty", ["failPoint", "fail_point"])
def test_a_fail_point_counts_when_its_other_spelling_is_null(empty: str) -> None:
    body = {"failPoint": 3, "fail_point": 3, empty: None}
    assert (
        parse_report("abort", orjson.dumps(body)).content_from("IN_PROGRESS") == b'{"status":"ABORTED","failPoint":3}'
    )


@pytest.mark.shows("devices/reason")
@pytest.mark.parametrize("reason", ["unsafe:slope", "control_release_pending", "배터리 부족", "", "x" * 10_000])
def test_a_reason_is_any_text(reason: str) -> None:
    for verb in ("reject", "abort", "fail"):
        content = parse_report(verb, orjson.dumps({"reason": reason})).content_from("PENDING")
        assert orjson.loads(content or b"")["reason"] == reason


def test_a_rejection_has_a_reason_and_no_fail_point() -> None:
    content = parse_report("reject", b'{"reason":"another_task_active","failPoint":1}').content_from("PENDING")
    assert content == b'{"status":"REJECTED","reason":"another_task_active","started":false}'


@pytest.mark.parametrize(
    ("verb", "body", "at"),
    [
        ("abort", b"[]", ""),
        ("abort", b'"x"', ""),
        ("abort", b'{"reason":1}', "reason"),
        ("reject", b'{"reason":["a"]}', "reason"),
        ("complete", b'{"result":3}', "result"),
    ],
)
def test_a_bad_report_is_refused_with_the_path(verb: Verb, body: bytes, at: str) -> None:
    assert refused(parse_report, verb, body) == at


@pytest.mark.shows("devices/message-types")
@pytest.mark.parametrize(
    ("type", "verb"),
    [
        ("TASK_STARTED", "start"),
        ("TASK_COMPLETED", "complete"),
        ("TASK_FAILED", "fail"),
        ("TASK_ABORTED", "abort"),
        ("TASK_REJECTED", "reject"),
    ],
)
def test_a_task_state_message_is_the_report_of_its_type(type: str, verb: str) -> None:
    said = {"type": type, "task_id": 7, "task_type": verb, "action_name": "GO", "device_id": 1, "device_name": "r2"}
    id, report = parse_task_state(orjson.dumps(said))
    assert (id, report.verb) == ("7", verb)


@pytest.mark.shows("devices/message-required")
@pytest.mark.parametrize(
    ("said", "at"),
    [
        ({"task_id": "a"}, "type"),
        ({"type": "TASK_DONE", "task_id": "a"}, "type"),
        ({"type": "TASK_STARTED"}, "task_id"),
        ({"type": "TASK_STARTED", "task_id": True}, "task_id"),
        ({"type": "TASK_ABORTED", "task_id": "a", "reason": 1}, "reason"),
    ],
)
def test_a_bad_task_state_message_is_refused_with_the_path(said: dict[str, Any], at: str) -> None:
    assert refused(parse_task_state, orjson.dumps(said)) == at


@pytest.mark.parametrize("status", STATUSES)
def test_every_core_status_has_a_device_status(status: str) -> None:
    outcome = "succeeded" if status == "done" else None
    word = task_status(status, outcome, None)
    assert word == {"in-progress": "IN_PROGRESS", "done": "COMPLETED"}.get(status, "PENDING")
    # A waiting task belongs to no device; no task of a run waits.
    assert status == "done" or status == "waiting" or status in CORE_STATUSES[word]


@pytest.mark.parametrize(
    ("outcome", "error", "word"),
    [
        ("succeeded", None, "COMPLETED"),
        ("failed", b'{"status":"REJECTED"}', "REJECTED"),
        ("failed", b'{"status":"ABORTED"}', "ABORTED"),
        ("failed", b'{"why":1}', "ABORTED"),
        ("failed", None, "ABORTED"),
        ("canceled", None, "ABORTED"),
    ],
)
def test_the_end_of_a_task_has_a_device_status(outcome: str, error: bytes | None, word: str) -> None:
    assert task_status("done", outcome, error) == word


def test_the_reason_of_an_abort_is_that_of_the_device_or_the_server() -> None:
    assert reason_of("failed", "awf.task/failed-by-executor", b'{"reason":"unsafe:slope"}') == "unsafe:slope"
    assert reason_of("failed", "awf.task/expired", None) == "not_started_in_time"
    assert reason_of("failed", "awf.task/failed-due-to-in-progress-timeout", None) == "device_silent"
    assert reason_of("canceled", None, None) == "canceled"
    assert reason_of("succeeded", None, None) is None


def test_each_report_leads_from_documented_statuses_to_one() -> None:
    assert set(ALLOWED_FROM) == set(RESULTING_STATUS) == set(get_args(Verb))
    assert {(start, verb, RESULTING_STATUS[verb]) for verb, starts in ALLOWED_FROM.items() for start in starts} == {
        ("PENDING", "start", "IN_PROGRESS"),
        ("IN_PROGRESS", "complete", "COMPLETED"),
        ("PENDING", "reject", "REJECTED"),
        ("PENDING", "abort", "ABORTED"),
        ("IN_PROGRESS", "abort", "ABORTED"),
        ("PENDING", "fail", "ABORTED"),
        ("IN_PROGRESS", "fail", "ABORTED"),
    }


@pytest.mark.parametrize(
    ("outcome", "error", "word"),
    [
        ("succeeded", None, "COMPLETED"),
        ("failed", b'{"status":"FAILED"}', "FAILED"),
        ("failed", b'{"status":"ABORTED"}', "ABORTED"),
        ("failed", None, "FAILED"),
        ("canceled", None, "ABORTED"),
    ],
)
def test_the_end_of_a_run_has_a_device_status(outcome: str, error: bytes | None, word: str) -> None:
    assert run_status(run("done", outcome, error), ()) == word


@pytest.mark.parametrize("status", ["created", "in-progress"])
def test_a_run_without_activities_is_pending(status: str) -> None:
    assert run_status(run(status), ()) == "PENDING"


def run(status: str, outcome: str | None = None, error: bytes | None = None) -> Workflow:
    return Workflow("r", "a/b", 1, status, None, None, b"{}", "", 1, None, "", outcome, None, None, None, error)
