"""Computes the statuses of tasks, stages and flow from the states of core tasks, and the tasks that can begin.

One walk over the plan, from the first stage to the last, since the answers of a stage fill the params of the next one.
The decider, the readers and the replay of the history share it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec import Raw

from fencepost.domain import lossless_json
from fencepost.vocabularies.taskflow.flow import MAX_CARRIED_BYTES
from fencepost.vocabularies.taskflow.placeholders import (
    BudgetExceeded,
    ByteBudget,
    LazyValues,
    UnknownPlaceholder,
    fill,
)
from fencepost.vocabularies.taskflow.plan import Plan, PlannedStage, PlannedTask

TaskStatus = Literal["WAITING", "QUEUED", "RUNNING", "SUCCESS", "FAILED"]
StageStatus = Literal["WAITING", "RUNNING", "COMPLETED", "PARTIAL_COMPLETED", "FAILED"]
FlowStatus = Literal["WAITING", "RUNNING", "COMPLETED", "CANCELLED", "PARTIAL_COMPLETED", "FAILED"]

_NULL = b"null"


class TaskState(NamedTuple):
    """The core state of a task, or of the workflow that a task is; `status_before` is the status before its end.

    `is_dropped` is true for a task that was ended together with its flow. `result` and `error` are JSON text.
    """

    status: str
    outcome: str | None = None
    status_before: str | None = None
    retry_count: int = 0
    result: bytes | None = None
    error: bytes | None = None
    message: str | None = None
    is_dropped: bool = False


class NestedFlow(NamedTuple):
    """A flow that the handler of a task produced in an attempt; `outcome` is None while the flow is live."""

    id: str
    attempt: int
    outcome: str | None


class RunFacts(NamedTuple):
    """The state of a run: tasks and nested flows by the label of the task; `outcome` is None while the run is live."""

    states: Mapping[str, TaskState]
    nested: Mapping[str, Sequence[NestedFlow]]
    outcome: str | None = None


class TaskView(NamedTuple):
    """The computed state of a task: `response` goes to readers, `answer` to the next stage, both JSON text.

    `is_open` is true while the run has to wait for the task or to begin it. `params` are set for a task that can begin;
    with `is_too_large` they would exceed the budget.
    """

    planned: PlannedTask
    status: TaskStatus
    attempt: int = 0
    response: bytes = _NULL
    answer: bytes = _NULL
    nested: Sequence[str] = ()
    active: Sequence[str] = ()
    is_open: bool = False
    has_answered: bool = False
    is_dropped: bool = False
    params: bytes | None = None
    is_too_large: bool = False

    @property
    def stops(self) -> bool:
        """Whether a failure of the task stops the flow."""
        return self.status == "FAILED" and self.planned.options.continue_on_task_failure is not True


class StageView(NamedTuple):
    """The computed state of a stage."""

    planned: PlannedStage
    status: StageStatus
    tasks: Sequence[TaskView]


EvaluatedStage = tuple[PlannedStage, Sequence[TaskView]]


class Progress(NamedTuple):
    """The computed state of a run; `ended` is its final status when the workflow is live and no task is left.

    With `is_too_large`, the placeholders of the next tasks exceed MAX_CARRIED_BYTES.
    """

    stages: Sequence[StageView]
    status: FlowStatus
    ended: FlowStatus | None
    is_too_large: bool = False

    @property
    def due(self) -> Sequence[TaskView]:
        """The tasks that can begin."""
        return [task for stage in self.stages for task in stage.tasks if task.params is not None]


def collect_facts(activities: Iterable[tuple[str, str, TaskState]], outcome: str | None = None) -> RunFacts:
    """Build the facts of a run from the label, id and state of each activity."""
    states: dict[str, TaskState] = {}
    nested: dict[str, list[NestedFlow]] = {}
    for label, id, state in activities:
        match label.split("/"):
            case [_, _]:
                states[label] = state
            case [stage, task, attempt, _]:
                nested.setdefault(f"{stage}/{task}", []).append(NestedFlow(id, int(attempt), state.outcome))
    return RunFacts(states, nested, outcome)


def nested_label(label: str, attempt: int, key: str) -> str:
    """Return the label of a nested flow's activity, from the label and the attempt of the task that produced it."""
    return f"{label}/{attempt}/{key}"


def compute_progress(plan: Plan, facts: RunFacts, *, is_begun: bool = True) -> Progress:
    """Compute the progress of a run; with `is_begun` false, of a plan before its first decision."""
    evaluated: list[EvaluatedStage] = []
    is_reached, is_stopped, budget = is_begun, False, ByteBudget(MAX_CARRIED_BYTES)
    for stage in plan.stages:
        # Parsed once for all tasks of a stage, and only when one of them has a placeholder.
        known = cache(partial(_placeholder_values, plan, tuple(evaluated)))
        views = [_task_view(plan, task, facts, known, budget, is_reached, is_stopped) for task in stage.tasks]
        is_open = any(view.is_open for view in views)
        evaluated.append((stage, views))
        fresh = any(view.stops and view.planned.id not in plan.kept for view in views)
        # A dropped task ended with its flow, so that no later stage can have begun.
        is_reached = is_reached and not is_open and not fresh and not any(view.is_dropped for view in views)
        is_stopped = is_stopped or any(view.stops for view in views)
    is_open = not is_begun or any(view.is_open for _, views in evaluated for view in views)
    is_over = facts.outcome is not None or not is_open
    too_large = any(view.is_too_large for _, views in evaluated for view in views)
    stages = [StageView(stage, _stage_status(views, is_over=is_over), views) for stage, views in evaluated]
    ended = None if is_open else _aggregate(stages, is_stopped=is_stopped)
    return Progress(stages, _flow_status(facts, stages, ended), ended if facts.outcome is None else None, too_large)


