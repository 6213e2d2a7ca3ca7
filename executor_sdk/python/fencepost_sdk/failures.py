"""From what a handler raised to the error of its task, and to the line in the worker's log."""

from __future__ import annotations

import traceback
from typing import Any

from fencepost_sdk.errors import LostLease, TaskFailed
from fencepost_sdk.payloads import clean, told
from fencepost_sdk.protocol import Handed

LONGEST_MESSAGE = 8000
LONGEST_TRACEBACK = 8000
LONGEST_LINE = 200


def error_of(raised: BaseException) -> dict[str, Any] | None:
    """Return an exception as the error of its task, for people who look for the line that raised it."""
    if isinstance(raised, TaskFailed):
        return raised.error
    error = {"type": type(raised).__name__, "message": clean(told(raised), LONGEST_MESSAGE)}
    if not isinstance(raised, LostLease):
        error["traceback"] = trace(raised)
    return error


def trace(raised: BaseException) -> str:
    """Return the end of an exception's traceback."""
    # The first frame is ours.
    frames = raised.__traceback__ and raised.__traceback__.tb_next
    try:
        text = "".join(traceback.format_exception(type(raised), raised, frames))
    except BaseException:  # noqa: BLE001 - formatting asks the exception itself, which may raise anything
        text = "".join(traceback.format_tb(frames))
    if len(text) > LONGEST_TRACEBACK:
        # A long message would push the frames out.
        half = LONGEST_TRACEBACK // 2
        text = "".join(traceback.format_tb(frames))[-half:] + text[-half:]
    return clean(text, LONGEST_TRACEBACK)


def line_of(raised: BaseException, handed: Handed) -> str:
    """Return one line about a failed attempt: what was raised, and what happens next."""
    name, what = type(raised).__name__, told(raised)
    if not isinstance(raised, TaskFailed) and what != name:
        what = f"{name}: {what}"
    return f"{clean(' '.join(what[:4000].split()), LONGEST_LINE)}; {_next(handed)}"


def _next(handed: Handed) -> str:
    if handed.allowed_retry_count is None:
        return f"attempt {handed.retry_count}"
    of = f"attempt {handed.retry_count} of {handed.allowed_retry_count + 1}"
    if handed.retry_count > handed.allowed_retry_count:
        return f"{of}, the last one"
    return f"{of}, the next one in {handed.retry_delay_ms / 1000:g} s"
