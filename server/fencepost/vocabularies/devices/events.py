"""Events of runs for clients, and messages for devices.

Events are computed from the task logs, so that any server can replay them at any time; the `key` of an event is stable.
Clients use an event as a signal and fetch the resources that they show.
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
    """One change of a run or of a task of it, as clients receive it."""

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
    """An event with its key; `task` is None for an event of the run itself."""

    key: str
    client_event: ClientEvent
    task: Task | None = None


class _StatusChange(NamedTuple):
    """The status of a task after an entry of its log; `at` is ISO-8601."""

    at: str
    version: int
    status: TaskStatus
    reason: str | None = None


def run_events(run: Workflow, device: str, tasks: Sequence[Task], entries: Iterable[Entry]) -> list[RunEvent]:
    """Return all events of a run so far, the oldest first."""
    if run.status == "created":
        return []
    events = [_run_event(run, device, "STARTED", run.created_at, "RUNNING")]
    logs: dict[str, list[Entry]] = {task.id: [] for task in tasks}
    for entry in entries:
        if entry.id in logs:
            logs[entry.id].append(entry)
    for task in tasks:
        if task.definition != DEVICE_PREFIX + device:
            continue
        if StepTry.parse(task.label or "").is_retry:
            events.append(_run_event(run, device, "RETRYING", task.created_at, "RETRYING", task.label or ""))
        events += [_task_event(run, device, task, change) for change in _status_changes(logs[task.id])]
    if run.status == "done":
        status = run_status(run, ())
        events.append(_run_event(run, device, status, run.updated_at, status))
    # A stable sort: events of the same time keep the order in which they were appended.
    return sorted(events, key=lambda one: one.client_event.occurred_at)


def registered_message(task: Task) -> bytes:
    """Return the message that gives a task to its device."""
    head = orjson.dumps({"type": REGISTERED, "task_id": task.id})
    return head[:-1] + b"," + (task.params or b"{}").lstrip()[1:]


def aborted_message(task: Task, reason: str | None) -> bytes:
    """Return the message that withdraws a task from its device; `task` may be an older state of the task."""
    params = orjson.loads(task.params or b"{}")
    known: dict[str, Any] = {name: params.get(name) for name in ("action_name", "device_id", "device_name")}
    return orjson.dumps(
        {"type": ABORTED, "task_id": task.id, **known, **({} if reason is None else {"reason": reason})}
    )


def _status_changes(entries: Iterable[Entry]) -> list[_StatusChange]:
    """Return the changes of a task's device status in its log."""
    changes: list[_StatusChange] = []
    for entry in sorted(entries, key=lambda entry: entry.version):
        error = _error_of(entry)
        status = task_status(entry.status, entry.outcome, error)
        if changes and json_member(error, "started") is False and changes[-1].status == "IN_PROGRESS":
            # The task was ended before its start: the start is part of the same report.
            changes.pop()
        if not changes or changes[-1].status != status:
            reason = reason_of(entry.outcome, entry.reason_type, error)
            changes.append(_StatusChange(entry.at, entry.version, status, reason))
    return changes


def _error_of(entry: Entry) -> bytes | None:
    params = orjson.loads(entry.action_params) if entry.status == "done" and entry.action_params else None
    return orjson.dumps(params["error"]) if isinstance(params, dict) and "error" in params else None


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


def _run_event(run: Workflow, device: str, kind: str, at: str, status: str, label: str = "") -> RunEvent:
    event = ClientEvent(
        type=_RUN_PREFIX + kind,
        workflow_run_id=run.id,
        workflow_id=run.definition,
        device_id=device,
        status=status,
        occurred_at=at,
    )
    return RunEvent(f"{run.id}.{kind.lower()}{label}", event)
