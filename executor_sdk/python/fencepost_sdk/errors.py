"""The exceptions that this SDK raises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class FencepostError(Exception):
    """Base class of all exceptions of this SDK.

    try:
        client.status("no-such-task")
    except FencepostError as error:
        print(error)
    """


class RpcError(FencepostError):
    """The server refused a call. `type` is one of its error types, `message` a sentence for people.

    `status` is the HTTP status of a request that was refused as a whole, None for one call of a batch. `path` is a JSON
    path into the request, `errors` lists further faults. `repeated` is True if the call was sent again after a lost
    reply, so that the first attempt may have caused the refusal.

        try:
            client.call("awf.task/cancel", {"id": "no-such-task"})
        except RpcError as error:
            print(error.type)   # task-not-found
    """

    def __init__(
        self,
        type: str,
        message: str,
        *,
        status: int | None = None,
        path: str | None = None,
        errors: Sequence[Any] | None = None,
        repeated: bool = False,
    ) -> None:
        self.type = type
        self.message = message
        self.status = status
        self.path = path
        self.errors = errors
        self.repeated = repeated
        super().__init__(f"{type}: {message}" + (f" (at {path})" if path else ""))


class NotJson(FencepostError, TypeError, ValueError):
    """A value that JSON cannot represent: NaN, an integer beyond 64 bits, half a surrogate pair, an unsupported object.

    `path` is its JSON path in the value that was to be sent. Nothing was sent.

        try:
            client.create("demo/resize", {"width": float("nan")})
        except NotJson as error:
            print(error.path)   # $.params.width
    """

    def __init__(self, path: str, why: str) -> None:
        self.path = path
        super().__init__(f"{path}: {why}")


class ConnectionFailed(FencepostError):
    """There was no usable answer: the connection failed, the request timed out, or the server is overloaded.

    A client raises it after `patience` seconds. A worker retries, unless no retry can succeed, such as after an
    untrusted certificate. The server may have carried out the request.

        try:
            Client("http://127.0.0.1:1", patience=0).status("some-task")
        except ConnectionFailed as error:
            print(error)
    """

    def __init__(self, message: str, *, reused: bool = False, permanent: bool = False) -> None:
        # Whether the connection was kept open from an earlier request, so that the server may just have closed it.
        self.reused = reused
        # Whether no retry can succeed, such as after an untrusted certificate.
        self.permanent = permanent
        super().__init__(message)


class TaskFailed(FencepostError):
    """A failure of a task. A handler raises it to fail its attempt; `Client.result` raises it for a failed task.

    `error` is an object that is stored with the task unchanged; a string becomes `{"message": string}`. The server
    retries the task up to `allowedRetryCount` times. `reason` is the task's `outcomeReason`, only from `result`.

        raise TaskFailed({"code": "too-large", "limit": 4096})
    """

    def __init__(
        self, error: Mapping[str, Any] | str | None = None, *, reason: Mapping[str, Any] | None = None
    ) -> None:
        if isinstance(error, str):
            error = {"message": error}
        self.error: dict[str, Any] | None = None if error is None else dict(error)
        self.reason: dict[str, Any] | None = None if reason is None else dict(reason)
        detail = self.error if self.error is not None else self.reason
        super().__init__(str((detail or {}).get("message") or detail or "the task failed"))


class TaskCanceled(FencepostError):
    """Raised by `Client.result` for a canceled task.

    try:
        client.result(task.id)
    except TaskCanceled:
        print("the task was canceled")
    """


class WorkflowFailed(TaskFailed):
    """Raised by `Client.workflow_result` for a failed workflow; `error` is the error that its decider gave.

    try:
        client.workflow_result("order-1815", timeout=60)
    except WorkflowFailed as failed:
        print(failed.error, failed.reason)
    """


class WorkflowCanceled(TaskCanceled):
    """Raised by `Client.workflow_result` for a canceled workflow.

    try:
        client.workflow_result("order-1815", timeout=60)
    except WorkflowCanceled:
        print("the task was canceled")
    """


class LostLease(FencepostError):
    """The lease of a task is lost: it was canceled, timed out or released. The result of the handler will be dropped.

    `Context.check` raises it in handlers, which need not catch it.

        for page in pages:
            ctx.check()
            store(page)
    """
