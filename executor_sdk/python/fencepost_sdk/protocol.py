"""The protocol: method names, the structs of answers, and functions that decode them. No I/O; encoding.py has calls."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Raw, Struct

from fencepost_sdk.errors import RpcError

CREATE = "awf.task/create-and-execute"
CREATE_MANY = "awf.task/create-many"
POLL = "awf.task/poll"
LONG_POLL = "awf.task/long-poll"
NOTIFY = "awf.task/notify"
SUCCESS = "awf.task/success"
SUCCESS_MANY = "awf.task/success-many"
FAIL = "awf.task/fail"
RELEASE = "awf.task/release"

# The server's default limits for one request. A client learns of a smaller limit when the server refuses a request.
MAX_CALLS = 1000
MAX_BYTES = 900_000

# Errors of one call of a batch that may succeed when it is sent again.
TRANSIENT = frozenset({"unavailable", "internal-error", "too-many-requests"})
# Errors that say that the execution of the call has ended or was superseded.
LEASE_LOST = frozenset(
    {"exec-id-mismatch", "task-has-been-done", "task-not-in-progress", "task-not-requested", "task-not-found"}
)


class Meta(Struct, rename="camel"):
    """When a task was created and last changed, and its version, a counter that every change increments."""

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
    """A snapshot of a task, as the server returned it; it does not change when the task does.

    `retry_count` is the number of attempts started. `exec_id` identifies the current execution: it is the fencing token
    that the server checks in each later call. Datetimes have a timezone.

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
    """The answer of `Client.status`: the task and, on request, its settings and its log, oldest entry first.

    status = client.status(task.id, include_log=True)
    print([entry["action"] for entry in status.log or []])
    """

    task: Task
    settings: dict[str, Any] | None = None
    log: list[dict[str, Any]] | None = None


class Page(Struct, rename={"tasks": "resources"}):
    """One page of a list of tasks. `next` is the `after` of the following page, None on the last page.

    page = client.list(status="ready", limit=10)
    print([task.id for task in page], page.next)
    """

    tasks: list[Task]
    next: str | None = None

    def __iter__(self) -> Iterator[Task]:
        return iter(self.tasks)

    def __len__(self) -> int:
        return len(self.tasks)


