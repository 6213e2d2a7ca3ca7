"""The ids and execIds that the server gives out: UUIDs of version 8 that end with the number of their task.

`xxxxxxxx-xxxx-8xxx-800K-SSSSSSSSSSSS`: what is x is random, K is the kind, S is `seq`. A call that names such a task
carries the way to its row with it, so that no index over ids is kept for them, and says whether a workflow must hear of
what becomes of it, so that calls about other tasks do not ask. Ids that callers chose stand in `task_names`; calls of
workers need not look there, because the execId knows the way too.
"""

from __future__ import annotations

import re
import secrets
from enum import IntEnum
from typing import Annotated
from uuid import UUID

from msgspec import Meta

ChosenId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9.-]{1,64}\Z", description="1 to 64 letters, digits, `.` or `-`")]
"""An id that a caller gives to a task or workflow."""

_OWN = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-800([0-2])-([0-9a-f]{12})")


class IdKind(IntEnum):
    """What a task is to workflows: nothing, a decision about one, or an activity of one."""

    PLAIN = 0
    DECISION = 1
    ACTIVITY = 2


# By the fourth group of hexadecimal digits.
_BY_GROUP = {0x8000 + kind: kind for kind in IdKind}


def new_prefixes(count: int) -> list[str]:
    """Return so many random beginnings of ids or execIds; SQL adds the rest."""
    digits = secrets.token_hex(8 * count)
    return [
        f"{digits[at : at + 8]}-{digits[at + 8 : at + 12]}-8{digits[at + 12 : at + 15]}"
        for at in range(0, 16 * count, 16)
    ]


def prefix_of(id: str) -> str:
    """Return the random beginning of an id of the server's own."""
    return id[:18]


def seq_of(id: str) -> int | None:
    """Return the number that an id of the server's own carries, None for any other id."""
    own = _OWN.fullmatch(id) if id[18:22] == "-800" else None
    return int(own[2], 16) if own else None


def kind_of(id: str) -> IdKind:
    """Return the kind of the task that an id names; those that callers name are plain."""
    own = _OWN.fullmatch(id) if id[18:22] == "-800" else None
    return IdKind(int(own[1])) if own else IdKind.PLAIN


def seq_of_exec_id(exec_id: UUID) -> int | None:
    """Return the number that an execId carries, None for one that was not given out in this form."""
    bits = exec_id.int
    return bits & 0xFFFF_FFFF_FFFF if 0x8000 <= bits >> 48 & 0xFFFF <= 0x8002 and bits >> 76 & 0xF == 8 else None


def kind_of_exec_id(exec_id: UUID) -> IdKind:
    """Return the kind of the task that an execId was given out for."""
    return IdKind.PLAIN if seq_of_exec_id(exec_id) is None else _BY_GROUP[exec_id.int >> 48 & 0xFFFF]
