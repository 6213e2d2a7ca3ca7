"""The params of a retry: the tasks of an ended run that run again, and those that it keeps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta, Raw

from fencepost.errors import Refusal, invalid_params
from fencepost.vocabularies.taskflow.errors import NOTHING_TO_RETRY
from fencepost.vocabularies.taskflow.flow import MAX_TASKS
from fencepost.vocabularies.taskflow.plan import FlowParams, KeptTask, Plan, RetryDetails, flow_params
from fencepost.vocabularies.taskflow.progress import Progress, StageView, TaskView

# Retries that are remembered for idempotency; a repeat of an older one is taken as a new retry.
_MAX_REQUESTS = 100
_Id = Annotated[str, Meta(min_length=1, max_length=64)]


class StageRetry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A stage to retry, whole or the given tasks of it."""

    stage_id: _Id
    task_ids: Annotated[list[_Id], Meta(min_length=1, max_length=MAX_TASKS)] | None = None


def retry_params(
    plan: Plan, now: Progress, wanted: Sequence[StageRetry] | None, request: str | None = None
) -> FlowParams:
    """Return the params of the next run; `request` is the key of this retry.

    Without `wanted` every task runs again, except tasks with exactlyOnceTaskExecution that succeeded. A task that has
    not run yet does when its stage begins. Raises Refusal: `nothing-to-retry`, and `invalid-params` for an unknown
    stage or task.
    """
    views = [view for stage in now.stages for view in stage.tasks]
    named = views if wanted is None else _selected(now.stages, wanted)
    chosen = {view.planned.id for view in named if not _is_final(view)}
    if not chosen:
        raise Refusal(NOTHING_TO_RETRY, id=plan.id)
    kept = {
        view.planned.id: KeptTask(view.status, view.attempt, Raw(view.response), tuple(view.nested))
        for view in views
        if view.planned.id not in chosen and view.status in ("SUCCESS", "FAILED")
    }
    only = () if wanted is None else tuple(sorted(chosen))
    requests = (*plan.requests, *(() if request is None else (request,)))[-_MAX_REQUESTS:]
    run = RetryDetails(plan.id, plan.created_at, plan.retry_attempt + 1, kept, only, requests)
    return flow_params(plan.flow, run)


def _selected(stages: Sequence[StageView], wanted: Sequence[StageRetry]) -> Sequence[TaskView]:
    by_id = {stage.planned.id: stage for stage in stages}
    views: list[TaskView] = []
    for number, one in enumerate(wanted):
        place = f"stages[{number}]"
        stage = by_id.get(one.stage_id)
        if stage is None:
            raise invalid_params(f"the flow has no stage {one.stage_id!r}", f"{place}.stageId")
        tasks = {view.planned.id: view for view in stage.tasks}
        for index, id in enumerate(one.task_ids or ()):
            if id not in tasks:
                raise invalid_params(f"stage {one.stage_id!r} has no task {id!r}", f"{place}.taskIds[{index}]")
            if _is_final(tasks[id]):
                reason = f"task {id!r} has succeeded, and is executed exactly once"
                raise invalid_params(reason, f"{place}.taskIds[{index}]")
        views += stage.tasks if one.task_ids is None else [tasks[id] for id in one.task_ids]
    return views


def _is_final(view: TaskView) -> bool:
    return view.status == "SUCCESS" and view.planned.options.exactly_once_task_execution is True
