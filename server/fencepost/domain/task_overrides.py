"""A task's own settings, which override those of its definition, and an expiry that only a task has."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from fencepost.domain.limits import LONGEST_MS, MOST_RETRIES

Timeout = Annotated[int, Meta(ge=1, le=LONGEST_MS)]


class TaskOverrides(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename="camel"):
    """Settings of one task. A missing member is as in its definition; without `expiresAfter` there is no such limit."""

    requested_to_start_timeout: (
        Annotated[Timeout, Meta(description="maximum ms between the poll that leases the task and its start")] | None
    ) = None
    in_progress_timeout: (
        Annotated[Timeout, Meta(description="maximum ms between two heartbeats of the started task")] | None
    ) = None
    allowed_retry_count: (
        Annotated[int, Meta(ge=0, le=MOST_RETRIES, description="retries after the first attempt")] | None
    ) = None
    retry_delay: (
        Annotated[int, Meta(ge=0, le=LONGEST_MS, description="ms between a failed attempt and the next")] | None
    ) = None
    attempt_timeout: (
        Annotated[Timeout, Meta(description="maximum ms of an attempt, regardless of heartbeats")] | None
    ) = None
    expires_after: (
        Annotated[Timeout, Meta(description="ms after the creation in which the first attempt must start")] | None
    ) = None


def read_overrides(text: bytes) -> TaskOverrides:
    """Decode the stored text of a task's own settings."""
    return _decoder.decode(text)


def overrides_text(overrides: TaskOverrides | msgspec.UnsetType) -> bytes | None:
    """Return the text to store: None when no setting is overridden."""
    if overrides is msgspec.UNSET or overrides == _NONE:
        return None
    return msgspec.json.encode(overrides)


# The settings that a definition has too.
OVERRIDABLE = (
    "requested_to_start_timeout",
    "in_progress_timeout",
    "allowed_retry_count",
    "retry_delay",
    "attempt_timeout",
)
_NONE = TaskOverrides()
_decoder: msgspec.json.Decoder[TaskOverrides] = msgspec.json.Decoder(TaskOverrides)
