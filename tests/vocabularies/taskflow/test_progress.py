"""Progress of flows: order of stages, statuses, failures, placeholders, nested flows."""

from __future__ import annotations

import json
from typing import Any, get_args

import hypothesis.strategies as st
import msgspec
import orjson
import pytest
from hypothesis import given

from fencepost.vocabularies.taskflow.document import TaskflowDefinition
from fencepost.vocabularies.taskflow.placeholders import ByteBudget, UnknownPlaceholder, fill
from fencepost.vocabularies.taskflow.plan import FlowParent
from fencepost.vocabularies.taskflow.progress import (
    FlowStatus,
    RunFacts,
    StageStatus,
    TaskState,
    TaskStatus,
    collect_facts,
    compute_progress,
)
from tests.fixtures.taskflows import EXAMPLE, Run, flow, task

GO_ON = {"continueOnTaskFailure": True}


def statuses(run: Run, **states: TaskState) -> tuple[str, list[str], list[str]]:
    """Return the statuses of flow, stages and tasks for these task states by name."""
    facts = collect_facts((run.label(name), name, state) for name, state in states.items())
    now = compute_progress(run.plan, facts)
    return now.status, [stage.status for stage in now.stages], [view.status for s in now.stages for view in s.tasks]


SUCCEEDED = TaskState("done", "succeeded", "in-progress", 1)
FAILED = TaskState("done", "failed", "in-progress", 1)


@pytest.mark.shows("taskflow/stage-order")
def test_a_stage_begins_when_the_stage_before_has_ended() -> None:
    run = Run(flow(["a", "b"], ["c"]))
    assert run.live == ["a", "b"]
    run.succeed("a")
    assert run.live == ["b"]
    run.succeed("b")
    assert run.live == ["c"]
    run.succeed("c", {"ok": 1})
    assert run.outcome == "succeeded"
    assert run.ending["status"] == "COMPLETED"
    assert run.ending["stages"][1]["tasks"] == [{"name": "c", "status": "SUCCESS", "response": {"ok": 1}}]


@pytest.mark.shows("taskflow/action-and-channel")
def test_an_action_and_a_channel_are_tasks_of_their_definitions() -> None:
    run = Run(flow(["a", task("b", type="CHANNEL", taskDetails={"channelName": "house.lights"})]))
    assert [one.definition for one in run.activities.values()] == ["svc/a", "channel/house.lights"]


def test_a_task_can_be_a_workflow_of_any_kind() -> None:
    run = Run(flow([task("a", {"x": 1}, type="WORKFLOW", taskDetails={"definition": "people/approval"})], ["b"]))
    (one,) = run.activities.values()
    assert (one.is_workflow, one.definition, run.params_of("a")) == (True, "people/approval", {"x": 1})
    run.succeed("a", {"approved": True})
    before = run.params_of("b")["meta"]["taskflowExecutionContext"]["previousStageRes"]
    assert before == [{"taskName": "a", "response": {"approved": True}}]


@pytest.mark.shows("taskflow/no-options")
def test_without_options_a_task_has_one_attempt_and_no_timeout() -> None:
    run = Run(flow(["a"]))
    assert run.settings[run.label("a")] == {"allowedRetryCount": 0, "retryDelay": 0}
    assert run.params_of("a")["meta"]["taskflowExecutionContext"]["taskflow"]["taskInfo"]["options"] == {}


@pytest.mark.shows("taskflow/options-overlaid", "taskflow/options-places")
def test_options_of_the_flow_are_overlaid_by_those_of_the_task() -> None:
    run = Run(EXAMPLE)
    run.succeed("createGroup")
    assert run.settings[run.label("addApplianceAlpha")] == {
        "allowedRetryCount": 3,
        "retryDelay": 5000,
        "attemptTimeout": 60000,
        "expiresAfter": 60000,
    }
    assert info(run, "addApplianceAlpha")["options"] == {**EXAMPLE["options"], "maxRetries": 3}
    of_flow = {"maxRetries": 5, "timeout": 1000, "retryDelay": 10, "continueOnTaskFailure": True}
    own = {"maxRetries": 0, "timeout": 2000, "continueOnTaskFailure": False}
    run = Run(flow([task("a", options=own), "b"], options=of_flow))
    assert info(run, "a")["options"] == {**of_flow, **own}
    assert info(run, "b")["options"] == of_flow
    assert run.settings[run.label("a")] == {"allowedRetryCount": 0, "retryDelay": 10, "attemptTimeout": 2000}
    assert run.settings[run.label("b")] == {"allowedRetryCount": 5, "retryDelay": 10, "attemptTimeout": 1000}


