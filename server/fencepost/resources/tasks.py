"""Tasks and their log on the wire: AidboxTask and AidboxTaskLog."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from fencepost.domain.builtin import DECISION
from fencepost.domain.definition import TaskDefinition
from fencepost.domain.task import ChangedTask, Entry, Task, TaskWithSettings
from fencepost.domain.task_overrides import TaskOverrides, read_overrides
from fencepost.resources.values import JsonObject, Time, raw


class TaskMeta(msgspec.Struct, frozen=True, rename="camel"):
    """Times of creation and of the last change, and a version that increases with every change."""

    created_at: Time
    last_updated: Time
    version_id: str


class OutcomeReason(msgspec.Struct, frozen=True):
    """The reason why a task failed."""

    type: str
    message: str


class AidboxTask(
    msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, tag_field="resourceType", tag="AidboxTask"
):
    """A task."""

    id: str
    definition: str
    status: Literal["waiting", "ready", "requested", "in-progress", "done"]
    requester: JsonObject
    meta: TaskMeta
    requested_to_start_timeout: Annotated[int, Meta(description="ms")]
    in_progress_timeout: Annotated[int, Meta(description="ms")]
    allowed_retry_count: int
    retry_delay: Annotated[int, Meta(description="ms")]
    definition_version: int = msgspec.field(name="definition-version")
    label: str | None = None
    params: JsonObject | UnsetType = UNSET
    outcome: Literal["succeeded", "failed", "canceled"] | None = None
    outcome_reason: OutcomeReason | None = None
    result: JsonObject | UnsetType = UNSET
    error: JsonObject | UnsetType = UNSET
    exec_id: Annotated[str, Meta(description="fencing token of the current execution, a UUID")] | None = None
    retry_count: Annotated[int, Meta(description="number of started attempts")] = 0
    lost_attempts: (
        Annotated[int, Meta(description="in polls: consecutive attempts that ended by a lease timeout")] | UnsetType
    ) = UNSET
    execute_at: Time | None = None
    in_progress_timeout_at: Time | None = None
    worker: str | None = None
    concurrency_limit: int | UnsetType = UNSET
    concurrency_path: tuple[str | int, ...] | UnsetType = UNSET
    attempt_timeout: Annotated[int, Meta(description="ms")] | UnsetType = UNSET
    expires_after: Annotated[int, Meta(description="ms")] | UnsetType = UNSET
    workflow_definition: Annotated[str, Meta(description="only on a decision task")] | UnsetType = msgspec.field(
        name="workflow-definition", default=UNSET
    )


class TaskSettings(msgspec.Struct, frozen=True, rename="camel"):
    """The effective settings of a task; times in ms."""

    requested_to_start_timeout: int
    in_progress_timeout: int
    allowed_retry_count: int
    retry_delay: int
    concurrency_limit: int | UnsetType = UNSET
    concurrency_path: tuple[str | int, ...] | UnsetType = UNSET
    attempt_timeout: int | UnsetType = UNSET
    expires_after: int | UnsetType = UNSET


class Subject(msgspec.Struct, frozen=True, tag_field="resourceType", tag="AidboxTask"):
    """The task of a log entry."""

    id: str


class WorkflowSubject(msgspec.Struct, frozen=True, tag_field="resourceType", tag="AidboxWorkflow"):
    """The workflow of a log entry."""

    id: str


class Scheduled(msgspec.Struct, frozen=True, rename="kebab", omit_defaults=True):
    """The action that the engine takes at the deadline set by a change, and its time."""

    action: str
    id: str
    at: Time
    delay: Annotated[int, Meta(description="ms")]
    action_params: JsonObject | UnsetType = UNSET


class LogMeta(msgspec.Struct, frozen=True, rename="camel"):
    """The time of a log entry."""

    created_at: Time


class AidboxTaskLog(
    msgspec.Struct, frozen=True, rename="kebab", omit_defaults=True, tag_field="resourceType", tag="AidboxTaskLog"
):
    """One change of a task, or one notification: the actor, the action and the resulting state."""

    id: str
    subject: Subject | WorkflowSubject
    action: str
    status_after: str
    meta: LogMeta
    caller: str
    version_id: str = msgspec.field(name="versionId")
    retry_count: int | UnsetType = msgspec.field(name="retryCount", default=UNSET)
    status_before: str | None = None
    action_params: JsonObject | UnsetType = UNSET
    scheduled: Scheduled | UnsetType = UNSET
    re_scheduled: Scheduled | UnsetType = UNSET
    outcome: str | None = None
    outcome_reason: OutcomeReason | None = msgspec.field(name="outcomeReason", default=None)
    exec_id: str | None = msgspec.field(name="execId", default=None)
    execute_at: Time | None = msgspec.field(name="executeAt", default=None)
    worker: str | None = None


def task_resource(found: TaskWithSettings | ChangedTask) -> AidboxTask:
    """Convert a task with all members; a short one lacks the required ones."""
    task, settings = found[:2]
    assert isinstance(task, Task), "a short task was asked for where all of it is shown"
    decides = not isinstance(settings, TaskDefinition)
    own = _own(task)
    return AidboxTask(
        id=task.id,
        definition=DECISION if decides else task.definition,
        workflow_definition=task.definition if decides else UNSET,
        definition_version=task.definition_version,
        status=task.status,  # type: ignore[arg-type]  # a check in the database ensures it
        label=task.label,
        params=raw(task.params),
        requester=Raw(task.requester),
        meta=TaskMeta(task.created_at, task.updated_at, str(task.version)),
        outcome=task.outcome,  # type: ignore[arg-type]  # likewise
        outcome_reason=reason_of(task.reason_type, task.reason_message),
        result=raw(task.result),
        error=raw(task.error),
        exec_id=task.exec_id,
        retry_count=task.retry_count,
        lost_attempts=(found.lost_attempts or UNSET) if isinstance(found, TaskWithSettings) else UNSET,
        execute_at=task.execute_at,
        in_progress_timeout_at=task.deadline_at if task.status == "in-progress" else None,
        worker=task.worker,
        requested_to_start_timeout=settings.requested_to_start_timeout,
        in_progress_timeout=settings.in_progress_timeout,
        allowed_retry_count=settings.allowed_retry_count,
        retry_delay=settings.retry_delay,
        concurrency_limit=settings.concurrency_limit,
        concurrency_path=settings.concurrency_path,
        attempt_timeout=settings.attempt_timeout,
        expires_after=own.expires_after or UNSET,
    )


def settings_resource(found: TaskWithSettings) -> TaskSettings:
    """Convert the settings of a task for the wire."""
    settings, own = found.settings, _own(found.task)
    return TaskSettings(
        settings.requested_to_start_timeout,
        settings.in_progress_timeout,
        settings.allowed_retry_count,
        settings.retry_delay,
        settings.concurrency_limit,
        settings.concurrency_path,
        settings.attempt_timeout,
        own.expires_after or UNSET,
    )


# The engine's action at the deadline of each status.
_ARMED = {
    "waiting": "awf.engine/ready",
    "ready": "awf.engine/expire",
    "requested": "awf.engine/requeue",
    "in-progress": "awf.engine/timeout",
}


def log_resource(entry: Entry) -> AidboxTaskLog:
    """Convert a log entry of a task for the wire."""
    scheduled = _scheduled(entry)
    moved = entry.status_before == entry.status
    return AidboxTaskLog(
        id=f"{entry.id}.{entry.version}",
        subject=Subject(entry.id),
        action=entry.action,
        action_params=raw(entry.action_params),
        status_before=entry.status_before,
        status_after=entry.status,
        scheduled=UNSET if moved else scheduled,
        re_scheduled=scheduled if moved else UNSET,
        outcome=entry.outcome,
        outcome_reason=reason_of(entry.reason_type, entry.reason_message),
        exec_id=entry.exec_id,
        retry_count=entry.retry_count,
        execute_at=entry.execute_at,
        worker=entry.worker,
        caller=entry.caller,
        version_id=str(entry.version),
        meta=LogMeta(entry.at),
    )


def _own(task: Task) -> TaskOverrides:
    return TaskOverrides() if task.settings is None else read_overrides(task.settings)


def _scheduled(entry: Entry) -> Scheduled | UnsetType:
    if entry.deadline_at is None or entry.delay is None:
        return UNSET
    return Scheduled(action=_ARMED[entry.status], id=entry.id, at=entry.deadline_at, delay=entry.delay)


def reason_of(type: str | None, message: str | None) -> OutcomeReason | None:
    """Convert a reason of failure for the wire."""
    return None if type is None else OutcomeReason(type, message or "")
