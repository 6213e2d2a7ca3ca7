"""The words of devices for where a task and a run stand, and the ways between them.

They are read off the core's state, so that nothing is kept twice:

PENDING      waiting, ready or requested
IN_PROGRESS  in-progress
COMPLETED    done, succeeded
REJECTED     done, failed, with an error that says so
ABORTED      done otherwise: failed, canceled, not started in time, silent
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

# From where each report leads, and to what. Whoever reports what is so already has said nothing new.
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
# In the core's words, for who moves a task.
CORE_STATUSES: Mapping[TaskStatus, frozenset[str]] = {
    "PENDING": frozenset({"ready", "requested"}),
    "IN_PROGRESS": frozenset({"in-progress"}),
}

_NOT_STARTED = ("created", "waiting", "ready", "requested")
EXPIRED = "awf.task/expired"
SILENT = "awf.task/failed-due-to-in-progress-timeout"
# Why a task was aborted about which nobody said why.
_REASONS = {EXPIRED: "not_started_in_time", SILENT: "device_silent"}


def task_status(status: str, outcome: str | None, error: bytes | None) -> TaskStatus:
    """Return where a task stands by its core status, outcome and error."""
    if status != "done":
        return "IN_PROGRESS" if status == "in-progress" else "PENDING"
    if outcome == "succeeded":
        return "COMPLETED"
    return "REJECTED" if outcome == "failed" and json_member(error, "status") == "REJECTED" else "ABORTED"


def reason_of(outcome: str | None, reason_type: str | None, error: bytes | None) -> str | None:
    """Return why a task was rejected or aborted: the device's own word, or one of ours."""
    if outcome == "canceled":
        return "canceled"
    said = json_member(error, "reason")
    return said if isinstance(said, str) else _REASONS.get(reason_type or "")


def run_status(run: Workflow, activities: Iterable[Task | Workflow]) -> RunStatus:
    """Return where a run stands; what it has `begun` matters while it is live."""
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
    """Return a member of a JSON object, None where there is none."""
    value = None if text is None else orjson.loads(text)
    return value.get(name) if isinstance(value, dict) else None
