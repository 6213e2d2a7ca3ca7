"""Decides the next actions of a flow: the tasks of the next stage, a nested flow, or the end.

Stateless: each decision computes the progress of the whole run; unique labels keep an activity from beginning twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from fencepost.domain.actions import (
    AnyAction,
    CompleteWorkflow,
    Fail,
    Request,
    ScheduleTask,
    ScheduleWorkflow,
)
from fencepost.domain.builtin import WAIT
from fencepost.domain.decider import Activity, Event, Facts
from fencepost.domain.limits import MOST_RETRIES
from fencepost.domain.task_overrides import TaskOverrides
from fencepost.errors import Refusal
from fencepost.vocabularies.taskflow.document import FLOW, TaskflowDefinition
from fencepost.vocabularies.taskflow.flow import MAX_CARRIED_BYTES, FlowOptions
from fencepost.vocabularies.taskflow.plan import MAX_AGE_LABEL, FlowParams, Plan
from fencepost.vocabularies.taskflow.progress import (
    Progress,
    RunFacts,
    TaskState,
    TaskView,
    collect_facts,
    compute_progress,
    nested_label,
)
from fencepost.vocabularies.taskflow.record import TaskRecord

# The name of the signal that asks for a nested flow.
PRODUCE = "awf.taskflow/produce"


class ProduceSignal(msgspec.Struct, frozen=True, rename="camel"):
    """The payload of the signal: a flow, the label and attempt of the task that produces it, and a unique key."""

    label: str
    attempt: Annotated[int, Meta(ge=0, le=MOST_RETRIES)]
    key: Annotated[str, Meta(pattern=r"^[0-9a-f-]{36}\Z", description="a UUID")]
    flow: FlowParams


class _TaskLocation(msgspec.Struct, frozen=True, rename="camel"):
    """The task in its flow, as sent to its worker."""

    id: str
    stage_id: str
    created_at: int
    task_id: str
    task_info: TaskRecord


class _Response(msgspec.Struct, frozen=True, rename="camel"):
    task_name: str
    response: Raw


class _ExecutionContext(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    taskflow: _TaskLocation
    previous_stage_res: Sequence[_Response] | UnsetType = UNSET


class _Summary(msgspec.Struct, frozen=True):
    name: str
    status: str
    tasks: Sequence[_Summary] | UnsetType = UNSET
    response: Raw | UnsetType = UNSET


def decide(facts: Facts, event: Event) -> Sequence[AnyAction]:
    """Return the next actions of a run of a flow."""
    document = facts.document
    assert isinstance(document, TaskflowDefinition), "it is registered for these"
    plan = document.plan(facts.workflow)
    run = _collect_facts(facts.activities)
    now = compute_progress(plan, run)
    age = facts.activities.get(MAX_AGE_LABEL)
    if age is not None and age.outcome is not None:
        return _fail_flow(plan, run, "maxAge has passed")
    if event.kind == "signal" and event.name == PRODUCE:
        return _begin_nested(event, now)
    if now.ended == "FAILED":
        return _fail_flow(plan, run, "tasks have failed")
    if now.ended is not None:
        return [CompleteWorkflow(result=Raw(msgspec.json.encode(_summary(now, now.ended))))]
    if now.is_too_large:
        message = f"more than {MAX_CARRIED_BYTES} bytes would be filled in for the placeholders of the next tasks"
        return _fail_flow(plan, run, message)
    if (size := _carried_bytes(now)) > MAX_CARRIED_BYTES:
        message = f"the next tasks would carry {size} bytes of responses in all; {MAX_CARRIED_BYTES} are the most"
        return _fail_flow(plan, run, message)
    return [*_timer(plan), *(_begin_task(plan, now, view) for view in now.due)]


def _collect_facts(activities: Mapping[str, Activity]) -> RunFacts:
    return collect_facts((activity.label, activity.id, _task_state(activity)) for activity in activities.values())


def _task_state(activity: Activity) -> TaskState:
    if activity.outcome is None:
        return TaskState("in-progress")
    return TaskState("done", activity.outcome, result=activity.result, error=activity.error)


def _timer(plan: Plan) -> Sequence[AnyAction]:
    """Return the timer of `maxAge`; each decision repeats it, and its label makes it begin once."""
    if plan.flow.options.max_age is UNSET:
        return []
    duration = {"duration": {"seconds": plan.flow.options.max_age / 1000}}
    return [ScheduleTask(task_request=Request(WAIT, MAX_AGE_LABEL, Raw(msgspec.json.encode(duration))))]


def _carried_bytes(now: Progress) -> int:
    """Return the bytes of the tasks that can begin: their params, and the answers of the stage before."""
    size = answered = 0
    for stage in now.stages:
        size += sum(len(view.params) + answered for view in stage.tasks if view.params is not None)
        answered = sum(len(view.answer) for view in stage.tasks)
    return size


def _begin_task(plan: Plan, now: Progress, view: TaskView) -> AnyAction:
    task, options, params = view.planned.task, view.planned.options, view.params
    assert params is not None, "it is due"
    if task.type == "WORKFLOW":
        return ScheduleWorkflow(workflow_request=Request(task.definition, view.planned.label, Raw(params)))
    content = {"params": Raw(params), "meta": {"taskflowExecutionContext": _context(plan, now, view, params)}}
    text = Raw(msgspec.json.encode(content))
    request = Request(task.definition, view.planned.label, text, settings=_task_settings(options))
    return ScheduleTask(task_request=request)


def _task_settings(options: FlowOptions) -> TaskOverrides:
    return TaskOverrides(
        allowed_retry_count=options.max_retries or 0,
        retry_delay=options.retry_delay or 0,
        attempt_timeout=options.timeout or None,
        expires_after=options.max_age or None,
    )


def _context(plan: Plan, now: Progress, view: TaskView, params: bytes) -> _ExecutionContext:
    """Return the execution context of a task: its record, and the answers of the stage before."""
    planned = view.planned
    info = TaskRecord(
        id=planned.id,
        meta=plan.meta,
        params=Raw(params),
        options=planned.options,
        name=planned.task.name,
        type=planned.task.type,
        task_details=planned.task.task_details,
    )
    location = _TaskLocation(plan.id, planned.stage_id, plan.created_at, planned.id, info)
    number = next(number for number, stage in enumerate(plan.stages) if stage.id == planned.stage_id)
    if number == 0:
        return _ExecutionContext(location)
    before = now.stages[number - 1].tasks
    return _ExecutionContext(location, [_Response(one.planned.task.name, Raw(one.answer)) for one in before])


def _begin_nested(event: Event, now: Progress) -> Sequence[AnyAction]:
    """Begin a nested flow for a task that is running; a signal for any other task has no effect."""
    try:
        signal = _produce_signal.decode(b"" if event.payload is UNSET else bytes(event.payload))
        signal.flow.check()
    except (msgspec.MsgspecError, Refusal):
        # Any client can send a signal with this name.
        return []
    views = [view for stage in now.stages for view in stage.tasks if view.planned.label == signal.label]
    if not any(view.is_open and view.status == "RUNNING" and not view.has_answered for view in views):
        return []
    label = nested_label(signal.label, signal.attempt, signal.key)
    return [ScheduleWorkflow(workflow_request=Request(FLOW, label, Raw(msgspec.json.encode(signal.flow))))]


def _fail_flow(plan: Plan, run: RunFacts, message: str) -> Sequence[AnyAction]:
    """Fail a flow; tasks that are running are canceled."""
    over = _summary(compute_progress(plan, run._replace(outcome="failed")), "FAILED")
    return [Fail(error=Raw(msgspec.json.encode({"message": message, **over})))]


def _summary(now: Progress, status: str) -> Mapping[str, Any]:
    """Return the result or error of a run."""
    stages = [
        _Summary(
            stage.planned.name,
            stage.status,
            [_Summary(view.planned.task.name, view.status, response=Raw(view.response)) for view in stage.tasks],
        )
        for stage in now.stages
    ]
    return {"status": status, "stages": stages}


_produce_signal: msgspec.json.Decoder[ProduceSignal] = msgspec.json.Decoder(ProduceSignal)
