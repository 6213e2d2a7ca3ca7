"""A task, and one entry of its log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

from fencepost.domain.definition import WorkDefinition


class ShortTask(NamedTuple):
    """The short form of a changed task, for callers that do not need the whole resource."""

    id: str
    definition: str
    definition_version: int
    status: str


class Task(NamedTuple):
    """The resource row that every statement about a task returns, in the order of its columns.

    It begins as ShortTask does. JSON members are the text that was stored, times are ISO-8601 in UTC with microseconds.
    """

    id: str
    definition: str
    definition_version: int
    status: str
    label: str | None
    params: bytes | None
    requester: bytes
    settings: bytes | None
    created_at: str
    version: int
    exec_id: str | None
    retry_count: int
    execute_at: str | None
    deadline_at: str | None
    updated_at: str
    worker: str | None
    outcome: str | None
    reason_type: str | None
    reason_message: str | None
    result: bytes | None
    error: bytes | None


def task_of(row: Sequence[Any]) -> Task | ShortTask:
    """Return the task of a row, whole or short."""
    return ShortTask._make(row) if len(row) == len(ShortTask._fields) else Task._make(row)


def client_requester(caller: str) -> bytes:
    """Return the requester of what a client creates, as JSON text."""
    return orjson.dumps({"resourceType": "Client", "id": caller})


def workflow_of(task: Task) -> str:
    """Return the id of the workflow that a decision or an activity belongs to."""
    return str(orjson.loads(task.requester)["id"])


class LeasedTask(NamedTuple):
    """A task from a poll, and the number of its last attempts in a row that were lost to silence."""

    task: Task
    lost_attempts: int


class TaskWithSettings(NamedTuple):
    """A task and its effective settings: its own, and those of its version of the definition.

    `lost_attempts` is as in LeasedTask for a task from a poll, and 0 otherwise.
    """

    task: Task
    settings: WorkDefinition
    lost_attempts: int = 0


class ChangedTask(NamedTuple):
    """A changed task, whole or short, and its effective settings."""

    task: Task | ShortTask
    settings: WorkDefinition


class Entry(NamedTuple):
    """One entry of a task's log: an action, its caller, and the state of the task after it.

    `exec_id` names the execution that the entry is about; a state without a lease has none.
    `delay` is the time in ms from the entry to the deadline that it armed.
    """

    id: str
    version: int
    at: str
    action: str
    action_params: bytes | None
    caller: str
    worker: str | None
    status_before: str | None
    status: str
    outcome: str | None
    reason_type: str | None
    reason_message: str | None
    exec_id: str | None
    retry_count: int
    execute_at: str | None
    deadline_at: str | None
    delay: int | None
