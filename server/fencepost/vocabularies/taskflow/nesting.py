"""Nested flows: a task's handler produces one, and the decider of the task's flow begins it as a child of that.

So the parent waits for it, a cancel reaches it, and it cannot outlive its parent. Who produces tells the parent by a
signal, and looks what came of it.
"""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

import msgspec

from fencepost.domain.payload import same_payload
from fencepost.engine.deciders import Deciders
from fencepost.engine.outcomes import contended
from fencepost.engine.workflows import Signal, Workflows
from fencepost.errors import (
    EXEC_ID_MISMATCH,
    REQUEST_ID_REUSED,
    SIGNAL_REUSED,
    WORKFLOW_HAS_BEEN_DONE,
    Refusal,
    invalid_params,
)
from fencepost.vocabularies.taskflow.decider import PRODUCE, ProduceSignal
from fencepost.vocabularies.taskflow.errors import PARENT_IS_OVER
from fencepost.vocabularies.taskflow.plan import FlowParams, FlowParent
from fencepost.vocabularies.taskflow.progress import nested_label
from fencepost.vocabularies.taskflow.runs import Run, Runs

CONTEXT_MEMBER = "taskflowExecutionContext"
_PARENT = f"$.meta.{CONTEXT_MEMBER}.taskflow"


class NestedRequest(NamedTuple):
    """A flow for a task: the same `key`, which the caller's `request_id` leads to, is the same flow again.

    But one that did not succeed in an attempt before is left to that, and another one begun.
    `exec_id` is the execution that produces it, if its producer says so.
    """

    params: FlowParams
    parent: FlowParent
    key: str
    request_id: str | None
    exec_id: UUID | None


class Nesting:
    """The flows that tasks of flows produce."""

    def __init__(self, runs: Runs, workflows: Workflows, deciders: Deciders) -> None:
        self._runs = runs
        self._workflows = workflows
        self._deciders = deciders

    async def begin(self, nested: NestedRequest) -> str:
        """Begin a flow as part of a task, and return its id; raise Refusal when the task is not being executed."""
        parent = nested.parent
        run = await self._runs.get(parent.taskflow_id, f"{_PARENT}.id")
        label = _label_of(run, parent)
        if (known := _find_begun(run, label, nested.key)) is None:
            await self._send_signal(nested, run, label)
            await self._deciders.settle(run.row.workflow.id)
            known = await self._find_result(run, label, nested)
        workflow = (await self._workflows.get(known)).workflow
        if not same_payload(workflow.params, msgspec.json.encode(nested.params)):
            raise Refusal(REQUEST_ID_REUSED, at="$.requestId", request_id=nested.request_id)
        return known

    async def _find_result(self, run: Run, label: str, nested: NestedRequest) -> str:
        """Return what has come of the signal; raise Refusal when that was nothing, or nobody can tell yet."""
        # Before what was begun: a decision that is made in between has begun it by then.
        is_open = await self._workflows.decision(run.row.workflow.id) is not None
        known = _find_begun(await self._runs.get(nested.parent.taskflow_id), label, nested.key)
        if known is None:
            # Whoever decides has died, perhaps; another one does when its lease is over.
            raise contended(f"taskflow {nested.parent.taskflow_id!r}") if is_open else _parent_is_over(nested.parent)
        return known

    async def _send_signal(self, nested: NestedRequest, run: Run, label: str) -> None:
        activity = run.activity(label)
        if run.is_over or activity is None or activity.state.status != "in-progress":
            raise _parent_is_over(nested.parent)
        if nested.exec_id is not None and activity.exec_id != str(nested.exec_id):
            raise Refusal(EXEC_ID_MISMATCH, at="$.execId", id=activity.id, exec_id=nested.exec_id)
        attempt = _attempt_of(run, label)
        payload = msgspec.json.encode(ProduceSignal(label, attempt, nested.key, nested.params))
        signal = Signal(run.row.workflow.id, PRODUCE, payload, f"{nested.key}/{attempt}")
        (told,) = await self._workflows.signal([signal])
        if isinstance(told, Refusal) and told.kind is WORKFLOW_HAS_BEEN_DONE:
            raise _parent_is_over(nested.parent)
        if isinstance(told, Refusal) and told.kind is SIGNAL_REUSED:
            raise Refusal(REQUEST_ID_REUSED, at="$.requestId", request_id=nested.request_id)
        if isinstance(told, Exception):
            raise told


def _label_of(run: Run, parent: FlowParent) -> str:
    """Return what the task is called as an activity; raise Refusal when the flow has no such task."""
    for stage in run.plan.stages:
        if stage.id == parent.stage_id:
            for task in stage.tasks:
                if task.id == parent.task_id:
                    return task.label
            reason = f"stage {parent.stage_id!r} has no task {parent.task_id!r}"
            raise invalid_params(reason, f"{_PARENT}.taskId")
    raise invalid_params(f"the flow has no stage {parent.stage_id!r}", f"{_PARENT}.stageId")


def _attempt_of(run: Run, label: str) -> int:
    """Return which attempt of a task it is, or was in the end."""
    activity = run.activity(label)
    return 0 if activity is None else max(activity.state.retry_count - 1, 0)


def _find_begun(run: Run, label: str, key: str) -> str | None:
    """Return the flow that was begun under a key for a task, in this attempt or with success in one before."""
    now = nested_label(label, _attempt_of(run, label), key)
    for one in run.activities:
        is_same = one.label.startswith(f"{label}/") and one.label.endswith(f"/{key}")
        if is_same and (one.label == now or one.state.outcome in (None, "succeeded")):
            return one.id
    return None


def _parent_is_over(parent: FlowParent) -> Refusal:
    return Refusal(PARENT_IS_OVER, at=f"{_PARENT}.taskId", id=parent.taskflow_id, task=parent.task_id)