def _task_view(
    plan: Plan,
    task: PlannedTask,
    facts: RunFacts,
    known: Callable[[], Mapping[str, Any]],
    budget: ByteBudget,
    is_reached: bool,
    is_stopped: bool,
) -> TaskView:
    if kept := plan.kept.get(task.id):
        response = bytes(kept.response)
        answer = response if kept.status == "SUCCESS" else _NULL
        return TaskView(task, kept.status, kept.attempt, response, answer, kept.nested)
    if state := facts.states.get(task.label):
        return _begun_view(task, state, facts)
    if not is_reached or (is_stopped and task.id not in plan.named):
        return TaskView(task, "WAITING")
    try:
        params = fill(task.task.params_text, known, budget)
    except UnknownPlaceholder as unknown:
        return TaskView(task, "FAILED", response=_failure(str(unknown), None))
    except BudgetExceeded:
        return TaskView(task, "WAITING", is_open=facts.outcome is None, is_too_large=True)
    if facts.outcome is not None:
        return TaskView(task, "WAITING")
    return TaskView(task, "WAITING", is_open=True, params=params)


def _begun_view(task: PlannedTask, state: TaskState, facts: RunFacts) -> TaskView:
    nested = facts.nested.get(task.label, ())
    active = [one.id for one in nested if one.outcome is None]
    view = TaskView(task, "QUEUED", state.retry_count, nested=[one.id for one in nested], active=active, is_open=True)
    if state.status == "in-progress":
        return view._replace(status="RUNNING", attempt=max(state.retry_count - 1, 0))
    if state.status != "done":
        return view
    view = view._replace(attempt=max(state.retry_count - 1, 0), has_answered=True, is_dropped=state.is_dropped)
    if state.is_dropped and state.status_before != "in-progress":
        # The task was canceled with its flow before an attempt began.
        return view._replace(is_open=False)
    if active and facts.outcome is None:
        return view._replace(status="RUNNING")
    view = view._replace(is_open=False)
    if state.outcome != "succeeded":
        message = state.message or f"the task was {state.outcome}"
        return view._replace(status="FAILED", response=_failure(message, state.error))
    response = state.result or _NULL
    last = max((one.attempt for one in nested), default=0)
    if failed := [one.id for one in nested if one.attempt == last and one.outcome != "succeeded"]:
        return view._replace(status="FAILED", response=_failure(f"nested taskflow {failed[0]} did not succeed", None))
    return view._replace(status="SUCCESS", response=response, answer=response)


def _placeholder_values(plan: Plan, before: Sequence[EvaluatedStage]) -> Mapping[str, Any]:
    """Return the values of placeholders by name: the stages before, and `context` unless a stage has that name."""
    context = {} if not isinstance(plan.flow.context, Raw) else lossless_json.read(bytes(plan.flow.context))
    answers = ((stage.name, {view.planned.task.name: view.answer for view in views}) for stage, views in before)
    return {"context": context, **{name: LazyValues(texts) for name, texts in answers}}


def _failure(message: str, error: bytes | None) -> bytes:
    cause = {} if error is None else {"error": Raw(error)}
    return msgspec.json.encode({"success": False, "message": message, **cause})


def _stage_status(views: Sequence[TaskView], *, is_over: bool) -> StageStatus:
    if all(view.status == "WAITING" for view in views):
        return "WAITING"
    if all(view.status == "SUCCESS" for view in views):
        return "COMPLETED"
    if any(view.is_open for view in views) and not is_over:
        return "RUNNING"
    settled = all(view.status in ("SUCCESS", "FAILED") for view in views)
    if not settled and not is_over:
        # A retry has kept some tasks of this stage; the others wait for the stages before.
        return "WAITING"
    if settled and any(view.status == "SUCCESS" for view in views) and not any(view.stops for view in views):
        return "PARTIAL_COMPLETED"
    return "FAILED"


def _aggregate(stages: Sequence[StageView], *, is_stopped: bool) -> FlowStatus:
    statuses = {stage.status for stage in stages}
    if statuses == {"COMPLETED"}:
        return "COMPLETED"
    return "FAILED" if is_stopped or statuses == {"FAILED"} else "PARTIAL_COMPLETED"


def _flow_status(facts: RunFacts, stages: Sequence[StageView], ended: FlowStatus | None) -> FlowStatus:
    match facts.outcome:
        case "canceled":
            return "CANCELLED"
        case "failed":
            return "FAILED"
        case "succeeded":
            return ended or "COMPLETED"
    return "RUNNING" if facts.states else "WAITING"
