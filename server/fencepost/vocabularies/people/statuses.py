"""The words of people's tasks, and how a status of theirs stands to that of the core task under it.

A people's task lies over a core task, and what happens to either shows in both: the statuses that a state of the core
task lets its people's task be in stand in `_STATUSES_OF`, the one that it has by itself first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta

Status = Literal["PE", "AS", "IN", "WA", "EX", "CA", "CO", "LO"]
Flow = Literal["M", "A"]
HandlerType = Literal["PAGE", "BATCH_JOB"]
Assignment = Literal["DEFAULT", "PROCESS_STEP_USER"]

Code8 = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,8}\Z", description="1 to 8 letters, digits, `_`, `.` or `-`")]
Text = Annotated[str, Meta(max_length=1000)]
User = Annotated[str, Meta(min_length=1, max_length=100, description="who acts, or is to")]
Department = Annotated[str, Meta(min_length=1, max_length=64)]
Priority = Annotated[str, Meta(pattern=r"^[A-Z]\Z", description="one capital letter")]
Key = Annotated[str, Meta(min_length=1, max_length=200)]

STATUS_NAMES: Mapping[str, str] = {
    "PE": "Pending",
    "AS": "Assigned",
    "IN": "In Progress",
    "WA": "Waiting",
    "EX": "Exception",
    "CA": "Canceled",
    "CO": "Completed",
    "LO": "Locked",
}
# Somebody is at it, or was when it was completed.
ACTIVE = frozenset({"AS", "IN", "WA", "CO"})
OVER = frozenset({"CO", "CA"})

# A manual task is of this definition. It is built in, and no worker is handed one.
BY_HAND = "awf.people/task"

_STATUSES_OF: Mapping[str, tuple[str, ...]] = {
    "waiting": ("PE",),
    "ready": ("PE",),
    "requested": ("AS",),
    "in-progress": ("IN", "WA", "EX", "LO"),
    "succeeded": ("CO",),
    "failed": ("EX",),
    "canceled": ("CA",),
}


def statuses_of(status: str, outcome: str | None) -> tuple[str, ...]:
    """Return what a people's task may be in over a core task of this status, or of this outcome when that is done."""
    return _STATUSES_OF[outcome or status]


def is_active_without_user(status: str, user: str | None) -> bool:
    """Whether a status needs a user and there is none."""
    return user is None and status in ACTIVE
