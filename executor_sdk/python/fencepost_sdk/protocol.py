"""The wire: how calls are written and answers are read. Pure; everything of JSON that this SDK knows is here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Raw, Struct

from fencepost_sdk.errors import RpcError

CREATE = "awf.task/create-and-execute"
POLL = "awf.task/poll"
LONG_POLL = "awf.task/long-poll"
NOTIFY = "awf.task/notify"
SUCCESS = "awf.task/success"
FAIL = "awf.task/fail"
RELEASE = "awf.task/release"

# The server's limits for one request, unless it is told otherwise; a smaller one is found out when it refuses.
MOST_CALLS = 1000
MOST_BYTES = 900_000

# One call of a batch was not served this time; sent again it may be.
TRANSIENT = frozenset({"unavailable", "internal-error", "too-many-requests"})
# The execution that the call spoke for is over, however that came about.
LOST = frozenset(
    {"exec-id-mismatch", "task-has-been-done", "task-not-in-progress", "task-not-requested", "task-not-found"}
)


class Meta(Struct, rename="camel"):
    """When a task was made and last changed, and a counter that grows with every change."""

    created_at: datetime | None = None
    last_updated: datetime | None = None
    version_id: str | None = None


class Task(
    Struct,
    kw_only=True,
    rename={
        "exec_id": "execId",
        "retry_count": "retryCount",
        "execute_at": "executeAt",
        "outcome_reason": "outcomeReason",
        "in_progress_timeout_ms": "inProgressTimeout",
        "workflow_definition": "workflow-definition",
        "definition_version": "definition-version",
    },
):
    """A task as the server told it; a snapshot, which does not change when the task does.

    `retry_count` counts the attempts that were started. `exec_id` names the current execution and is what the server
    checks every later call against. Times are aware datetimes.

        task = client.create("demo/resize", {"width": 640})
        print(task.id, task.status)
    """

    id: str
    definition: str
    status: str
    label: str | None = None
    params: Any = None
    outcome: str | None = None
    outcome_reason: dict[str, Any] | None = None
    result: Any = None
    error: Any = None
    exec_id: str | None = None
    retry_count: int = 0
    execute_at: datetime | None = None
    requester: dict[str, Any] | None = None
    worker: str | None = None
    workflow_definition: str | None = None
    definition_version: int | str | None = None
    in_progress_timeout_ms: int | None = None
    meta: Meta = msgspec.field(default_factory=Meta)


class Status(Struct, rename={"task": "resource"}):
    """What `Client.status` tells: the task and, when asked for, its settings and its log, oldest entry first.

    status = client.status(task.id, include_log=True)
    print([entry["action"] for entry in status.log or []])
    """

    task: Task
    settings: dict[str, Any] | None = None
    log: list[dict[str, Any]] | None = None


class Page(Struct, rename={"tasks": "resources"}):
    """Some tasks of a list, and `next`, the `after` of the following page (None on the last one).

    page = client.list(status="ready", limit=10)
    print([task.id for task in page], page.next)
    """

    tasks: list[Task]
    next: str | None = None

    def __iter__(self) -> Iterator[Task]:
        return iter(self.tasks)

    def __len__(self) -> int:
        return len(self.tasks)


class Handed(
    Struct,
    gc=False,
    rename={
        "exec_id": "execId",
        "in_progress_timeout_ms": "inProgressTimeout",
        "attempt_timeout_ms": "attemptTimeout",
        "retry_count": "retryCount",
        "allowed_retry_count": "allowedRetryCount",
        "retry_delay_ms": "retryDelay",
        "lost_attempts": "lostAttempts",
        "workflow_definition": "workflow-definition",
    },
):
    """The little that a worker needs of a task before its handler runs."""

    id: str
    definition: str
    exec_id: str
    params: Raw = Raw(b"null")
    in_progress_timeout_ms: int = 120_000
    attempt_timeout_ms: int | None = None
    retry_count: int = 0
    allowed_retry_count: int | None = None
    retry_delay_ms: int = 0
    lost_attempts: int = 0
    workflow_definition: str | None = None
    requester: dict[str, str] | None = None

    @property
    def handled_as(self) -> str:
        """The definition whose handler it is for: of a decision task that of its workflow."""
        return self.workflow_definition or self.definition


class Fault(Struct):
    """An error as the server tells it."""

    type: str = "unknown-error"
    message: str = ""
    path: str | None = None
    errors: list[Any] | None = None

    @property
    def is_told(self) -> bool:
        """Whether the server told it, and not somebody on the way."""
        return not self.type.startswith("http-")

    @property
    def call(self) -> int | None:
        """The place in the request of the call that is at fault, if the server names one."""
        found = re.match(r"\$\[(\d+)\]", self.path or "")
        return None if found is None else int(found[1])

    def below(self, root: str) -> str | None:
        """Return its path as seen from what the call was made of, rather than from the request that carried it."""
        return None if self.path is None else root + re.sub(r"^\$(\[\d+\])?(\.params)?", "", self.path)

    def as_error(self, status: int | None = None, *, repeated: bool = False) -> RpcError:
        """Return it as an exception to raise."""
        return RpcError(self.type, self.message, status=status, path=self.path, errors=self.errors, repeated=repeated)


class Answer(Struct, gc=False):
    """The answer to one call, its result not yet read."""

    result: Raw = Raw(b"null")
    error: Fault | None = None


class WorkerResult(Struct, gc=False, rename={"cancel_requested": "cancelRequested"}):
    """What a worker reads of results: what a poll brought, and whether somebody canceled."""

    resources: list[Raw] = msgspec.field(default_factory=list)
    cancel_requested: bool = False


class WorkerAnswer(Struct, gc=False):
    """The answer to one call of a worker's round."""

    result: WorkerResult | None = None
    error: Fault | None = None


_answers = msgspec.json.Decoder(list[Answer])
_answer = msgspec.json.Decoder(Answer)
_worker_answers = msgspec.json.Decoder(list[WorkerAnswer])
_handed = msgspec.json.Decoder(Handed)
_task = msgspec.json.Decoder(Task)

decode_handed = _handed.decode
decode_task = _task.decode


def decode_answers(body: bytes, expected: int) -> list[Answer]:
    """Read the answer to a batch; raise ValueError when it is not one."""
    return _checked(_answers.decode(body), expected)


def decode_answer(body: bytes) -> Answer:
    """Read the answer to a lone call; raise ValueError when it is not one."""
    return _answer.decode(body)


def decode_worker_answers(body: bytes, expected: int) -> list[WorkerAnswer]:
    """Read the answer to a worker's round; raise ValueError when it is not one."""
    return _checked(_worker_answers.decode(body), expected)


def decode_fault(body: bytes, status: int) -> Fault:
    """Read the error of a request that was refused as a whole, which a proxy may have written in its own way."""
    try:
        fault = _answer.decode(body).error
    except ValueError:
        fault = None
    return fault or Fault(f"http-{status}", body[:200].decode(errors="replace").strip() or f"HTTP status {status}")


def timestamp(moment: datetime | str) -> str:
    """Return a time as the wire spells it; refuse a datetime without a zone, which reads differently everywhere."""
    if isinstance(moment, str):
        return moment
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} has no timezone; write datetime(..., tzinfo=UTC)")
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _checked(answers: list[Any], expected: int) -> list[Any]:
    if len(answers) != expected:
        raise ValueError(f"{len(answers)} answers to {expected} calls")
    return answers
