"""The workflow of a run: beginning it, and seeing how it stands with everything that it has begun."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from fencepost.demo.decider import CHECK_LABEL
from fencepost.demo.definition import DOCUMENTS, WORKFLOW
from fencepost.demo.source import Source
from fencepost_sdk import Client, RpcError

# Calls in one request; a thousand is the server's limit, and a body has one too.
_BATCH = 200
_LONGEST_LABEL = 200


@dataclass(slots=True)
class Import:
    """The import of one file, as the server last told it: rows so far, of how many if known, and how it ended."""

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
        """Whether its task is over."""
        return self.outcome is not None

    @property
    def succeeded(self) -> bool:
        """Whether its task is over and went well."""
        return self.outcome == "succeeded"

    def see(self, status: dict[str, Any]) -> None:
        """Take in the answer of awf.task/status, with its log."""
        task = status["resource"]
        self.attempts = task.get("retryCount", 0)
        self.version = task["meta"]["versionId"]
        self.outcome = task.get("outcome")
        notes = [e["action-params"] for e in status["log"] if e["retryCount"] == self.attempts and _tells_progress(e)]
        if notes:
            self.rows = notes[-1]["progress-current"]
            self.total = notes[-1].get("progress-total")
        if self.succeeded:
            self.rows = self.total = task["result"]["imported-resources"]


@dataclass(slots=True)
class Whole:
    """The workflow: its imports, the check (None until it is begun), and how it ended."""

    id: str
    imports: Sequence[Import]
    check: dict[str, Any] | None = None
    version: str = ""
    outcome: str | None = None
    result: dict[str, Any] = field(default_factory=dict)
    reason: str = ""

    @property
    def done(self) -> bool:
        """Whether the workflow is over."""
        return self.outcome is not None

    @property
    def moved(self) -> tuple[str, ...]:
        """What is another one whenever something of it has moved."""
        check = self.check["meta"]["versionId"] if self.check else ""
        return (self.version, check, *(one.version for one in self.imports))

    def see(self, workflow: dict[str, Any]) -> None:
        """Take in how the workflow itself stands."""
        self.version = workflow["meta"]["versionId"]
        self.outcome = workflow.get("outcome")
        self.result = workflow.get("result", {})
        told = workflow.get("error") or workflow.get("outcomeReason") or {}
        self.reason = told.get("message") or f"the workflow was {self.outcome}"


def begin(client: Client, sources: Sequence[Source]) -> Whole:
    """Begin the workflow that imports the files; raise RpcError when it is refused."""
    for document in DOCUMENTS:
        client.define(document)
    imports = [Import(source, label) for source, label in zip(sources, labels(sources), strict=True)]
    files = [{"label": one.label, "params": one.source.params} for one in imports]
    workflow = client.create_workflow(WORKFLOW, {"files": files})
    return Whole(workflow.id, imports)


def look(client: Client, whole: Whole) -> None:
    """See how everything stands that is not done; raise RpcError when a call is refused."""
    told = client.call("awf.workflow/status", {"id": whole.id, "include-activities?": True})
    begun = {activity["label"]: activity for activity in told["activities"]}
    whole.check = begun.get(CHECK_LABEL)
    left = [one for one in whole.imports if not one.done and one.label in begun]
    # The log is the only place that tells progress; the SDK lets a task speak four times a second, so it stays short.
    calls = [("awf.task/status", {"id": begun[one.label]["id"], "include-log?": True}) for one in left]
    for one, status in zip(left, _answers(client, calls), strict=True):
        one.see(status)
    # Last: whoever sees it done has seen its tasks done too, for what is live is looked at until then.
    whole.see(told["resource"])


def labels(sources: Sequence[Source]) -> Sequence[str]:
    """Return a label a file: its name, unless two have the same or one is too long; then a number and the name."""
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


def _tells_progress(entry: dict[str, Any]) -> bool:
    return bool(entry["action"] == "awf.task/notify" and entry["action-params"].get("notification") == "progress")
