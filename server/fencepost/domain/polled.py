"""The members of a task that a poll may ask for, and the answer of a poll that names some."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple, get_args
from uuid import UUID

import msgspec

from fencepost.domain.task import LeasedTask

PolledField = Literal[
    "definition",
    "workflow-definition",
    "params",
    "label",
    "requester",
    "retryCount",
    "lostAttempts",
    "inProgressTimeout",
    "attemptTimeout",
    "allowedRetryCount",
    "retryDelay",
]
# In the order of the bits of `polled_text` in the database.
POLLED_FIELDS: tuple[PolledField, ...] = get_args(PolledField)


def bits_of(fields: Collection[PolledField]) -> int:
    """Return the number that stands for these fields in a claim."""
    return sum(1 << place for place, name in enumerate(POLLED_FIELDS) if name in fields)


class PolledText(NamedTuple):
    """The tasks of a poll as JSON objects joined by commas.

    `number` is that of the tasks, `size` the bytes of their params, `due_in` the seconds until the first deadline, and
    `has_lost` says whether one has lost attempts.
    """

    text: bytes
    number: int
    size: int
    due_in: float
    has_lost: bool


# The tasks of a poll, or of one that names fields, their text.
Polled = Sequence[LeasedTask] | PolledText


class _Lease(msgspec.Struct, rename="camel"):
    id: str
    exec_id: UUID


def leases_of(tasks: Polled) -> Sequence[tuple[str, UUID]]:
    """Return id and execId of each task."""
    if isinstance(tasks, PolledText):
        return [(one.id, one.exec_id) for one in msgspec.json.decode(b"[" + tasks.text + b"]", type=list[_Lease])]
    return [(leased.task.id, UUID(leased.task.exec_id)) for leased in tasks]
