"""A task's own settings: what is said of it instead of its definition's, and a limit that only a task has."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from fencepost.domain.limits import LONGEST_MS, MOST_RETRIES

Timeout = Annotated[int, Meta(ge=1, le=LONGEST_MS)]


class TaskTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename="camel"):
    """Settings of one task. A missing member is as in its definition; without `expiresAfter` there is no such limit."""

    requested_to_start_timeout: (
        Annotated[Timeout, Meta(description="ms between the poll that leases the task and its start")] | None
    ) = None
    in_progress_timeout: (
        Annotated[Timeout, Meta(description="ms that the started task may go without a notification")] | None
    ) = None
    allowed_retry_count: (
        Annotated[int, Meta(ge=0, le=MOST_RETRIES, description="retries after the first attempt")] | None
    ) = None
    retry_delay: (
        Annotated[int, Meta(ge=0, le=LONGEST_MS, description="ms between a failed attempt and the next")] | None
    ) = None
    attempt_timeout: (
        Annotated[Timeout, Meta(description="ms that an attempt may last, however often it is notified of")] | None
    ) = None
    expires_after: (
        Annotated[Timeout, Meta(description="ms after its creation in which an attempt must have begun")] | None
    ) = None


def read_terms(text: bytes) -> TaskTerms:
    """Return the settings of a task behind their stored text."""
    return _decoder.decode(text)


def terms_text(terms: TaskTerms | msgspec.UnsetType) -> bytes | None:
    """Return settings as they are stored: nothing for those that say nothing."""
    if terms is msgspec.UNSET or terms == _NOTHING:
        return None
    return msgspec.json.encode(terms)


# What a definition says too.
INSTEAD = (
    "requested_to_start_timeout",
    "in_progress_timeout",
    "allowed_retry_count",
    "retry_delay",
    "attempt_timeout",
)
_NOTHING = TaskTerms()
_decoder: msgspec.json.Decoder[TaskTerms] = msgspec.json.Decoder(TaskTerms)
