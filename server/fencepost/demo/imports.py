"""The tasks of a run: creating them, and seeing how they stand."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fencepost.demo.definition import DOCUMENT, NAME
from fencepost.demo.source import Source
from fencepost_sdk import Client, RpcError

# Calls in one request; a thousand is the server's limit, and a body has one too.
_BATCH = 200


@dataclass(slots=True)
class Import:
    """The import of one file, as the server last told it: rows so far, of how many if known, and how it ended."""

    source: Source
    id: str
    rows: int = 0
    total: int | None = None
    attempts: int = 0
    version: str = ""
    outcome: str | None = None
    reason: str = ""

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
        elif self.done:
            error = task.get("error") or task.get("outcomeReason") or {}
            self.reason = error.get("message") or f"the task was {self.outcome}"


def create(client: Client, sources: Sequence[Source]) -> list[Import]:
    """Create a task for each file; raise RpcError when one is refused."""
    client.define(DOCUMENT)
    imports = [Import(source, str(uuid.uuid4())) for source in sources]
    calls = [
        (
            "awf.task/create-and-execute",
            {"id": one.id, "definition": NAME, "label": one.source.name, "params": one.source.params},
        )
        for one in imports
    ]
    for _ in _answers(client, calls):
        pass
    return imports


def look(client: Client, imports: Sequence[Import]) -> None:
    """See how those stand that are not done, in one request; raise RpcError when one is refused."""
    left = [one for one in imports if not one.done]
    # The log is the only place that tells progress; the SDK lets a task speak four times a second, so it stays short.
    calls = [("awf.task/status", {"id": one.id, "include-log?": True}) for one in left]
    for one, status in zip(left, _answers(client, calls), strict=True):
        one.see(status)


def _answers(client: Client, calls: Sequence[tuple[str, Any]]) -> Iterator[Any]:
    for first in range(0, len(calls), _BATCH):
        for answer in client.batch(calls[first : first + _BATCH]):
            if isinstance(answer, RpcError):
                raise answer
            yield answer


def _tells_progress(entry: dict[str, Any]) -> bool:
    return bool(entry["action"] == "awf.task/notify" and entry["action-params"].get("notification") == "progress")
