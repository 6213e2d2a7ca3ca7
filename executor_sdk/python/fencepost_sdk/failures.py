"""Turns the exception of a handler into the error of its task and into a line of the worker's log."""

from __future__ import annotations

import logging
import traceback
from typing import TYPE_CHECKING, Any

from fencepost_sdk.errors import LostLease, TaskFailed
from fencepost_sdk.payloads import message_of, printable
from fencepost_sdk.protocol import ClaimedTask

if TYPE_CHECKING:
    from fencepost_sdk.leases import Lease

logger = logging.getLogger("fencepost_sdk")

LONGEST_MESSAGE = 8000
LONGEST_TRACEBACK = 8000
LONGEST_LINE = 200


def log_failure(lease: Lease, raised: BaseException) -> None:
    """Log a failed attempt in one line, and its traceback at debug level."""
    logger.warning("task %s of %s failed: %s", lease.id, lease.handler.definition, log_line(raised, lease.task))
    if logger.isEnabledFor(logging.DEBUG):
        logger.debug("task %s: %s", lease.id, traceback_text(raised))


def log_failed_call(leases: list[Lease], raised: BaseException) -> None:
    """Log the failed attempts of a batch in one line, and the traceback at debug level."""
    first = leases[0]
    logger.warning(
        "%d tasks of %s failed in one call, the first of them %s: %s",
        len(leases),
        first.handler.definition,
        first.id,
        log_line(raised, first.task),
    )
    if logger.isEnabledFor(logging.DEBUG):
        logger.debug("%d tasks from %s: %s", len(leases), first.id, traceback_text(raised))


def task_error(raised: BaseException, *, is_returned: bool = False) -> dict[str, Any] | None:
    """Return the error of a task for an exception: its type, message and traceback; for TaskFailed its own error.

    The traceback of an exception that a handler returned instead of raising (`is_returned`) has no frame of this SDK.
    """
    if isinstance(raised, TaskFailed):
        return raised.error
    error = {"type": type(raised).__name__, "message": printable(message_of(raised), LONGEST_MESSAGE)}
    if not isinstance(raised, LostLease):
        error["traceback"] = traceback_text(raised, is_returned=is_returned)
    return error


def traceback_text(raised: BaseException, *, is_returned: bool = False) -> str:
    """Return the end of the traceback of an exception, at most 8,000 characters."""
    frames = raised.__traceback__
    if frames is not None and not is_returned:
        # The first frame is one of this SDK.
        frames = frames.tb_next
    try:
        text = "".join(traceback.format_exception(type(raised), raised, frames))
    except BaseException:  # noqa: BLE001 - formatting calls code of the exception, which may raise anything
        text = "".join(traceback.format_tb(frames))
    if len(text) > LONGEST_TRACEBACK:
        # A long message would leave no room for the frames.
        half = LONGEST_TRACEBACK // 2
        text = "".join(traceback.format_tb(frames))[-half:] + text[-half:]
    return printable(text, LONGEST_TRACEBACK)


def log_line(raised: BaseException, task: ClaimedTask) -> str:
    """Return one line about a failed attempt: its exception, and when the next attempt starts."""
    name, what = type(raised).__name__, message_of(raised)
    if not isinstance(raised, TaskFailed) and what != name:
        what = f"{name}: {what}"
    return f"{printable(' '.join(what[:4000].split()), LONGEST_LINE)}; {_next(task)}"


def _next(task: ClaimedTask) -> str:
    if task.allowed_retry_count is None:
        return f"attempt {task.retry_count}"
    of = f"attempt {task.retry_count} of {task.allowed_retry_count + 1}"
    if task.retry_count > task.allowed_retry_count:
        return f"{of}, the last one"
    return f"{of}, the next one in {task.retry_delay_ms / 1000:g} s"
