"""A workflow, its states, and its changes."""

from __future__ import annotations

from typing import NamedTuple

# created: `executeAt` is ahead; in-progress: its decider gets events; done: finished, with an outcome.
STATUSES = ("created", "in-progress", "done")


class Step(NamedTuple):
    """One change of a workflow: its creation, its begin when that is later, or its end."""

    action: str
    caller: str
    at: str
    status: str


class Workflow(NamedTuple):
    """The resource row that every statement about a workflow gives, in the order of its columns.

    JSON members are the text that was stored, times are ISO-8601 in UTC with microseconds.
    """

    id: str
    definition: str
    definition_version: int
    status: str
    label: str | None
    params: bytes | None
    requester: bytes
    created_at: str
    version: int
    execute_at: str | None
    updated_at: str
    outcome: str | None
    reason_type: str | None
    reason_message: str | None
    result: bytes | None
    error: bytes | None
