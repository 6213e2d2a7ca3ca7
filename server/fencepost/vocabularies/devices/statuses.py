"""Device statuses of tasks and runs, and the transitions between them.

They are computed from the core status, so that no state is stored twice:

PENDING      waiting, ready or requested
IN_PROGRESS  in-progress
COMPLETED    done, succeeded
REJECTED     done, failed, with an error that says so
ABORTED      done otherwise: failed, canceled, not started in time, device silent
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import orjson

from fencepost.domain.task import Task
from fencepost.domain.workflow import Workflow
from fencepost.vocabularies.devices.labels import StepTry

TaskStatus = Literal["PENDING", "IN_PROGRESS", "COMPLETED", "REJECTED", "ABORTED"]
RunStatus = Literal["PENDING", "RUNNING", "RETRYING", "COMPLETED", "FAILED", "ABORTED"]
Verb = Literal["start", "complete", "reject", "abort", "fail"]

# The statuses in which each report is accepted, and the status that it leads to. A report is accepted without effect
# when the task already has that status.
ALLOWED_FROM: Mapping[Verb, tuple[TaskStatus, ...]] = {
    "start": ("PENDING",),
    "complete": ("IN_PROGRESS",),
    "reject": ("PENDING",),
    "abort": ("PENDING", "IN_PROGRESS"),
    "fail": ("PENDING", "IN_PROGRESS"),
}
RESULTING_STATUS: Mapping[Verb, TaskStatus] = {
    "start": "IN_PROGRESS",
    "complete": "COMPLETED",
    "reject": "REJECTED",
    "abort": "ABORTED",
    "fail": "ABORTED",
}
# The core statuses of a task that a report can change.
CORE_STATUSES: Mapping[TaskStatus, frozenset[str]] = {
    "PENDING": frozenset({"ready", "requested"}),
    "IN_PROGRESS": frozenset({"in-progress"}),
}

_NOT_STARTED = ("created", "waiting", "ready", "requested")
EXPIRED = "awf.task/expired"
SILENT = "awf.task/failed-due-to-in-progress-timeout"
# Reasons of aborts that the server decided.
_REASONS = {EXPIRED: "not_started_in_time", SILENT: "device_silent"}


def task_status(status: str, outcome: str | None, error: bytes | None) -> TaskStatus:
    """Return the device status of a task with this core status, outcome and error (JSON text)."""
    if status != "done":
        return "IN_PROGRESS" if status == "in-progress" else "PENDING"
    if outcome == "succeeded":
        return "COMPLETED"
    return "REJECTED" if outcome == "failed" and json_member(error, "status") == "REJECTED" else "ABORTED"


def reason_of(outcome: str | None, reason_type: str | None, error: bytes | None) -> str | None:
    """Return the reason of a rejection or an abort: the device's own text, or a reason of the server."""
    if outcome == "canceled":
        return "canceled"
    reason = json_member(error, "reason")
    return reason if isinstance(reason, str) else _REASONS.get(reason_type or "")


def run_status(run: Workflow, activities: Iterable[Task | Workflow]) -> RunStatus:
    """Return the status of a run; `activities` matter while it is live."""
    if run.status == "done":
        if run.outcome == "succeeded":
            return "COMPLETED"
        return "ABORTED" if run.outcome == "canceled" or json_member(run.error, "status") == "ABORTED" else "FAILED"
    tries = {StepTry.parse(one.label): one for one in activities if one.label is not None}
    if not tries:
        return "PENDING"
    newest = max(tries)
    return "RETRYING" if newest.is_retry and tries[newest].status in _NOT_STARTED else "RUNNING"


def json_member(text: bytes | None, name: str) -> object:
    """Return a member of a JSON object, None when it is absent or the text is no object."""
    value = None if text is None else orjson.loads(text)
    return value.get(name) if isinstance(value, dict) else None
