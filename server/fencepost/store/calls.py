"""The calls of batched statements: a frozen struct for the `calls` of each statement.

The header of a statement documents the members. A member with its default value is left out of the JSON text, which the
statement reads as null. Members of type `Raw` are JSON text that was checked before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar
from uuid import UUID

import msgspec
from msgspec import Raw

from fencepost.domain.builtin import Timer
from fencepost.domain.ids import IdKind


class Numbered(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An item of a batch; `call` is its number, which `number` sets before the batch runs."""

    call: int = -1


class Call(Numbered, frozen=True):
    """A call about one task or workflow, or about a new one without an id.

    Two calls with the same `id` never run at the same time.
    """

    id: str | None


class TaskCall(Call, frozen=True):
    """A call of cancel.sql or retry.sql.

    `seq` is None for an id that a caller chose. The statements ignore `kind`: the store needs it to decide whether a
    workflow must be notified.
    """

    id: str
    seq: int | None
    kind: IdKind
    caller: str


class LeaseCall(TaskCall, frozen=True):
    """A call of start.sql: a task and the fencing token of its execution. None is the token of no execution."""

    exec_id: UUID | str | None


class FinishCall(LeaseCall, frozen=True):
    """A call of success.sql or fail.sql; `content` is the result or the error, a JSON object or array.

    `checked` is the version of the definition whose schema the content was checked against, None for an unchecked one.
    """

    content: Raw | None = None
    checked: int | None = None


class ReleaseCall(LeaseCall, frozen=True):
    """A call of release.sql; `action` is the name of the release in the log of the task."""

    action: str


class NotifyCall(LeaseCall, frozen=True):
    """A call of notify.sql: a heartbeat; `notification` is a JSON object."""

    notification: Raw | None


class CreateTask(Call, frozen=True):
    """A call of tasks/create.sql; `execute_at` is ISO-8601 with a zone.

    `prefix` is the random beginning of the id that the server makes, None with an `id`. The statement ignores `timer`:
    a task with a timer begins in the transaction that creates it.
    """

    prefix: str | None
    definition: str
    version: int
    label: str | None
    params: Raw | None
    execute_at: str | None
    settings: Raw | None
    requester: Raw
    caller: str
    timer: Timer | None = None


class CreateWorkflow(Call, frozen=True):
    """A call of workflows/create.sql. A child has `parent_seq`, and the `digest` of its label's request."""

    id: str
    definition: str
    version: int
    label: str | None
    params: Raw | None
    execute_at: str | None
    requester: Raw
    caller: str
    key: str | None = None
    about: tuple[str, ...] = ()
    parent_seq: int | None = None
    digest: str | None = None


class ClaimAsk(msgspec.Struct, frozen=True, omit_defaults=True):
    """A poll in a claim (claim.sql, held_by_request.sql); `size` is its maximum number of tasks.

    `action` is the poll's method, for the log. `request_hash` is a digest of the params of a poll with a `request_id`.
    `fields` has a bit for each wanted member of a task (domain/polled.py), None for all. Each claim sets `ask`, the
    number of the poll in it, and `prefix`, the random beginning of its execIds.
    """

    size: int
    start: bool
    action: str
    caller: str
    worker: str | None
    request_id: str | None
    request_hash: str | None
    fields: int | None = None
    ask: int = -1
    prefix: str | None = None


N = TypeVar("N", bound=Numbered)
_encoder = msgspec.json.Encoder()


def raw(text: bytes | None) -> Raw | None:
    """Return JSON text as a member of a call."""
    return None if text is None else Raw(text)


def number(calls: Sequence[N]) -> list[N]:
    """Return calls with their places in the sequence as numbers."""
    return [msgspec.structs.replace(call, call=place) for place, call in enumerate(calls)]


def as_json(calls: Sequence[msgspec.Struct]) -> str:
    """Return calls as the JSON array that a statement takes."""
    return _encoder.encode(calls).decode()