def info(run: Run, name: str) -> Any:
    """Return the execution context of a task."""
    return run.params_of(name)["meta"]["taskflowExecutionContext"]["taskflow"]["taskInfo"]


def test_a_flow_ends_with_its_max_age() -> None:
    run = Run(flow(["a"], options={"maxAge": 1500}))
    assert run.params_of("maxAge") == {"duration": {"seconds": 1.5}}
    run.succeed("maxAge")
    assert (run.outcome, run.ending["message"]) == ("failed", "maxAge has passed")
    assert {stage["status"] for stage in run.ending["stages"]} <= {"FAILED", "COMPLETED", "WAITING"}


@pytest.mark.shows("taskflow/stop-on-failure", "taskflow/flow-statuses")
def test_a_failed_task_ends_the_flow_when_its_stage_has_ended() -> None:
    run = Run(flow(["a", "b"], ["c"]))
    run.fail("a", {"why": "no"})
    assert run.live == ["b"]
    run.succeed("b")
    assert run.outcome == "failed"
    assert [stage["status"] for stage in run.ending["stages"]] == ["FAILED", "WAITING"]
    assert run.ending["stages"][0]["tasks"][0]["response"]["error"] == {"why": "no"}


@pytest.mark.shows("taskflow/continue-on-failure", "taskflow/stage-statuses", "taskflow/previous-stage-null")
def test_with_continue_on_task_failure_the_flow_continues_and_the_response_is_null() -> None:
    run = Run(flow(["a", "b"], ["c"], options=GO_ON))
    run.fail("a")
    run.succeed("b", {"success": True, "data": "NOTIFIED USER"})
    assert run.live == ["c"]
    assert run.params_of("c")["meta"]["taskflowExecutionContext"]["previousStageRes"] == [
        {"taskName": "a", "response": None},
        {"taskName": "b", "response": {"success": True, "data": "NOTIFIED USER"}},
    ]
    run.succeed("c")
    assert (run.outcome, run.ending["status"]) == ("succeeded", "PARTIAL_COMPLETED")
    assert [stage["status"] for stage in run.ending["stages"]] == ["PARTIAL_COMPLETED", "COMPLETED"]


@pytest.mark.shows("taskflow/previous-stage")
def test_a_worker_receives_the_answers_of_the_stage_before() -> None:
    run = Run(flow(["a"], ["b", "c"], ["d"]))
    run.succeed("a", {"of": "a"})
    run.succeed("c", {"of": "c"})
    run.succeed("b", {"of": "b"})
    before = {
        name: run.params_of(name)["meta"]["taskflowExecutionContext"].get("previousStageRes", "absent")
        for name in "abcd"
    }
    assert before == {
        "a": "absent",
        "b": [{"taskName": "a", "response": {"of": "a"}}],
        "c": [{"taskName": "a", "response": {"of": "a"}}],
        "d": [{"taskName": "b", "response": {"of": "b"}}, {"taskName": "c", "response": {"of": "c"}}],
    }


@pytest.mark.shows("taskflow/stage-statuses", "taskflow/flow-statuses")
def test_an_all_failed_stage_is_failed_and_the_flow_continues_with_the_option() -> None:
    run = Run(flow(["a", "b"], ["c"], options=GO_ON))
    run.fail("a")
    run.fail("b")
    run.succeed("c")
    assert [stage["status"] for stage in run.ending["stages"]] == ["FAILED", "COMPLETED"]
    assert run.ending["status"] == "PARTIAL_COMPLETED"
    run = Run(flow(["a"], options=GO_ON))
    run.fail("a")
    assert (run.outcome, run.ending["status"]) == ("failed", "FAILED")


def test_the_option_of_the_task_decides_whether_its_failure_stops_the_flow() -> None:
    run = Run(flow([task("a", options={"continueOnTaskFailure": False})], ["b"], options=GO_ON))
    run.fail("a")
    assert run.outcome == "failed"


