"""The import workflow of a run: starts it, and reads its progress and that of its tasks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from fencepost.demo.decider import CHECK_LABEL
from fencepost.demo.definition import DOCUMENTS, WORKFLOW
from fencepost.demo.source import Source
from fencepost_sdk import Client, RpcError

# Calls in one request. The server allows a thousand, and limits the size of the body.
_BATCH = 200
_LONGEST_LABEL = 200


@dataclass(slots=True)
class Import:
    """The import of one file as last read: rows so far, their total if known, and its outcome."""

    source: Source
    label: str
    id: str = ""
    rows: int = 0
    total: int | None = None
    attempts: int = 0
    version: str = ""
    outcome: str | None = None

    @property
    def done(self) -> bool:
        """Whether its task is done."""
        return self.outcome is not None

    @property
    def succeeded(self) -> bool:
        """Whether its task has succeeded."""
        return self.outcome == "succeeded"

    def update(self, status: dict[str, Any]) -> None:
        """Update it from an answer of awf.task/status with the log."""
        task = status["resource"]
        self.attempts = task.get("retryCount", 0)
        self.version = task["meta"]["versionId"]
        self.outcome = task.get("outcome")
        reports = [e["action-params"] for e in status["log"] if e["retryCount"] == self.attempts and _is_progress(e)]
        if reports:
            self.rows = reports[-1]["progress-current"]
            self.total = reports[-1].get("progress-total")
        if self.succeeded:
            self.rows = self.total = task["result"]["imported-resources"]


@dataclass(slots=True)
class ImportWorkflow:
    """The workflow with its imports, its check (None until that is started) and its outcome."""

    id: str
    imports: Sequence[Import]
    check: dict[str, Any] | None = None
    version: str = ""
    outcome: str | None = None
    result: dict[str, Any] = field(default_factory=dict)
    reason: str = ""

    @property
    def done(self) -> bool:
        """Whether the workflow is done."""
        return self.outcome is not None

    @property
    def versions(self) -> tuple[str, ...]:
        """The versions of the workflow and its tasks, which differ after any progress."""
        check = self.check["meta"]["versionId"] if self.check else ""
        return (self.version, check, *(one.version for one in self.imports))

    def update(self, workflow: dict[str, Any]) -> None:
        """Update it from the resource of the workflow."""
        self.version = workflow["meta"]["versionId"]
        self.outcome = workflow.get("outcome")
        self.result = workflow.get("result", {})
        cause = workflow.get("error") or workflow.get("outcomeReason") or {}
        self.reason = cause.get("message") or f"the workflow was {self.outcome}"


def start(client: Client, sources: Sequence[Source]) -> ImportWorkflow:
    """Start the workflow that imports the files; raises RpcError when it is refused."""
    for document in DOCUMENTS:
        client.define(document)
    imports = [Import(source, label) for source, label in zip(sources, labels(sources), strict=True)]
    files = [{"label": one.label, "params": one.source.params} for one in imports]
    workflow = client.create_workflow(WORKFLOW, {"files": files})
    return ImportWorkflow(workflow.id, imports)


def refresh(client: Client, workflow: ImportWorkflow) -> None:
    """Read the state of the workflow and of its tasks that are not done; raises RpcError when a call is refused."""
    answer = client.call("awf.workflow/status", {"id": workflow.id, "include-activities?": True})
    activities = {activity["label"]: activity for activity in answer["activities"]}
    workflow.check = activities.get(CHECK_LABEL)
    left = [one for one in workflow.imports if not one.done and one.label in activities]
    # Only the log has the progress. The SDK sends at most four reports a second for a task, so that it stays short.
    calls = [("awf.task/status", {"id": activities[one.label]["id"], "include-log?": True}) for one in left]
    for one, status in zip(left, _answers(client, calls), strict=True):
        one.update(status)
    # Last, so that a done workflow has only done tasks: live ones are read until then.
    workflow.update(answer["resource"])


def labels(sources: Sequence[Source]) -> Sequence[str]:
    """Return a label for each file: its name or, with equal or too long names, a number and the name."""
    names = [source.name for source in sources]
    if len(set(names)) == len(names) and max(map(len, names), default=0) <= _LONGEST_LABEL:
        return names
    return [f"{number}: {name[:150]}" for number, name in enumerate(names, 1)]


def _answers(client: Client, calls: Sequence[tuple[str, Any]]) -> Iterator[Any]:
    for first in range(0, len(calls), _BATCH):
        for answer in client.batch(calls[first : first + _BATCH]):
            if isinstance(answer, RpcError):
                raise answer
            yield answer


def _is_progress(entry: dict[str, Any]) -> bool:
    return bool(entry["action"] == "awf.task/notify" and entry["action-params"].get("notification") == "progress")
