"""A people task, its core task, and its task list."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from fencepost.vocabularies.people.process import TaskFields, TaskListFields
from fencepost.vocabularies.people.streams import CurrentValues


class CoreTask(NamedTuple):
    """The task of the queue behind a people task: the newest one, when the people task was reopened.

    `generation` counts the core tasks of a people task, from 1.
    """

    seq: int
    id: str
    status: str
    outcome: str | None
    exec_id: str | None
    updated_at: str
    version: int
    generation: int


class PeopleTask(NamedTuple):
    """A people task: its params (JSON text), the notes that were written to it, and its current values."""

    seq: int
    id: str
    workflow_seq: int
    task_list: str
    process: str
    process_version: int
    is_list_live: bool
    line_number: int
    params: bytes
    start_date_time: str
    initial_due_date_time: str
    progress_message: str | None
    exception_message: str | None
    domain_object_key: str | None
    domain_object_code: str | None
    locked_by: str | None
    current: CurrentValues
    core: CoreTask
    result: bytes | None

    @property
    def fields(self) -> TaskFields:
        """The params, decoded."""
        return _fields_of(self.params)

    @property
    def page_key(self) -> PageKey:
        """The position of the task in pages that are ordered by team and due date."""
        return PageKey(self.current.team, self.current.due_date_time, self.seq)

    @property
    def initial(self) -> CurrentValues:
        """The values of the task before its first event."""
        fields = self.fields
        return CurrentValues(
            fields.initial_assigned_to_team,
            fields.initial_assigned_to_user,
            fields.initial_task_status,
            fields.initial_priority,
            self.initial_due_date_time,
            None,
        )


class PageKey(NamedTuple):
    """A position in pages that are ordered by team and due date; `seq` makes it unique."""

    team: str
    due_date_time: str
    seq: int


class Notes(NamedTuple):
    """Members to write to a task without an event; UNSET leaves a member as it is.

    `domain_object` is a key and a code; `locked_by` is the user who edits the task.
    """

    progress_message: str | UnsetType = UNSET
    exception_message: str | UnsetType | None = UNSET
    domain_object: tuple[str | None, str | None] | UnsetType = UNSET
    locked_by: str | UnsetType | None = UNSET


class TaskList(NamedTuple):
    """A task list: the workflow with the id `code`. `params` and `result` are JSON text."""

    seq: int
    code: str
    process: str
    process_version: int
    status: str
    outcome: str | None
    created_at: str
    params: bytes | None
    result: bytes | None
    department: str

    @property
    def fields(self) -> TaskListFields:
        """The params, decoded."""
        return msgspec.json.decode(self.params or b"{}", type=TaskListFields)


@lru_cache(maxsize=4096)
def _fields_of(text: bytes) -> TaskFields:
    return msgspec.json.decode(text, type=TaskFields)
