"""The decider of task lists: it creates the first tasks, and completes a list that closes when done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import orjson
from msgspec import Raw

from fencepost.domain.actions import AnyAction, CompleteWorkflow, Request, ScheduleTask
from fencepost.domain.decider import Activity, Event, Facts
from fencepost.domain.workflow import Workflow
from fencepost.vocabularies.people.process import ProcessDefinition, ProcessStep, TaskFields, fields_for
from fencepost.vocabularies.people.statuses import CLOSED, MANUAL_TASK, allowed_statuses

_LINE = "line/"


def label_of(line_number: int, generation: int = 1) -> str:
    """Return the label of a core task; a line gets a new generation when its task is reopened."""
    return f"{_LINE}{line_number}" if generation == 1 else f"{_LINE}{line_number}/{generation}"


def decide(facts: Facts, event: Event) -> Sequence[AnyAction]:
    """Create the tasks of the initial steps; complete a list that closes when done and has no open task."""
    process = facts.document
    assert isinstance(process, ProcessDefinition), "the decider of processes"
    if event.kind == "workflow-init":
        return _first_tasks(process, facts.workflow)
    lines = core_tasks_by_line(facts.activities)
    if not lines or not _closes_when_done(process, facts.workflow):
        return []
    outcomes = [task_summary(activity) for activity in lines.values()]
    if all(outcome["biTaskStatus"] in CLOSED for outcome in outcomes):
        return [CompleteWorkflow(result=Raw(orjson.dumps({"tasks": outcomes})))]
    return []


def core_tasks_by_line(activities: Mapping[str, Activity]) -> Mapping[int, Activity]:
    """Return the newest core task of each line, by line number."""
    newest: dict[int, tuple[int, Activity]] = {}
    for label, activity in activities.items():
        if not label.startswith(_LINE):
            continue
        number, _, suffix = label.removeprefix(_LINE).partition("/")
        line, generation = int(number), int(suffix or 1)
        if line not in newest or newest[line][0] < generation:
            newest[line] = generation, activity
    return {line: newest[line][1] for line in sorted(newest)}


def task_summary(activity: Activity) -> dict[str, Any]:
    """Return the entry of a task in the result of its list."""
    fields = msgspec.json.decode(activity.params or b"{}", type=TaskFields)
    status = allowed_statuses("ready", activity.outcome)[0]
    result = {} if activity.result is None else {"result": orjson.Fragment(activity.result)}
    return {
        "lineNumber": fields.line_number,
        "processStep": fields.process_step,
        "biTaskStatus": status,
        **result,
    }


def request_for(process: ProcessDefinition, step: ProcessStep, fields: TaskFields, label: str) -> Request:
    """Return the request that creates a core task."""
    definition = MANUAL_TASK if step.flow == "M" else process.definition_of(step)
    return Request(definition, label, Raw(msgspec.json.encode(fields)))


def _first_tasks(process: ProcessDefinition, workflow: Workflow) -> list[AnyAction]:
    fields = process.list_fields(workflow.params)
    return [
        ScheduleTask(
            task_request=request_for(
                process,
                step,
                fields_for(process, step, fields, task_list=workflow.id, line_number=line),
                label_of(line),
            )
        )
        for line, step in enumerate(process.initial_steps, 1)
    ]


def _closes_when_done(process: ProcessDefinition, workflow: Workflow) -> bool:
    """Return whether a list ends with its last task; by default a child workflow does."""
    if isinstance(process.close_when_done, bool):
        return process.close_when_done
    requester = orjson.loads(workflow.requester)
    return isinstance(requester, dict) and requester.get("resourceType") == "AidboxWorkflow"
