"""The decider of machine templates: schedules one task per action, in order, and a task for the global timeout."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import UNSET, Raw

from fencepost.domain.actions import AnyAction, CompleteWorkflow, DoNothing, Fail, Request, ScheduleTask
from fencepost.domain.decider import Event, Facts
from fencepost.domain.limits import LONGEST_MS
from fencepost.domain.task_overrides import TaskOverrides
from fencepost.vocabularies.machines.document import MachineTemplate
from fencepost.vocabularies.machines.plan import Plan, Step, plan_of
from fencepost.vocabularies.machines.position import ActionResult, State, error_state, is_resumed

ACTION = "awf.machine/action"
TIME_LIMIT = "awf.machine/time-limit"
_TIME_LIMIT_LABEL = "time-limit"
_LONGEST_LABEL = 200


class ActionParams(msgspec.Struct, frozen=True):
    """Params of an action's task; `timeout` is in seconds, 0 for none."""

    index: int
    total: int
    task: str
    action: str
    worker: str
    image: str
    timeout: int
    command: tuple[str, ...]
    volumes: tuple[str, ...]
    environment: tuple[str, ...]
    pid: str


def decide(facts: Facts, event: Event) -> Sequence[AnyAction]:
    """Schedule the first action, or after a success the next one; complete or fail the workflow otherwise."""
    document = facts.document
    assert isinstance(document, MachineTemplate), "deciders are chosen by the kind of the document"
    plan = plan_of(document.template, facts.workflow.params)
    match event.kind:
        case "workflow-init":
            return [*_time_limit(plan), *_schedule(plan, 0, document)]
        case "task-completed" if event.label == _TIME_LIMIT_LABEL:
            if event.outcome != "failed":
                return [DoNothing()]
            return [_fail(ActionResult(State.TIMEOUT.wire_name, "Global timeout"))]
        case "task-completed":
            return _after_action(facts, event, plan, document)
    return [DoNothing()]


def label_of(step: Step) -> str:
    """Return the label of an action's task: its index, and its name for people, cut to the longest label."""
    return f"{step.action_index} {step.name}"[:_LONGEST_LABEL]


def _after_action(facts: Facts, event: Event, plan: Plan, document: MachineTemplate) -> Sequence[AnyAction]:
    """Schedule what follows a finished action."""
    label = event.label or ""
    step, activity = plan.steps[int(label.partition(" ")[0])], facts.activities[label]
    if event.outcome == "succeeded":
        return _schedule(plan, step.action_index + 1, document, is_resumed=is_resumed(activity.result))
    if event.outcome == "canceled":
        return [_fail(ActionResult(State.FAILED.wire_name, "Action canceled", task=step.task_name, action=step.name))]
    state = error_state(activity.error, State.TIMEOUT)
    message = "Action timed out" if state is State.TIMEOUT else "Action failed"
    return [_fail(ActionResult(state.wire_name, message, task=step.task_name, action=step.name))]


def _schedule(plan: Plan, index: int, document: MachineTemplate, *, is_resumed: bool = False) -> Sequence[AnyAction]:
    """Schedule the action at an index, or complete the workflow after the last one."""
    if index == len(plan.steps):
        return [CompleteWorkflow(result=_json(ActionResult(State.SUCCESS.wire_name)))]
    step = plan.steps[index]
    limit = _milliseconds(step.timeout + document.pull_grace) if step.timeout > 0 else None
    params = ActionParams(
        index=step.action_index,
        total=len(plan.steps),
        task=step.task_name,
        action=step.name,
        worker=step.worker,
        image=step.image,
        timeout=step.timeout,
        command=step.command,
        volumes=step.volumes,
        environment=step.environment,
        pid=step.pid,
    )
    # A worker that resumed reports no RUNNING for its next action, so the time of that begins when this one ends.
    is_unannounced = is_resumed and plan.steps[index - 1].worker == step.worker
    settings = _settings(limit, limit if is_unannounced else None)
    return [ScheduleTask(task_request=_request(ACTION, label_of(step), settings, params))]


def _time_limit(plan: Plan) -> Sequence[AnyAction]:
    """Schedule the task for the global timeout; the store starts it with the first action that starts."""
    if plan.global_timeout <= 0 or not plan.steps:
        return []
    limit = _milliseconds(plan.global_timeout)
    return [ScheduleTask(task_request=_request(TIME_LIMIT, _TIME_LIMIT_LABEL, _settings(limit), None))]


def _settings(limit: int | None, expires_after: int | None = None) -> TaskOverrides:
    """Return task settings without heartbeats and without retries: workers of machines have neither."""
    return TaskOverrides(
        allowed_retry_count=0, in_progress_timeout=LONGEST_MS, attempt_timeout=limit, expires_after=expires_after
    )


def _request(definition: str, label: str, settings: TaskOverrides, params: ActionParams | None) -> Request:
    text = UNSET if params is None else _json(params)
    return Request(definition=definition, label=label, settings=settings, params=text)


def _milliseconds(seconds: int) -> int:
    return min(seconds * 1000, LONGEST_MS)


def _fail(result: ActionResult) -> Fail:
    return Fail(error=_json(result))


def _json(value: msgspec.Struct) -> Raw:
    return Raw(msgspec.json.encode(value))
