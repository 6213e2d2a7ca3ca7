"""Decides the next action of a run: a pure function over the document and the activities.

Steps run one after the other. A step that fails is retried as a new task. When the abort of a device has a `failPoint`,
the run begins a new attempt at its first step instead, with the `failPoint` in the payload. The policy limits both;
then the run fails. A canceled step is not retried.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import orjson
from msgspec import UNSET, Raw

from fencepost.domain import lossless_json
from fencepost.domain.actions import AnyAction, CompleteWorkflow, Fail, Request, ScheduleTask, ScheduleWorkflow
from fencepost.domain.decider import Activity, Event, Facts
from fencepost.domain.limits import LONGEST_MS
from fencepost.domain.task_overrides import TaskOverrides
from fencepost.vocabularies.devices.document import DEVICE_PREFIX, DeviceWorkflow, Step, parse_run_params
from fencepost.vocabularies.devices.labels import FIRST_TRY, StepTry
from fencepost.vocabularies.devices.statuses import json_member


class Policy(NamedTuple):
    """Retries of a step and of a run, and the ms in which a device has to start a task."""

    retries: int = 3
    window: int = 10_000


def decider(policy: Policy) -> Callable[[Facts, Event], Sequence[AnyAction]]:
    """Return the decider of device workflows under a policy."""

    def decide(facts: Facts, event: Event) -> Sequence[AnyAction]:
        decision = _Decision(facts, policy)
        if not facts.activities:
            return [decision.begin_step(FIRST_TRY)]
        ended = facts.activities.get(event.label or "")
        # Only the newest activity counts: an operator may have retried an earlier task.
        if ended is None or ended.outcome is None or _newest(facts) != StepTry.parse(ended.label):
            return []
        return [decision.next_action(ended)]

    return decide


class _Decision:
    """The state of a run in one decision."""

    def __init__(self, facts: Facts, policy: Policy) -> None:
        document = facts.document
        assert isinstance(document, DeviceWorkflow), "it is registered for these"
        self._facts = facts
        self._policy = policy
        self._document = document
        self._params = parse_run_params(facts.workflow.params)
        self._device = document.device_of(self._params)

    def next_action(self, ended: Activity) -> AnyAction:
        """Return the action that follows the end of the newest activity."""
        step_try = StepTry.parse(ended.label)
        if ended.outcome == "succeeded":
            if step_try.step < len(self._document.steps):
                return self.begin_step(step_try.next_step())
            return CompleteWorkflow(result=self._run_outcome("COMPLETED", step_try, result=_fragment(ended.result)))
        if ended.outcome == "canceled":
            return Fail(error=self._run_outcome("ABORTED", step_try, reason="canceled"))
        fail_point = None if ended.is_workflow else _fail_point(ended.error)
        if fail_point is not None and step_try.attempt <= self._policy.retries:
            return self.begin_step(step_try.next_attempt(), fail_point)
        if fail_point is None and step_try.number <= self._policy.retries:
            return self._retry_step(step_try.next_try(), ended)
        return Fail(error=self._run_outcome("FAILED", step_try, **_failure_details(ended)))

    def begin_step(self, step_try: StepTry, fail_point: object = None) -> AnyAction:
        """Return the action that begins a step for the first time in its attempt."""
        step = self._document.steps[step_try.step - 1]
        payload = lossless_json.read(step.content)
        if step_try.step == 1:
            payload |= lossless_json.read(b"{}" if self._params.payload is UNSET else bytes(self._params.payload)) or {}
            payload |= {} if fail_point is None else {"failPoint": fail_point}
        return self._schedule(step_try, step, payload)

    def _retry_step(self, step_try: StepTry, before: Activity) -> AnyAction:
        """Return the action that retries a step, with the payload of the last try."""
        step = self._document.steps[step_try.step - 1]
        given = lossless_json.read(before.params or b"{}")
        return self._schedule(step_try, step, given if before.is_workflow else given["payload"])

    def _schedule(self, step_try: StepTry, step: Step, payload: Any) -> AnyAction:
        if step.workflow is not UNSET:
            params = Raw(lossless_json.write(payload))
            return ScheduleWorkflow(workflow_request=Request(step.workflow, step_try.label, params))
        params = Raw(
            lossless_json.write(
                {
                    "action_name": step.action,
                    "payload": payload,
                    "device_id": self._device,
                    "device_name": self._device,
                    "workflow_id": self._document.name,
                    "workflow_run_id": self._facts.workflow.id,
                    "attempt": step_try.attempt,
                    "step": step_try.step,
                }
            )
        )
        return ScheduleTask(
            task_request=Request(DEVICE_PREFIX + self._device, step_try.label, params, settings=self._overrides)
        )

    @property
    def _overrides(self) -> TaskOverrides:
        """The settings of a task: no retries of its own, and aborted when its device does not start it in time."""
        silence = self._document.silence
        return TaskOverrides(
            requested_to_start_timeout=self._policy.window,
            in_progress_timeout=LONGEST_MS if silence is UNSET else silence,
            allowed_retry_count=0,
            expires_after=self._policy.window,
        )

    def _run_outcome(self, status: str, step_try: StepTry, **members: Any) -> Raw:
        step = self._document.steps[step_try.step - 1]
        action = step.action if step.workflow is UNSET else step.workflow
        outcome = {"status": status, "device": self._device, "attempt": step_try.attempt}
        if status != "COMPLETED":
            outcome |= {"step": step_try.step, "action": action}
        return Raw(orjson.dumps({**outcome, **{name: value for name, value in members.items() if value is not None}}))


def _newest(facts: Facts) -> StepTry:
    return max(map(StepTry.parse, facts.activities))


def _failure_details(ended: Activity) -> dict[str, Any]:
    """Return the details of a failure: the reason of a device, or the whole error of a workflow."""
    if ended.is_workflow:
        return {"error": _fragment(ended.error)}
    reason = json_member(ended.error, "reason")
    return {"reason": reason if isinstance(reason, str) else None}


def _fail_point(error: bytes | None) -> object:
    """Return the fail point of an abort, None without one; a rejection has none."""
    value = None if error is None else lossless_json.read(error)
    return value.get("failPoint") if isinstance(value, dict) and value.get("status") != "REJECTED" else None


def _fragment(text: bytes | None) -> orjson.Fragment | None:
    return None if text is None else orjson.Fragment(text)
