"""Statuses of people tasks, and the states of the core task that fit them.

A change of a people task or of its core task shows in both. `_STATUSES` has the statuses that fit each state of the
core task; the first is the default.
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
User = Annotated[str, Meta(min_length=1, max_length=100, description="name of a user")]
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
# Statuses that need a user.
ACTIVE = frozenset({"AS", "IN", "WA", "CO"})
CLOSED = frozenset({"CO", "CA"})

# The definition of manual tasks. It is built in, and workers cannot poll it.
MANUAL_TASK = "awf.people/task"

_STATUSES: Mapping[str, tuple[str, ...]] = {
    "waiting": ("PE",),
    "ready": ("PE",),
    "requested": ("AS",),
    "in-progress": ("IN", "WA", "EX", "LO"),
    "succeeded": ("CO",),
    "failed": ("EX",),
    "canceled": ("CA",),
}


def allowed_statuses(status: str, outcome: str | None) -> tuple[str, ...]:
    """Return the statuses that fit a state of the core task, the default first; `outcome` is that of a done one."""
    return _STATUSES[outcome or status]


def lacks_user(status: str, user: str | None) -> bool:
    """Return whether a status needs a user and there is none."""
    return user is None and status in ACTIVE
