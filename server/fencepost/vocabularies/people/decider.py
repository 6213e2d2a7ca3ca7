"""What a task list decides by itself: the tasks that it begins with, and when it is over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import orjson
from msgspec import Raw

from fencepost.domain.actions import AnyAction, CompleteWorkflow, Request, ScheduleTask
from fencepost.domain.decider import Activity, Event, Facts
from fencepost.domain.workflow import Workflow
from fencepost.vocabularies.people.process import FinalFields, ProcessDefinition, ProcessStep, first_fields
from fencepost.vocabularies.people.statuses import BY_HAND, OVER, statuses_of

_LINE = "line/"


def label_of(line_number: int, round_: int = 1) -> str:
    """Return the label of a line's core task, or of the one that it got when it was taken up again."""
    return f"{_LINE}{line_number}" if round_ == 1 else f"{_LINE}{line_number}/{round_}"


def decide(facts: Facts, event: Event) -> Sequence[AnyAction]:
    """Make the tasks of the first steps; complete the list when it closes by itself and all its tasks are over."""
    process = facts.document
    assert isinstance(process, ProcessDefinition), "that is what this decides over"
    if event.kind == "workflow-init":
        return _first_tasks(process, facts.workflow)
    lines = lines_of(facts.activities)
    if not lines or not _closes(process, facts.workflow):
        return []
    outcomes = [outcome_of(activity) for activity in lines.values()]
    if all(outcome["biTaskStatus"] in OVER for outcome in outcomes):
        return [CompleteWorkflow(result=Raw(orjson.dumps({"tasks": outcomes})))]
    return []


def lines_of(activities: Mapping[str, Activity]) -> Mapping[int, Activity]:
    """Return by line number the core task of each line, the newest where it was taken up again."""
    newest: dict[int, tuple[int, Activity]] = {}
    for label, activity in activities.items():
        if not label.startswith(_LINE):
            continue
        number, _, again = label.removeprefix(_LINE).partition("/")
        line, round_ = int(number), int(again or 1)
        if line not in newest or newest[line][0] < round_:
            newest[line] = round_, activity
    return {line: newest[line][1] for line in sorted(newest)}


def outcome_of(activity: Activity) -> dict[str, Any]:
    """Return what a list's result says of one of its tasks."""
    fields = msgspec.json.decode(activity.params or b"{}", type=FinalFields)
    status = statuses_of("ready", activity.outcome)[0]
    result = {} if activity.result is None else {"result": orjson.Fragment(activity.result)}
    return {
        "lineNumber": fields.line_number,
        "processStep": fields.process_step,
        "biTaskStatus": status,
        **result,
    }


def request_for(process: ProcessDefinition, step: ProcessStep, fields: FinalFields, label: str) -> Request:
    """Return what begins a task."""
    definition = BY_HAND if step.flow == "M" else process.definition_of(step)
    return Request(definition, label, Raw(msgspec.json.encode(fields)))


def _first_tasks(process: ProcessDefinition, workflow: Workflow) -> list[AnyAction]:
    fields = process.list_fields(workflow.params)
    return [
        ScheduleTask(
            task_request=request_for(
                process,
                step,
                first_fields(process, step, fields, task_list=workflow.id, line_number=line),
                label_of(line),
            )
        )
        for line, step in enumerate(process.first_steps, 1)
    ]


def _closes(process: ProcessDefinition, workflow: Workflow) -> bool:
    """Whether a list ends by itself; one that somebody waits for does, unless its process says otherwise."""
    if isinstance(process.close_when_done, bool):
        return process.close_when_done
    requester = orjson.loads(workflow.requester)
    return isinstance(requester, dict) and requester.get("resourceType") == "AidboxWorkflow"
