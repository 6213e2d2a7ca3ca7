"""A task and its executions in the model of the queue, and the same view of a resource from a server."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from fencepost.domain.transitions import TRANSITIONS

Params = dict[str, Any]


@dataclass(frozen=True)
class Terms:
    """One version of a definition."""

    version: int
    requested: timedelta
    in_progress: timedelta
    retries: int
    delay: timedelta
    limit: int | None = None
    path: tuple[str, ...] = ()


@dataclass
class Execution:
    """An execId in the model: the task when it was started, and the call that ended the execution."""

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
    lost: int = 0
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
        """Return the members of the resource."""
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

    def polled(self, fields: list[str]) -> Params:
        """Return what a poll with these fields returns: those with a value."""
        terms = self.terms
        members = {
            "definition": self.definition,
            "params": self.params,
            "label": self.label,
            "retryCount": self.retry_count or None,
            "lostAttempts": self.lost or None,
            "inProgressTimeout": round(terms.in_progress.total_seconds() * 1000),
            "allowedRetryCount": terms.retries,
            "retryDelay": round(terms.delay.total_seconds() * 1000),
        }
        named = {name: members[name] for name in fields if members[name] is not None}
        return {"id": self.id, "execId": self.exec_id, **named}


def seen(resource: Params) -> Params:
    """Return the view of a resource from the server, as `Task.view` returns it."""
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


def check_replay(resource: Params, log: list[Params], *, waited: timedelta = timedelta(0)) -> None:
    """Check that the log leads to the state, one transition after the other, with one execution at a time.

    An entry has the time at which its statement started: one that waited for a lock may be older by that wait.
    """
    assert [int(entry["versionId"]) for entry in log] == list(range(1, len(log) + 1))
    assert "status-before" not in log[0]
    for before, after in pairwise(log):
        assert after["status-before"] == before["status-after"]
        assert (before["status-after"], after["status-after"]) in TRANSITIONS
        times = (datetime.fromisoformat(entry["meta"]["createdAt"]) for entry in (before, after))
        assert next(times) <= next(times) + waited
        if before["status-after"] in ("requested", "in-progress"):
            assert after.get("execId") == before["execId"], "an execution goes on until it ends"
    last = log[-1]
    assert last["versionId"] == resource["meta"]["versionId"]
    assert last["status-after"] == resource["status"]
    assert last["meta"]["createdAt"] == resource["meta"]["lastUpdated"]
    assert last["retryCount"] == resource.get("retryCount", 0)
    for member in ("outcome", "outcomeReason", "executeAt"):
        assert last.get(member) == resource.get(member)
    if resource["status"] not in ("waiting", "ready"):
        assert last.get("execId") == resource.get("execId")
    armed = {**last.get("scheduled", {}), **last.get("re-scheduled", {})}.get("at")
    if resource["status"] == "in-progress":
        assert armed == resource["inProgressTimeoutAt"]
    elif resource["status"] == "waiting":
        assert armed == resource["executeAt"]
    else:
        assert (armed is not None) == (resource["status"] == "requested")
