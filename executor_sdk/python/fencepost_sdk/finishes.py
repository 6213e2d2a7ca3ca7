"""Finishes: the calls that end an execution, and their handling when the server refuses them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from enum import IntEnum
from typing import Any

from msgspec import Struct

from fencepost_sdk.encoding import encode_fail, encode_release, encode_success
from fencepost_sdk.errors import NotJson
from fencepost_sdk.leases import Lease
from fencepost_sdk.payloads import encode
from fencepost_sdk.protocol import LEASE_LOST, TRANSIENT, Fault

logger = logging.getLogger("fencepost_sdk")

# The bytes of a call around its content.
_CALL_BYTES = 180

Retry = Callable[["Finish"], None]


class Kind(IntEnum):
    """The kind of a finish. A batch has them in this order, because the server groups neighbours of one kind."""

    SUCCESS = 0
    FAIL = 1
    RELEASE = 2


class Finish(Struct, gc=False, eq=False):
    """The last call of an execution. Its content is encoded once, so that a repetition has the same.

    `fallback` returns the finish to send when the server refuses this one for its content, or None.
    """

    kind: Kind
    lease: Lease
    content: bytes | None
    fallback: Callable[[Lease, Fault], Finish | None]
    failures: int = 0

    @property
    def size(self) -> int:
        """About how many bytes it takes in a request."""
        return _CALL_BYTES + len(self.content or b"")

    def encode(self) -> bytes:
        """Return its call."""
        lease = self.lease
        if self.kind is Kind.SUCCESS:
            return encode_success(lease.id, lease.exec_id, self.content)
        if self.kind is Kind.FAIL:
            return encode_fail(lease.id, lease.exec_id, self.content)
        return encode_release(lease.id, lease.exec_id)

    def refused(self, fault: Fault, *, repeated: bool, retry: Retry) -> None:
        """Handle a refusal: `retry` this finish or its fallback, or drop it with a lost lease."""
        lease = self.lease
        if fault.type in TRANSIENT:
            self.failures += 1
            logger.warning("task %s: %s: %s; retrying its finish", lease.id, fault.type, fault.message)
            retry(self)
        elif fault.type in LEASE_LOST:
            # The first request was served if the history of the task is gone by the time of a repetition.
            level = logging.DEBUG if repeated and fault.type == "task-not-found" else logging.WARNING
            logger.log(level, "task %s: the lease was lost, its result is dropped: %s", lease.id, fault.message)
        elif (instead := self.fallback(lease, fault)) is not None:
            logger.error("task %s: the server refuses its result: %s", lease.id, fault.message)
            retry(instead)
        else:
            logger.error("task %s: the server refuses its finish, it will time out: %s", lease.id, fault.message)


def success(lease: Lease, result: Any) -> Finish:
    """Return the finish of a handler that returned; its fallback for a refused result fails the attempt."""
    try:
        content = _encoded(result, "$.result")
    except NotJson as error:
        message = f"the result of {lease.handler.definition} cannot be encoded as JSON: {error}"
        logger.warning("task %s failed: %s", lease.id, message)
        return failure(lease, {"type": "result-not-json", "message": message, "path": error.path})
    return Finish(Kind.SUCCESS, lease, content, _refused_result)


def failure(lease: Lease, error: dict[str, Any] | None) -> Finish:
    """Return the finish of a handler that raised; its fallback for a refused error is an error with the reason."""
    try:
        content = _encoded(error, "$.error")
    except NotJson as not_json:
        error = {"type": "error-not-json", "message": str(not_json), "path": not_json.path}
        content = _encoded(error, "$.error")
    return Finish(Kind.FAIL, lease, content, _refused_error)


def release(lease: Lease) -> Finish:
    """Return the finish that returns the task to the queue without counting the attempt."""
    return Finish(Kind.RELEASE, lease, None, _no_fallback)


def _encoded(content: Any, path: str) -> bytes | None:
    return None if content is None else encode(content, path)


def _refused_result(lease: Lease, fault: Fault) -> Finish:
    return failure(lease, {"type": "result-refused", "message": fault.message, "path": fault.path_below("$")})


def _refused_error(lease: Lease, fault: Fault) -> Finish:
    error = {"type": "error-refused", "message": fault.message, "path": fault.path_below("$")}
    return Finish(Kind.FAIL, lease, _encoded(error, "$.error"), _refused_twice)


def _refused_twice(lease: Lease, fault: Fault) -> Finish:
    # The error schema of the definition refuses every error of this SDK.
    return Finish(Kind.FAIL, lease, None, _no_fallback)


def _no_fallback(lease: Lease, fault: Fault) -> Finish | None:
    return None