@pytest.mark.shows("taskflow/task-statuses", "taskflow/stage-statuses", "taskflow/flow-statuses")
def test_statuses_are_the_documented_ones() -> None:
    assert get_args(TaskStatus) == ("WAITING", "QUEUED", "RUNNING", "SUCCESS", "FAILED")
    assert get_args(StageStatus) == ("WAITING", "RUNNING", "COMPLETED", "PARTIAL_COMPLETED", "FAILED")
    assert {*get_args(FlowStatus)} == {*get_args(StageStatus), "CANCELLED"}


@pytest.mark.shows("taskflow/task-statuses", "taskflow/stage-statuses", "taskflow/flow-statuses")
def test_statuses_follow_the_queue() -> None:
    run = Run(flow(["a", "b"], ["c"]))
    assert statuses(run) == ("WAITING", ["WAITING", "WAITING"], ["WAITING"] * 3)
    for status in ("waiting", "ready", "requested"):
        assert statuses(run, a=TaskState(status))[2][0] == "QUEUED"
    assert statuses(run, a=TaskState("in-progress", retry_count=1)) == (
        "RUNNING",
        ["RUNNING", "WAITING"],
        ["RUNNING", "WAITING", "WAITING"],
    )
    assert statuses(run, a=SUCCEEDED, b=FAILED)[1:] == (["FAILED", "WAITING"], ["SUCCESS", "FAILED", "WAITING"])
    assert statuses(run, a=SUCCEEDED, b=SUCCEEDED, c=TaskState("ready"))[1] == ["COMPLETED", "RUNNING"]


@pytest.mark.shows("taskflow/attempt-counter")
@pytest.mark.parametrize(
    ("state", "attempt"),
    [
        (TaskState("ready"), 0),
        (TaskState("in-progress", retry_count=1), 0),
        (TaskState("waiting", retry_count=1), 1),
        (TaskState("in-progress", retry_count=2), 1),
        (TaskState("done", "succeeded", "in-progress", 2), 1),
        (TaskState("done", "failed", "ready", 0), 0),
    ],
)
def test_attempts_are_counted_from_zero(state: TaskState, attempt: int) -> None:
    run = Run(flow(["a"]))
    now = compute_progress(run.plan, collect_facts([(run.label("a"), "a", state)]))
    assert now.stages[0].tasks[0].attempt == attempt


@pytest.mark.shows("taskflow/cancelled-tasks")
def test_a_canceled_flow_keeps_the_states_of_its_tasks() -> None:
    run = Run(flow(["a", "b", "c"], ["d"]))
    facts = collect_facts(
        [
            (run.label("a"), "a", TaskState("done", "canceled", "ready", is_dropped=True)),
            (run.label("b"), "b", TaskState("done", "canceled", "in-progress", 1, is_dropped=True)),
            (run.label("c"), "c", SUCCEEDED),
        ],
        "canceled",
    )
    now = compute_progress(run.plan, facts)
    assert now.status == "CANCELLED"
    assert [view.status for stage in now.stages for view in stage.tasks] == ["QUEUED", "FAILED", "SUCCESS", "WAITING"]
    assert [stage.status for stage in now.stages] == ["FAILED", "WAITING"]


@pytest.mark.shows("taskflow/cancelled-events")
def test_tasks_that_a_canceled_flow_did_not_begin_are_waiting() -> None:
    run = Run(flow(["a"], [task("b", {"x": "{{s1.a.data}}"})], options={"continueOnTaskFailure": True}))
    for was in ("ready", "in-progress"):
        facts = collect_facts([(run.label("a"), "a", TaskState("done", "canceled", was, is_dropped=True))], "canceled")
        assert compute_progress(run.plan, facts).stages[1].tasks[0].status == "WAITING"


OTHER = "00000000-0000-4000-8000-000000000001"


def test_a_produce_signal_with_a_bad_payload_begins_nothing() -> None:
    run = Run(flow(["a"]))
    for members in ({"key": "k" * 5000}, {"key": "a/b"}, {"attempt": -1}, {"attempt": 10**30}):
        run.produce("a", flow(["x"]), **members)
    assert run.live == ["a"]


