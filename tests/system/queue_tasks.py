"""A task and its executions as the model of the queue sees them, and the same view of what a server sends."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

Params = dict[str, Any]


@dataclass(frozen=True)
class Terms:
    """One version of a definition."""

    version: int
    requested: timedelta
    in_progress: timedelta
    retries: int
    delay: timedelta


@dataclass
class Execution:
    """What is known of an execId: how the task looked when it began, and by what it was ended."""

    task: Task
    began: Params | None = None
    ending: tuple[str, str, Params] | None = None
    request: tuple[str, str] | None = None


@dataclass
class Task:
    """A task of the model."""

    id: str
    definition: str
    terms: Terms
    label: str | None
    params: Any
    asked_for: datetime | None
    created_at: datetime
    ready_at: datetime
    status: str = "ready"
    outcome: str | None = None
    reason: str | None = None
    result: Any = None
    error: Any = None
    exec_id: str | None = None
    worker: str | None = None
    retry_count: int = 0
    execute_at: datetime | None = None
    deadline: datetime | None = None
    updated_at: datetime | None = None
    told: bool = False
    log: list[tuple[str, str | None, str]] = field(default_factory=list)

    def move(self, action: str, status: str, now: datetime, deadline: datetime | None = None) -> None:
        """Change the status and log it."""
        self.log.append((action, self.status if self.log else None, status))
        self.status, self.deadline, self.updated_at = status, deadline, now
        if status in ("waiting", "ready"):
            self.exec_id = self.worker = None

    def view(self) -> Params:
        """Return what the wire shows of it."""
        return {
            "id": self.id,
            "definition": self.definition,
            "definition-version": self.terms.version,
            "label": self.label,
            "params": self.params,
            "status": self.status,
            "outcome": self.outcome,
            "outcomeReason": self.reason,
            "result": self.result,
            "error": self.error,
            "execId": self.exec_id,
            "worker": self.worker,
            "retryCount": self.retry_count,
            "executeAt": self.execute_at,
            "inProgressTimeoutAt": self.deadline if self.status == "in-progress" else None,
            "createdAt": self.created_at,
            "lastUpdated": self.updated_at,
            "versionId": str(len(self.log)),
        }


def seen(resource: Params) -> Params:
    """Return the same view of a task as the server sent it."""
    times = {name: resource.get(name) for name in ("executeAt", "inProgressTimeoutAt")}
    times |= {name: resource["meta"][name] for name in ("createdAt", "lastUpdated")}
    plain = ("id", "definition", "definition-version", "label", "params", "status", "outcome", "result", "error")
    return {
        **{name: resource.get(name) for name in (*plain, "execId", "worker")},
        **{name: None if value is None else datetime.fromisoformat(value) for name, value in times.items()},
        "outcomeReason": resource.get("outcomeReason", {}).get("type"),
        "retryCount": resource.get("retryCount", 0),
        "versionId": resource["meta"]["versionId"],
    }
