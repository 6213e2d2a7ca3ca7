"""The ids and execIds that the server gives out: UUIDs of version 8 that end with the number of their task.

`xxxxxxxx-xxxx-8xxx-800K-SSSSSSSSSSSS`: each x is random, K is the kind, S is `seq`. The seq locates the row of the
task, so these ids need no index. The kind says whether a workflow must be notified of the task's end, so that calls
about other tasks run no query for that. Ids that callers chose are in `task_names`; calls of workers do not read that
table, because the execId has the seq too.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from enum import IntEnum
from typing import Annotated, NamedTuple
from uuid import UUID

from msgspec import Meta

ChosenId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9.-]{1,64}\Z", description="1 to 64 letters, digits, `.` or `-`")]
"""An id that a caller gives to a task or workflow."""

_OWN = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-800([0-2])-([0-9a-f]{12})")


class IdKind(IntEnum):
    """The role of a task in a workflow: none, a decision, or an activity."""

    PLAIN = 0
    DECISION = 1
    ACTIVITY = 2


# By the fourth group of hexadecimal digits.
_BY_GROUP = {0x8000 + kind: kind for kind in IdKind}


class ExecId(NamedTuple):
    """An execId (a fencing token) and its parts; `seq` is None and `kind` is PLAIN for an execId in another form."""

    uuid: UUID
    seq: int | None
    kind: IdKind

    @classmethod
    def of(cls, uuid: UUID) -> ExecId:
        """Parse an execId."""
        bits = uuid.int
        kind = _BY_GROUP.get(bits >> 48 & 0xFFFF)
        if kind is None or bits >> 76 & 0xF != 8:
            return cls(uuid, None, IdKind.PLAIN)
        return cls(uuid, bits & 0xFFFF_FFFF_FFFF, kind)

    def __str__(self) -> str:
        """Return the execId in its form on the wire."""
        return str(self.uuid)


def new_prefixes(count: int) -> list[str]:
    """Return `count` random prefixes of ids or execIds; SQL adds the rest."""
    digits = secrets.token_hex(8 * count)
    return [
        f"{digits[at : at + 8]}-{digits[at + 8 : at + 12]}-8{digits[at + 12 : at + 15]}"
        for at in range(0, 16 * count, 16)
    ]


def prefix_for(name: str) -> str:
    """Return the prefix of ids that is derived from a name."""
    digits = hashlib.blake2b(name.encode(), digest_size=8).hexdigest()
    return f"{digits[:8]}-{digits[8:12]}-8{digits[12:15]}"


def prefix_of(id: str) -> str:
    """Return the random prefix of an id in the server's form."""
    return id[:18]


def seq_of(id: str) -> int | None:
    """Return the seq in an id of the server's form, None for any other id."""
    own = _OWN.fullmatch(id) if id[18:22] == "-800" else None
    return int(own[2], 16) if own else None


def kind_of(id: str) -> IdKind:
    """Return the kind in the id of a task; ids that callers chose are plain."""
    own = _OWN.fullmatch(id) if id[18:22] == "-800" else None
    return IdKind(int(own[1])) if own else IdKind.PLAIN