PLACEHOLDERS: list[tuple[Any, Any]] = [
    ("{{s1}}", {"a": {"id": 7, "tags": ["x", "y"], "z": None, "big": 12345678901234567890123.5}, "b": None}),
    ("{{s1.a.id}}", 7),
    ("{{ s1.a.tags }}", ["x", "y"]),
    ("{{s1.a.tags.1}}", "y"),
    ("{{s1.b}}", None),
    ("no. {{s1.a.id}} of {{s1.a.tags}}, {{s1.a.z}}", 'no. 7 of ["x","y"], null'),
    ({"deep": [{"er": "{{s1.a.id}}"}]}, {"deep": [{"er": 7}]}),
    ("{{context.house.name}}", "blue"),
    ("{{not-a-name}} {} {{", "{{not-a-name}} {} {{"),
]


@pytest.mark.shows("taskflow/placeholders")
@pytest.mark.parametrize(("value", "filled"), PLACEHOLDERS)
def test_placeholders_are_filled_from_the_stages_before(value: Any, filled: Any) -> None:
    content = flow(["a", "b"], [task("c", {"x": value})], options=GO_ON, context={"house": {"name": "blue"}})
    run = Run(content)
    run.succeed("a", {"id": 7, "tags": ["x", "y"], "z": None, "big": 12345678901234567890123.5})
    run.succeed("b")
    assert run.params_of("c")["params"] == {"x": filled}


def test_placeholders_keep_the_text_of_numbers() -> None:
    run = Run(flow(["a"], [task("b", {"x": "{{s1.a.n}}", "t": "{{s1.a.n}}"})]))
    label = run.label("a")
    run.activities[label] = run.activities[label]._replace(outcome="succeeded", result=b'{"n":1.50}')
    begun = compute_progress(run.plan, RunFacts({label: TaskState("done", "succeeded", result=b'{"n":1.50}')}, {}))
    assert begun.due[0].params == b'{"x":1.50,"t":1.50}'


@pytest.mark.parametrize(
    "unknown",
    ["s9", "s1.z", "s1.a.prop", "s1.a.list.1", "s1.a.list." + 5000 * "1", "s1.b.x", "s2", "s2.c", "s3.d"],
    ids=lambda unknown: unknown[:12],
)
def test_an_unknown_placeholder_fails_its_task_before_any_worker_sees_it(unknown: str) -> None:
    run = Run(flow(["a", "b"], [task("c", {"x": "{{" + unknown + "}}"}), "other"], ["d"], options=GO_ON))
    run.succeed("a", {"id": 7, "list": [1]})
    run.succeed("b")
    assert run.live == ["other"]
    run.succeed("other")
    run.succeed("d")
    (c, _) = run.ending["stages"][1]["tasks"]
    assert c["status"] == "FAILED"
    assert "{{" + unknown + "}}" in c["response"]["message"]


def test_a_stage_with_only_unknown_placeholders_does_not_block_the_flow() -> None:
    run = Run(flow([task("a", {"x": "{{nobody}}"})], ["b"], options=GO_ON))
    assert run.live == ["b"]
    run = Run(flow([task("a", {"x": "{{nobody}}"})], ["b"]))
    assert run.outcome == "failed"


@pytest.mark.shows("taskflow/execution-context")
def test_the_execution_context_of_a_worker_is_as_documented() -> None:
    run = Run(EXAMPLE, id="c3dec307-99f2-437e-9942-8f7128210ddc")
    sent = run.params_of("createGroup")
    assert sent["params"] == EXAMPLE["stages"][0]["tasks"][0]["params"]
    stage = run.plan.stages[0]
    place = sent["meta"]["taskflowExecutionContext"]
    assert place.keys() == {"taskflow"}
    assert place["taskflow"] == {
        "id": run.plan.id,
        "stageId": stage.id,
        "createdAt": 1779192000000,
        "taskId": stage.tasks[0].id,
        "taskInfo": {
            "id": stage.tasks[0].id,
            "attempt": 0,
            "meta": {},
            "params": sent["params"],
            "options": EXAMPLE["options"],
            "status": "WAITING",
            "nestedActiveRunningTaskFlowIds": [],
            "nestedTaskflows": [],
            "name": "createGroup",
            "type": "ACTION",
            "taskDetails": {"serviceId": "group-core", "actionName": "createGroup"},
        },
    }