class ClaimedTask(
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
    """The part of a claimed task that a worker needs before the handler runs."""

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
    def handler_name(self) -> str:
        """The definition to look up the handler by: for a decision task the definition of its workflow."""
        return self.workflow_definition or self.definition


# The arrays of calls for many tasks, by the members of single calls that they have the values of.
_COLUMNS = {
    "params": "params",
    "ids": "id",
    "labels": "label",
    "execIds": "execId",
    "results": "result",
    "errors": "error",
}
# The path of an item: its array, its index, and the rest of the path.
_ITEM = re.compile(rf"\$(?:\[\d+\])?\.params\.({'|'.join(_COLUMNS)})\[(\d+)\](.*)", re.DOTALL)

# The members that a worker asks for.
CLAIMED_FIELDS = [
    one.encode_name for one in msgspec.structs.fields(ClaimedTask) if one.encode_name not in ("id", "execId")
]


class Fault(Struct):
    """An error as the server returns it."""

    type: str = "unknown-error"
    message: str = ""
    path: str | None = None
    errors: list[Any] | None = None

    @property
    def is_from_server(self) -> bool:
        """Whether the error comes from a Fencepost server and not from a proxy."""
        return not self.type.startswith("http-")

    @property
    def call_index(self) -> int | None:
        """The index in the request of the call at fault, if the path names one."""
        found = re.match(r"\$\[(\d+)\]", self.path or "")
        return None if found is None else int(found[1])

    @property
    def item_index(self) -> int | None:
        """The index of the item at fault in a call for many tasks, if the path names one."""
        found = _ITEM.match(self.path or "")
        return None if found is None else int(found[2])

    def path_below(self, root: str) -> str | None:
        """Return the path below `root` instead of below the call in the request, or below the item of the call."""
        if self.path is None:
            return None
        if (found := _ITEM.match(self.path)) is not None:
            return f"{root}.{_COLUMNS[found[1]]}{found[3]}"
        return root + re.sub(r"^\$(\[\d+\])?(\.params)?", "", self.path)

    def as_error(self, status: int | None = None, *, repeated: bool = False) -> RpcError:
        """Return the exception to raise for it."""
        return RpcError(self.type, self.message, status=status, path=self.path, errors=self.errors, repeated=repeated)


class Answer(Struct, gc=False):
    """The answer to one call; the result is still JSON."""

    result: Raw = Raw(b"null")
    error: Fault | None = None


class RefusedItem(Struct, gc=False):
    """A refused item of a call for many tasks."""

    index: int
    error: Fault


class WorkerResult(Struct, gc=False, rename={"cancel_requested": "cancelRequested"}):
    """The part of a result that a worker reads: a poll's tasks, whether the task is canceled, and refused items.

    A poll's tasks are ClaimedTasks instead of Raw after `decode_claims`.
    """

    resources: list[Raw] = msgspec.field(default_factory=list)
    cancel_requested: bool = False
    refused: list[RefusedItem] = msgspec.field(default_factory=list)


class WorkerAnswer(Struct, gc=False):
    """The answer to one call of a worker's batch."""

    result: WorkerResult | None = None
    error: Fault | None = None


class _Claims(WorkerResult, gc=False):
    resources: list[ClaimedTask] = msgspec.field(default_factory=list)  # type: ignore[assignment]


class _ClaimsAnswer(WorkerAnswer, gc=False):
    result: _Claims | None = None


_answers = msgspec.json.Decoder(list[Answer])
_answer = msgspec.json.Decoder(Answer)
_claims_answers = msgspec.json.Decoder(list[_ClaimsAnswer])
_worker_answers = msgspec.json.Decoder(list[WorkerAnswer])
_claimed_task = msgspec.json.Decoder(ClaimedTask)
_task = msgspec.json.Decoder(Task)

decode_claimed_task = _claimed_task.decode
decode_task = _task.decode


def decode_answers(body: bytes, expected: int) -> list[Answer]:
    """Decode the answers to a batch of `expected` calls; raises ValueError for anything else."""
    return _checked(_answers.decode(body), expected)


def decode_answer(body: bytes) -> Answer:
    """Decode the answer to a single call; raises ValueError for anything else."""
    return _answer.decode(body)


def decode_worker_answers(body: bytes, expected: int) -> list[WorkerAnswer]:
    """Decode the answers to a worker's batch of `expected` calls; raises ValueError for anything else."""
    return _checked(_worker_answers.decode(body), expected)


def decode_claims(body: bytes, expected: int) -> list[WorkerAnswer]:
    """Decode like `decode_worker_answers`, and the tasks of polls too, unless one of them cannot be decoded."""
    try:
        return _checked(_claims_answers.decode(body), expected)
    except msgspec.ValidationError:
        return decode_worker_answers(body, expected)


def decode_fault(body: bytes, status: int) -> Fault:
    """Return the error of a request that was refused as a whole; its type is `http-<status>` when a proxy wrote it."""
    try:
        fault = _answer.decode(body).error
    except ValueError:
        fault = None
    return fault or Fault(f"http-{status}", body[:200].decode(errors="replace").strip() or f"HTTP status {status}")


def timestamp(moment: datetime | str) -> str:
    """Return a time in ISO 8601, in UTC; raises ValueError for a datetime without a timezone, which is ambiguous."""
    if isinstance(moment, str):
        return moment
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} has no timezone; write datetime(..., tzinfo=UTC)")
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _checked(answers: list[Any], expected: int) -> list[Any]:
    if len(answers) != expected:
        raise ValueError(f"{len(answers)} answers to {expected} calls")
    return answers
