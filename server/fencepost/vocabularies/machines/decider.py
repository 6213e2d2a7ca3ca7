"""The decider of machine templates: one task an action, one after the other, and a limit for the time of all."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import UNSET, Raw

from fencepost.domain.actions import AnyAction, CompleteWorkflow, DoNothing, Fail, Request, ScheduleTask
from fencepost.domain.decider import Event, Facts
from fencepost.domain.limits import LONGEST_MS
from fencepost.domain.terms import TaskTerms
from fencepost.vocabularies.machines.document import MachineTemplate
from fencepost.vocabularies.machines.plan import Plan, Step, plan_of
from fencepost.vocabularies.machines.position import Said, State, is_resumed, said_state

ACTION = "awf.machine/action"
TIME_LIMIT = "awf.machine/time-limit"
_TIME_LIMIT_LABEL = "time-limit"
_LONGEST_LABEL = 200


class ActionParams(msgspec.Struct, frozen=True):
    """The params of an action's task."""

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
    """Begin the first action, the one after a success, or end."""
    document = facts.document
    assert isinstance(document, MachineTemplate), "it is decided over by its kind"
    plan = plan_of(document.template, facts.workflow.params)
    match event.kind:
        case "workflow-init":
            return [*_time_limit(plan), *_next(plan, 0, document)]
        case "task-completed" if event.label == _TIME_LIMIT_LABEL:
            return [_failed(Said(State.TIMEOUT.word, "Global timeout"))] if event.outcome == "failed" else [DoNothing()]
        case "task-completed":
            return _after(facts, event, plan, document)
    return [DoNothing()]


def label_of(step: Step) -> str:
    """Return the label of an action's task: its place, and as much of its name as there is room for, for people."""
    return f"{step.place} {step.name}"[:_LONGEST_LABEL]


def _after(facts: Facts, event: Event, plan: Plan, document: MachineTemplate) -> Sequence[AnyAction]:
    """Go on behind an action that is over."""
    label = event.label or ""
    step, activity = plan.steps[int(label.partition(" ")[0])], facts.activities[label]
    if event.outcome == "succeeded":
        return _next(plan, step.place + 1, document, is_resumed=is_resumed(activity.result))
    if event.outcome == "canceled":
        return [_failed(Said(State.FAILED.word, "Action canceled", task=step.task_name, action=step.name))]
    state = said_state(activity.error, State.TIMEOUT)
    message = "Action timed out" if state is State.TIMEOUT else "Action failed"
    return [_failed(Said(state.word, message, task=step.task_name, action=step.name))]


def _next(plan: Plan, place: int, document: MachineTemplate, *, is_resumed: bool = False) -> Sequence[AnyAction]:
    if place == len(plan.steps):
        return [CompleteWorkflow(result=_json(Said(State.SUCCESS.word)))]
    step = plan.steps[place]
    limit = _milliseconds(step.timeout + document.pull_grace) if step.timeout > 0 else None
    params = ActionParams(
        index=step.place,
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
    # In a pass that was resumed nobody says when the next action begins: it does when the one before has ended.
    is_unannounced = is_resumed and plan.steps[place - 1].worker == step.worker
    settings = _terms(limit, limit if is_unannounced else None)
    return [ScheduleTask(task_request=_request(ACTION, label_of(step), settings, params))]


def _time_limit(plan: Plan) -> Sequence[AnyAction]:
    """Begin what runs out: it is started together with the first action that is."""
    if plan.global_timeout <= 0 or not plan.steps:
        return []
    limit = _milliseconds(plan.global_timeout)
    return [ScheduleTask(task_request=_request(TIME_LIMIT, _TIME_LIMIT_LABEL, _terms(limit), None))]


def _terms(limit: int | None, expires_after: int | None = None) -> TaskTerms:
    """Workers of machines send no signs of life, and what has failed is not tried again."""
    return TaskTerms(
        allowed_retry_count=0, in_progress_timeout=LONGEST_MS, attempt_timeout=limit, expires_after=expires_after
    )


def _request(definition: str, label: str, settings: TaskTerms, params: ActionParams | None) -> Request:
    said = UNSET if params is None else _json(params)
    return Request(definition=definition, label=label, settings=settings, params=said)


def _milliseconds(seconds: int) -> int:
    return min(seconds * 1000, LONGEST_MS)


def _failed(said: Said) -> Fail:
    return Fail(error=_json(said))


def _json(value: msgspec.Struct) -> Raw:
    return Raw(msgspec.json.encode(value))