@pytest.mark.shows("taskflow/nested-context")
def test_a_nested_flow_has_the_context_of_its_parent_in_its_meta() -> None:
    outer = Run(flow(["a"]))
    meta = outer.params_of("a")["meta"]
    inner = Run(flow(["b"], meta=meta), id="inner")
    told = inner.params_of("b")["meta"]["taskflowExecutionContext"]["taskflow"]
    assert told["taskInfo"]["meta"] == meta
    parent = outer.plan.stages[0].tasks[0]
    assert inner.plan.parent == FlowParent("run", parent.stage_id, parent.id)
    innermost = Run(flow(["c"], meta={"taskflowExecutionContext": {"taskflow": told}}), id="innermost")
    told = innermost.params_of("c")["meta"]["taskflowExecutionContext"]["taskflow"]["taskInfo"]["meta"]
    assert told["taskflowExecutionContext"]["taskflow"]["taskInfo"]["meta"] == meta


def test_a_task_ends_when_its_handler_answered_and_no_nested_flow_is_live() -> None:
    run = Run(flow(["a"], ["b"]))
    one, other = run.produce("a", flow(["x"])), run.produce("a", flow(["y"]), key=OTHER)
    run.succeed("a", {"ok": 1})
    run.succeed(one)
    assert run.live == [other]
    run.succeed(other)
    assert run.live == ["b"]
    run = Run(flow(["a"], ["b"]))
    one = run.produce("a", flow(["x"]))
    run.succeed(one)
    assert run.live == ["a"]
    run.succeed("a")
    assert run.live == ["b"]


def test_a_failed_nested_flow_makes_its_task_failed() -> None:
    run = Run(flow(["a"]))
    one = run.produce("a", flow(["x"]))
    run.succeed("a", {"ok": 1})
    run.fail(one)
    assert run.outcome == "failed"
    assert "did not succeed" in run.ending["stages"][0]["tasks"][0]["response"]["message"]


def test_nested_flows_of_an_earlier_attempt_are_ignored() -> None:
    run = Run(flow(["a"]))
    first = run.produce("a", flow(["x"]), attempt=0)
    run.fail(first)
    second = run.produce("a", flow(["x"]), attempt=1)
    run.succeed(second)
    run.succeed("a")
    assert run.outcome == "succeeded"


def test_a_produce_signal_for_an_ended_or_unknown_task_or_with_a_bad_payload_is_ignored() -> None:
    run = Run(flow(["a"], ["b"]))
    run.succeed("a")
    before = dict(run.activities)
    run.produce("a", flow(["x"]))
    run.produce("nobody", flow(["x"]))
    run.produce("b", {"stages": []})
    run.produce("b", flow([{**task("x"), "type": "CHANNEL"}]))
    assert run.activities == before
    run.produce("b", flow(["x"]))
    assert len(run.activities) == len(before) + 1


def test_params_of_a_flow_by_name_override_its_context() -> None:
    content = flow([task("a", {"x": "{{context.who}}", "y": "{{context.what}}"})], context={"who": "ann", "what": 1})
    text = json.dumps({"kind": "taskflow", "name": "demo/flow", "title": "Demo", **content}).encode()
    document = msgspec.json.decode(text, type=TaskflowDefinition)
    run = Run({"who": "bob"}, document)
    assert run.params_of("a")["params"] == {"x": "bob", "y": 1}
    assert run.plan.flow.name == "Demo"
    assert Run(None, document).params_of("a")["params"] == {"x": "ann", "y": 1}


PLACEHOLDER = ["{{a}}", "x {{a.b}}", "{{a.b.0}}", "{{ a.c.d }}", "{{a.}}", "{{{a}}}", "{{a}}{{a.b}}", "}}{{"]
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"))
    | st.sampled_from(PLACEHOLDER),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(JSON, JSON)
def test_any_params_are_filled_or_the_unknown_placeholder_is_named(params: Any, value: Any) -> None:
    text = orjson.dumps(params)
    try:
        filled = fill(text, lambda: {"a": {"b": [value], "c": value}}, ByteBudget(1 << 20))
    except UnknownPlaceholder as unknown:
        filled = b'"' + str(unknown).encode() + b'"'
    if b"{{" in text:
        orjson.loads(filled)
    else:
        assert filled == text


@pytest.mark.parametrize(("tasks", "outcome"), [(7, None), (9, "failed")])
def test_a_flow_with_too_large_responses_fails_with_the_size(tasks: int, outcome: str | None) -> None:
    run = Run(flow(["a"], [f"b{number}" for number in range(tasks)]))
    run.succeed("a", {"text": "x" * (2 << 20)})
    assert run.outcome == outcome
    if outcome is not None:
        assert run.ending["message"].endswith("bytes of responses in all; 16777216 are the most")
