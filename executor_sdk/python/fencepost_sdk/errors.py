"""What can go wrong, by name: every exception that this SDK raises on purpose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class FencepostError(Exception):
    """Every error of this SDK is one of these, so that one `except` catches them all.

    try:
        client.status("no-such-task")
    except FencepostError as error:
        print(error)
    """


class RpcError(FencepostError):
    """The server refused a call; `type` is the name to decide by, `message` the sentence for people.

    `status` is the HTTP status of a request that was refused as a whole, None for one call of a batch. `path` points
    into the request, `errors` lists further faults. `repeated` tells that the call was sent more than once because
    an earlier reply never came, so that the refusal may be of our own doing.

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
    """A value that JSON cannot hold: NaN, an integer beyond 64 bits, half a surrogate pair, an object of its own kind.

    `path` is the place in what was to be sent. Nothing was sent.

        try:
            client.create("demo/resize", {"width": float("nan")})
        except NotJson as error:
            print(error.path)   # $.params.width
    """

    def __init__(self, path: str, why: str) -> None:
        self.path = path
        super().__init__(f"{path}: {why}")


class ConnectionFailed(FencepostError):
    """No usable answer came: refused, cut, too slow, or overloaded for longer than we were willing to repeat.

    A client raises it after `patience`; a worker goes on trying, unless it can never work, such as a certificate that
    is not trusted. The server may have carried out the request.

        try:
            Client("http://127.0.0.1:1", patience=0).status("some-task")
        except ConnectionFailed as error:
            print(error)
    """

    def __init__(self, message: str, *, kept: bool = False, final: bool = False) -> None:
        # Whether the connection had been kept open from an earlier request: then the server may just have closed it.
        self.kept = kept
        # Whether trying again cannot help, such as a certificate that is not trusted.
        self.final = final
        super().__init__(message)


class TaskFailed(FencepostError):
    """Raised in a handler it fails the attempt with this error; raised by `Client.result` it is the task's error.

    `error` is an object that is stored with the task as it stands; a plain sentence becomes `{"message": sentence}`.
    The server tries again while `allowedRetryCount` lasts. `reason` is the task's `outcomeReason`, for `result` only.

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
    """Raised by `Client.result` for a task that somebody canceled.

    try:
        client.result(task.id)
    except TaskCanceled:
        print("nobody needs it any more")
    """


class WorkflowFailed(TaskFailed):
    """Raised by `Client.workflow_result`: what `TaskFailed` is for a task. `error` is what its decider failed it with.

    try:
        client.workflow_result("order-1815", timeout=60)
    except WorkflowFailed as failed:
        print(failed.error, failed.reason)
    """


class WorkflowCanceled(TaskCanceled):
    """Raised by `Client.workflow_result` for a workflow that somebody canceled.

    try:
        client.workflow_result("order-1815", timeout=60)
    except WorkflowCanceled:
        print("nobody needs it any more")
    """


class LostLease(FencepostError):
    """The task is no longer ours (canceled, timed out, or handed back by a drain): stop, the result will be dropped.

    `Context.check` raises it in handlers; letting it pass is right.

        for page in pages:
            ctx.check()
            store(page)
    """
