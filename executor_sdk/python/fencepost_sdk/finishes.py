"""What is said at the end of an execution, and what becomes of it when the server does not agree."""

from __future__ import annotations

import logging
from collections.abc import Callable
from enum import IntEnum
from typing import Any

from fencepost_sdk.calls import encode_fail, encode_release, encode_success
from fencepost_sdk.errors import NotJson
from fencepost_sdk.leases import Lease
from fencepost_sdk.protocol import LEASE_LOST, TRANSIENT, Fault

logger = logging.getLogger("fencepost_sdk")

Retry = Callable[["Finish"], None]


class Kind(IntEnum):
    """What a finish says. The server takes neighbours of one kind together, so a round has them in this order."""

    SUCCESS = 0
    FAIL = 1
    RELEASE = 2


class Finish:
    """The last call of an execution: encoded once, so that every repetition has the same content."""

    __slots__ = ("call", "failures", "fallback", "kind", "lease")

    def __init__(
        self, kind: Kind, lease: Lease, call: bytes, fallback: Callable[[Lease, Fault], Finish | None]
    ) -> None:
        self.kind = kind
        self.lease = lease
        self.call = call
        self.fallback = fallback
        self.failures = 0

    def refused(self, fault: Fault, *, repeated: bool, retry: Retry) -> None:
        """Do what a refusal asks for: send it `again`, say something else instead, or let the task go."""
        lease = self.lease
        if fault.type in TRANSIENT:
            self.failures += 1
            logger.warning("task %s: %s: %s; its finish will be repeated", lease.id, fault.type, fault.message)
            retry(self)
        elif fault.type in LEASE_LOST:
            # The task's history may be gone by the time a finish is repeated: it has been told, that is enough.
            level = logging.DEBUG if repeated and fault.type == "task-not-found" else logging.WARNING
            logger.log(level, "task %s is no longer ours, its result is dropped: %s", lease.id, fault.message)
        elif (instead := self.fallback(lease, fault)) is not None:
            logger.error("task %s: the server refuses its result: %s", lease.id, fault.message)
            retry(instead)
        else:
            logger.error("task %s: the server refuses even this, it will time out: %s", lease.id, fault.message)


def success(lease: Lease, result: Any) -> Finish:
    """Return the finish of a handler that returned; a result that the server refuses fails the task instead."""
    try:
        call = encode_success(lease.id, lease.exec_id, result)
    except NotJson as error:
        message = f"the result of {lease.handler.definition} cannot be written as JSON: {error}"
        logger.warning("task %s failed: %s", lease.id, message)
        return failure(lease, {"type": "result-not-json", "message": message, "path": error.path})
    return Finish(Kind.SUCCESS, lease, call, _refused_result)


def failure(lease: Lease, error: dict[str, Any] | None) -> Finish:
    """Return the finish of a handler that raised; an error that the server refuses is replaced by its reason."""
    try:
        call = encode_fail(lease.id, lease.exec_id, error)
    except NotJson as unwritable:
        error = {"type": "error-not-json", "message": str(unwritable), "path": unwritable.path}
        call = encode_fail(lease.id, lease.exec_id, error)
    return Finish(Kind.FAIL, lease, call, _refused_error)


def release(lease: Lease) -> Finish:
    """Return the finish that gives the task back as if it had never been handed out."""
    return Finish(Kind.RELEASE, lease, encode_release(lease.id, lease.exec_id), _nothing)


def _refused_result(lease: Lease, fault: Fault) -> Finish:
    return failure(lease, {"type": "result-refused", "message": fault.message, "path": fault.path_below("$")})


def _refused_error(lease: Lease, fault: Fault) -> Finish:
    error = {"type": "error-refused", "message": fault.message, "path": fault.path_below("$")}
    return Finish(Kind.FAIL, lease, encode_fail(lease.id, lease.exec_id, error), _refused_again)


def _refused_again(lease: Lease, fault: Fault) -> Finish:
    # The definition's schema of errors takes none of ours.
    return Finish(Kind.FAIL, lease, encode_fail(lease.id, lease.exec_id, None), _nothing)


def _nothing(lease: Lease, fault: Fault) -> Finish | None:
    return None
