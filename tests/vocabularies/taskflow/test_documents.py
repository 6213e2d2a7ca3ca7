"""The checks of produced flows and declared documents: accepted ones, and refusals with their paths."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from fencepost.domain.validation import refusal_of_struct
from fencepost.errors import Refusal
from fencepost.vocabularies.taskflow.document import FLOW, TaskflowDefinition
from fencepost.vocabularies.taskflow.flow import Flow, FlowOptions
from tests.fixtures.taskflows import EXAMPLE, flow, task

OWN = {"serviceId": "awf.task", "actionName": "wait"}
FIRST = "params.stages[0].tasks[0]"


def refusal(content: Any) -> tuple[str, str | None]:
    """Return the refusal of a flow."""
    with pytest.raises(Refusal) as refused:
        TaskflowDefinition(name=FLOW).begin(json.dumps(content).encode())
    return refused.value.message, refused.value.field


def changed(at: str, value: Any) -> Any:
    """Return the vendor's example with other members in the first task of the second stage."""
    content = json.loads(json.dumps(EXAMPLE))
    one = content["stages"][1]["tasks"][0]
    *above, last = at.split(".")
    for member in above:
        one = one.setdefault(member, {})
    one[last] = value
    return content


@pytest.mark.shows("taskflow/task-members")
def test_the_documented_example_is_valid() -> None:
    TaskflowDefinition(name=FLOW).begin(json.dumps(EXAMPLE).encode())
    read = msgspec.json.decode(json.dumps(EXAMPLE).encode(), type=Flow)
    assert [len(stage.tasks) for stage in read.stages] == [1, 2]


@pytest.mark.shows("taskflow/task-members")
@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("options.maxRetries", -1),
        ("options.maxRetries", 1.5),
        ("options.maxRetries", "3"),
        ("options.maxAge", 0),
        ("options.maxAge", 10**15),
        ("options.timeout", -5),
        ("options.retryDelay", None),
        ("options.continueOnTaskFailure", "yes"),
        ("options.exactlyOnceTaskExecution", 1),
        ("type", "EVENT"),
        ("taskDetails.serviceId", "a/b"),
        ("taskDetails.channelName", "ch"),
        ("params", []),
        ("params", "text"),
        ("name", ""),
        ("options.maxRetrys", 3),
        ("nmae", "x"),
    ],
)
def test_a_bad_task_is_refused_with_the_path(member: str, value: Any) -> None:
    _, at = refusal(changed(member, value))
    assert at == f"params.stages[1].tasks[0].{member}"


@pytest.mark.parametrize(
    ("content", "at"),
    [
        ({}, "params.stages"),
        ({"stages": []}, "params.stages"),
        ({"stages": [{"name": "s", "tasks": []}]}, "params.stages[0].tasks"),
        ({"stages": [{"tasks": [task("a")]}]}, "params.stages[0].name"),
        (flow(["a"], options={"maxAge": "1"}), "params.options.maxAge"),
        (flow(["a"], context="text"), "params.context"),
        (flow(["a"], meta=[1]), "params.meta"),
        (flow(["a"], stage=[]), "params.stage"),
        (flow([{"name": "a", "type": "ACTION"}]), f"{FIRST}.taskDetails"),
        (flow([{"name": "a", "type": "CHANNEL", "taskDetails": {}}]), f"{FIRST}.taskDetails.channelName"),
        (flow([{"name": "a", "type": "WORKFLOW", "taskDetails": {}}]), f"{FIRST}.taskDetails.definition"),
        (
            flow([{"name": "a", "type": "WORKFLOW", "taskDetails": {"definition": "d/w"}, "options": {"timeout": 5}}]),
            f"{FIRST}.options.timeout",
        ),
        (flow([task("a", taskDetails=OWN)]), f"{FIRST}.taskDetails.serviceId"),
    ],
)  # fmt: skip
def test_a_bad_flow_is_refused_with_the_path(content: Any, at: str) -> None:
    assert refusal(content)[1] == at


def test_an_unknown_member_is_refused_with_the_nearest_name() -> None:
    assert "did you mean 'maxRetries'?" in refusal(changed("options.maxRetrys", 3))[0]
    assert "did you mean 'taskDetails'?" in refusal(changed("taskDetail", {}))[0]


@pytest.mark.shows("taskflow/exactly-once-alias")
def test_exactly_once_execution_has_two_names() -> None:
    assert msgspec.json.decode(b'{"exactlyOnceExecution":true}', type=FlowOptions) == FlowOptions(
        exactly_once_task_execution=True
    )
    both = {"exactlyOnceExecution": True, "exactlyOnceTaskExecution": False}
    message, at = refusal(flow(["a"], options=both))
    assert at == "params.options"
    assert "two names" in message


@pytest.mark.shows("taskflow/unique-names")
@pytest.mark.parametrize(
    ("placeholder", "refused"),
    [("{{twice}}", True), ("{{s1.twice}}", True), ("{{s1.once}}", False), ("{{twice.x}}", True), ("{{other}}", False)],
)
def test_an_ambiguous_placeholder_is_refused(placeholder: str, refused: bool) -> None:
    content = flow(["twice", "twice", "once"], ["a"], ["b"], [task("c", {"x": placeholder})])
    content["stages"][1]["name"] = content["stages"][2]["name"] = "twice"
    if refused:
        assert refusal(content)[1] == "params.stages[3].tasks[0].params"
    else:
        TaskflowDefinition(name=FLOW).begin(json.dumps(content).encode())


def test_a_document_without_valid_stages_is_refused_with_the_path() -> None:
    with pytest.raises(Refusal) as refused:
        TaskflowDefinition(name="demo/flow").compile()
    assert refused.value.field == "stages"
    text = json.dumps({"kind": "taskflow", "name": "demo/flow", **flow([{**task("a"), "type": "CHANNEL"}])}).encode()
    with pytest.raises(Refusal) as refused:
        msgspec.json.decode(text, type=TaskflowDefinition).compile()
    assert refused.value.field == "stages[0].tasks[0].taskDetails.channelName"


def test_the_nearest_name_is_found_inside_lists_and_unions() -> None:
    text = b'{"stages":[{"name":"s","task":1}]}'
    with pytest.raises(msgspec.ValidationError) as error:
        msgspec.json.decode(text, type=Flow)
    assert "did you mean 'tasks'?" in refusal_of_struct(str(error.value), Flow).message
