"""What is told about a run: to clients every change of it and of its tasks, to its device what it has to know.

All of it is read off the log, so that it can be told again at any time, and on any server: `key` names a piece of news
for good. Clients take it as a hint and fetch what they show.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import orjson

from fencepost.domain.task import Entry, Task
from fencepost.domain.workflow import Workflow
from fencepost.vocabularies.devices.document import DEVICE_PREFIX
from fencepost.vocabularies.devices.labels import StepTry
from fencepost.vocabularies.devices.statuses import TaskStatus, json_member, reason_of, run_status, task_status

REGISTERED = "TASK_REGISTERED"
ABORTED = "TASK_ABORTED"
TYPES: Mapping[TaskStatus, str] = {
    "PENDING": REGISTERED,
    "IN_PROGRESS": "TASK_STARTED",
    "COMPLETED": "TASK_COMPLETED",
    "REJECTED": "TASK_REJECTED",
    "ABORTED": ABORTED,
}
_RUN_PREFIX = "WORKFLOW_RUN_"


class ClientEvent(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What clients are told of one change."""

    type: str
    workflow_run_id: str
    workflow_id: str
    device_id: str
    status: str
    occurred_at: str
    task_id: str | None = None
    action_name: str | None = None
    reason: str | None = None


class RunEvent(NamedTuple):
    """One piece of news: its name, the task that it is about if it is about one, and what clients are told."""

    key: str
    event: ClientEvent
    task: Task | None = None


class _StatusChange(NamedTuple):
    """Where a task stood after an entry of its log."""

    at: str
    version: int
    status: TaskStatus
    reason: str | None = None


def run_events(run: Workflow, device: str, tasks: Sequence[Task], entries: Iterable[Entry]) -> list[RunEvent]:
    """Return all that there is to tell of a run so far, the oldest first."""
    if run.status == "created":
        return []
    news = [_run_event(run, device, "STARTED", run.created_at, "RUNNING")]
    logs: dict[str, list[Entry]] = {task.id: [] for task in tasks}
    for entry in entries:
        if entry.id in logs:
            logs[entry.id].append(entry)
    for task in tasks:
        if task.definition != DEVICE_PREFIX + device:
            continue
        if StepTry.parse(task.label or "").is_retry:
            news.append(_run_event(run, device, "RETRYING", task.created_at, "RETRYING", task.label or ""))
        news += [_task_event(run, device, task, change) for change in _status_changes(logs[task.id])]
    if run.status == "done":
        status = run_status(run, ())
        news.append(_run_event(run, device, status, run.updated_at, status))
    # Stable: what happened at one time stays in the order in which it is written above.
    return sorted(news, key=lambda one: one.event.occurred_at)


def registered_message(task: Task) -> bytes:
    """Return what a device is told of a task that it is to do."""
    head = orjson.dumps({"type": REGISTERED, "task_id": task.id})
    return head[:-1] + b"," + (task.params or b"{}").lstrip()[1:]


def aborted_message(task: Task, reason: str | None) -> bytes:
    """Return what a device is told of a task that it is not to do any more; the task may be as it stood before."""
    params = orjson.loads(task.params or b"{}")
    known: dict[str, Any] = {name: params.get(name) for name in ("action_name", "device_id", "device_name")}
    return orjson.dumps(
        {"type": ABORTED, "task_id": task.id, **known, **({} if reason is None else {"reason": reason})}
    )


def _status_changes(entries: Iterable[Entry]) -> list[_StatusChange]:
    """Return the entries of a log behind which the task stood elsewhere than before, in the words of devices."""
    changes: list[_StatusChange] = []
    for entry in sorted(entries, key=lambda entry: entry.version):
        error = _error_of(entry)
        status = task_status(entry.status, entry.outcome, error)
        if changes and json_member(error, "started") is False and changes[-1].status == "IN_PROGRESS":
            # It only passed through there.
            changes.pop()
        if not changes or changes[-1].status != status:
            reason = reason_of(entry.outcome, entry.reason_type, error)
            changes.append(_StatusChange(entry.at, entry.version, status, reason))
    return changes


def _error_of(entry: Entry) -> bytes | None:
    said = orjson.loads(entry.action_params) if entry.status == "done" and entry.action_params else None
    return orjson.dumps(said["error"]) if isinstance(said, dict) and "error" in said else None


def _task_event(run: Workflow, device: str, task: Task, change: _StatusChange) -> RunEvent:
    event = ClientEvent(
        type=TYPES[change.status],
        workflow_run_id=run.id,
        workflow_id=run.definition,
        device_id=device,
        status=change.status,
        occurred_at=change.at,
        task_id=task.id,
        action_name=orjson.loads(task.params or b"{}").get("action_name"),
        reason=change.reason,
    )
    return RunEvent(f"{task.id}.{change.version}", event, task)


def _run_event(run: Workflow, device: str, what: str, at: str, status: str, label: str = "") -> RunEvent:
    event = ClientEvent(
        type=_RUN_PREFIX + what,
        workflow_run_id=run.id,
        workflow_id=run.definition,
        device_id=device,
        status=status,
        occurred_at=at,
    )
    return RunEvent(f"{run.id}.{what.lower()}{label}", event)
