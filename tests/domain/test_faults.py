"""What is said of a value that is none of the few that may stand there."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from fencepost.domain.document import Document, read_document
from fencepost.domain.faults import fault_of_struct

TASK = {"name": "a", "type": "action", "taskDetails": {"serviceId": "s", "actionName": "a"}}


@pytest.mark.parametrize(
    ("document", "at", "message"),
    [
        (
            {"kind": "process", "name": "hr/hire", "steps": [{"code": "A", "handlerType": "page"}]},
            "$.steps[0].handlerType",
            "Invalid enum value 'page'; there are BATCH_JOB, PAGE",
        ),
        (
            {"kind": "taskflow", "name": "demo/flow", "stages": [{"name": "s", "tasks": [TASK]}]},
            "$.stages[0].tasks[0].type",
            "Invalid enum value 'action'; there are ACTION, CHANNEL, WORKFLOW",
        ),
        (
            {"kind": "tasks", "name": "demo/a"},
            "$.kind",
            "Invalid value 'tasks'; there are device-workflow, machine-template, process, schedule, task, taskflow, "
            "trigger, workflow",
        ),
    ],
)
def test_what_may_stand_there_is_named(document: dict[str, Any], at: str, message: str) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        read_document(msgspec.json.encode(document))
    refusal = fault_of_struct(str(caught.value), Document)
    assert (refusal.at, refusal.message) == (at, message)
