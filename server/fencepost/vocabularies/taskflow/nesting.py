"""Nested flows: a task's handler produces a flow, and the decider of the task's flow begins it as a child workflow.

As a child, the flow keeps its parent open, is canceled with it and cannot outlive it. The producer sends a signal to
the parent and then reads which child was begun.
"""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

import msgspec

from fencepost.domain.payload import same_payload
from fencepost.engine.deciders import Deciders
from fencepost.engine.outcomes import too_contended
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
_PARENT = f"meta.{CONTEXT_MEMBER}.taskflow"


class NestedRequest(NamedTuple):
    """A flow to produce for a task.

    `key` is derived from the caller's `request_id`: a request with a known key returns the existing flow, unless that
    flow belongs to an earlier attempt and did not succeed; then a new one begins. `exec_id` is the execution of the
    task that produces the flow, None when the producer does not name it.
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
        """Begin a flow for a task, and return its id.

        Raises Refusal: `taskflow-not-found`, `invalid-params` and `parent-is-over` for the parent, `exec-id-mismatch`,
        and `request-id-reused` for other content under a known key.
        """
        parent = nested.parent
        run = await self._runs.get(parent.taskflow_id, f"{_PARENT}.id")
        label = _label_of(run, parent)
        if (known := _find_begun(run, label, nested.key)) is None:
            await self._send_signal(nested, run, label)
            await self._deciders.run_pending_decisions(run.row.workflow.id)
            known = await self._find_result(run, label, nested)
        workflow = (await self._workflows.get(known)).workflow
        if not same_payload(workflow.params, msgspec.json.encode(nested.params)):
            raise Refusal(REQUEST_ID_REUSED, field="requestId", request_id=nested.request_id)
        return known

    async def _find_result(self, run: Run, label: str, nested: NestedRequest) -> str:
        """Return the id of the flow that the signal began.

        Raises Refusal: `parent-is-over` when the decision began nothing, `unavailable` when it is still to be made.
        """
        # Read before the activities: a decision that is made between the two reads has begun the flow by the second.
        is_open = await self._workflows.decision(run.row.workflow.id) is not None
        known = _find_begun(await self._runs.get(nested.parent.taskflow_id), label, nested.key)
        if known is None:
            # The deciding server may have died; another one decides when the lease has expired.
            raise (
                too_contended(f"taskflow {nested.parent.taskflow_id!r}") if is_open else _parent_is_over(nested.parent)
            )
        return known

    async def _send_signal(self, nested: NestedRequest, run: Run, label: str) -> None:
        activity = run.activity(label)
        if run.is_over or activity is None or activity.state.status != "in-progress":
            raise _parent_is_over(nested.parent)
        if nested.exec_id is not None and activity.exec_id != str(nested.exec_id):
            raise Refusal(EXEC_ID_MISMATCH, field="execId", id=activity.id, exec_id=nested.exec_id)
        attempt = _attempt_of(run, label)
        payload = msgspec.json.encode(ProduceSignal(label, attempt, nested.key, nested.params))
        signal = Signal(run.row.workflow.id, PRODUCE, payload, f"{nested.key}/{attempt}")
        (signaled,) = await self._workflows.signal([signal])
        if isinstance(signaled, Refusal) and signaled.kind is WORKFLOW_HAS_BEEN_DONE:
            raise _parent_is_over(nested.parent)
        if isinstance(signaled, Refusal) and signaled.kind is SIGNAL_REUSED:
            raise Refusal(REQUEST_ID_REUSED, field="requestId", request_id=nested.request_id)
        if isinstance(signaled, Exception):
            raise signaled


def _label_of(run: Run, parent: FlowParent) -> str:
    """Return the label of the task's activity; raise Refusal (`invalid-params`) when the flow has no such task."""
    for stage in run.plan.stages:
        if stage.id == parent.stage_id:
            for task in stage.tasks:
                if task.id == parent.task_id:
                    return task.label
            reason = f"stage {parent.stage_id!r} has no task {parent.task_id!r}"
            raise invalid_params(reason, f"{_PARENT}.taskId")
    raise invalid_params(f"the flow has no stage {parent.stage_id!r}", f"{_PARENT}.stageId")


def _attempt_of(run: Run, label: str) -> int:
    """Return the number of a task's current or last attempt, from 0."""
    activity = run.activity(label)
    return 0 if activity is None else max(activity.state.retry_count - 1, 0)


def _find_begun(run: Run, label: str, key: str) -> str | None:
    """Return the id of the flow that a task began under a key, None without one.

    The flow belongs to the current attempt, or it belongs to an earlier one and is live or has succeeded.
    """
    now = nested_label(label, _attempt_of(run, label), key)
    for one in run.activities:
        is_same = one.label.startswith(f"{label}/") and one.label.endswith(f"/{key}")
        if is_same and (one.label == now or one.state.outcome in (None, "succeeded")):
            return one.id
    return None


def _parent_is_over(parent: FlowParent) -> Refusal:
    return Refusal(PARENT_IS_OVER, field=f"{_PARENT}.taskId", id=parent.taskflow_id, task=parent.task_id)
