"""From what the queue says of each task to the statuses of tasks, stages and flow, and to what is to be begun.

All of it is one walk over the plan, from the first stage to the last: what a stage's tasks gave is what the params of
the next are filled with. Deciders, readers and the replay of the history walk the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec import Raw

from fencepost.domain import verbatim
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
    """What the queue says of a task, or of the workflow that a task is; `was` is its state before its end.

    `is_dropped` says that it did not end by itself, but with its flow.
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
    """A flow that the handler of a task produced, in which of its attempts; `outcome` is None while it is live."""

    id: str
    attempt: int
    outcome: str | None


class RunFacts(NamedTuple):
    """What is known of a run: of tasks by label, and how its workflow ended, None while it is live."""

    states: Mapping[str, TaskState]
    nested: Mapping[str, Sequence[NestedFlow]]
    outcome: str | None = None


class TaskView(NamedTuple):
    """A task as it stands: `response` is what readers see, `answer` what the next stage gets, both JSON text.

    `is_open` says that the run has still to see to it; of one that is not begun, `params` are what it begins with,
    unless that is too large.
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
        """Whether the flow does not go on behind it."""
        return self.status == "FAILED" and self.planned.options.continue_on_task_failure is not True


class StageView(NamedTuple):
    """A stage as it stands."""

    planned: PlannedStage
    status: StageStatus
    tasks: Sequence[TaskView]


EvaluatedStage = tuple[PlannedStage, Sequence[TaskView]]


class Progress(NamedTuple):
    """A run as it stands; `ended` is how it ends when its workflow is live and nothing is left to do.

    With `is_too_large`, more would be filled into the params of what is due than a flow can carry.
    """

    stages: Sequence[StageView]
    status: FlowStatus
    ended: FlowStatus | None
    is_too_large: bool = False

    @property
    def due(self) -> Sequence[TaskView]:
        """What is to be begun."""
        return [task for stage in self.stages for task in stage.tasks if task.params is not None]


def collect_facts(told: Iterable[tuple[str, str, TaskState]], outcome: str | None = None) -> RunFacts:
    """Return the facts of a run from label, id and state of each of its activities."""
    states: dict[str, TaskState] = {}
    nested: dict[str, list[NestedFlow]] = {}
    for label, id, state in told:
        match label.split("/"):
            case [_, _]:
                states[label] = state
            case [stage, task, attempt, _]:
                nested.setdefault(f"{stage}/{task}", []).append(NestedFlow(id, int(attempt), state.outcome))
    return RunFacts(states, nested, outcome)


def nested_label(label: str, attempt: int, key: str) -> str:
    """Return what the activity is called that a flow becomes which the handler of a task produced."""
    return f"{label}/{attempt}/{key}"


def compute_progress(plan: Plan, facts: RunFacts, *, is_begun: bool = True) -> Progress:
    """Walk over the plan; one that is not begun is as it was produced, before anybody has looked at it."""
    evaluated: list[EvaluatedStage] = []
    is_reached, is_stopped, budget = is_begun, False, ByteBudget(MAX_CARRIED_BYTES)
    for stage in plan.stages:
        # Read once for all tasks of a stage, and only if one of them asks.
        known = cache(partial(_placeholder_values, plan, tuple(evaluated)))
        views = [_task_view(plan, task, facts, known, budget, is_reached, is_stopped) for task in stage.tasks]
        is_open = any(view.is_open for view in views)
        evaluated.append((stage, views))
        fresh = any(view.stops and view.planned.id not in plan.kept for view in views)
        # Behind what was dropped nothing was begun, nor tried to be.
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
        # It was taken from the queue with its flow.
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
    """Return what placeholders can name: the stages before, and `context` unless a stage is called that."""
    context = {} if not isinstance(plan.flow.context, Raw) else verbatim.read(bytes(plan.flow.context))
    answers = ((stage.name, {view.planned.task.name: view.answer for view in views}) for stage, views in before)
    return {"context": context, **{name: LazyValues(texts) for name, texts in answers}}


def _failure(message: str, error: bytes | None) -> bytes:
    said = {} if error is None else {"error": Raw(error)}
    return msgspec.json.encode({"success": False, "message": message, **said})


def _stage_status(views: Sequence[TaskView], *, is_over: bool) -> StageStatus:
    if all(view.status == "WAITING" for view in views):
        return "WAITING"
    if all(view.status == "SUCCESS" for view in views):
        return "COMPLETED"
    if any(view.is_open for view in views) and not is_over:
        return "RUNNING"
    settled = all(view.status in ("SUCCESS", "FAILED") for view in views)
    if not settled and not is_over:
        # A retry has kept some of it, and its turn has not come.
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
