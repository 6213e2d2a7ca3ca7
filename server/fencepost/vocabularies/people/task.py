"""A people's task and a task list as they stand."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import msgspec

from fencepost.vocabularies.people.process import FinalFields, TaskListFields
from fencepost.vocabularies.people.streams import Standing


class Core(NamedTuple):
    """The core task under a people's task, the newest where it was taken up again."""

    seq: int
    id: str
    status: str
    outcome: str | None
    exec_id: str | None
    updated_at: str
    version: int
    rounds: int


class PeopleTask(NamedTuple):
    """A task: what it began with (`fields`), what was written to it, and where it stands by its streams and the log."""

    seq: int
    id: str
    workflow_seq: int
    task_list: str
    process: str
    process_version: int
    is_list_live: bool
    line_number: int
    text: bytes
    start_date_time: str
    initial_due_date_time: str
    progress_message: str | None
    exception_message: str | None
    domain_object_key: str | None
    domain_object_code: str | None
    locked_by: str | None
    standing: Standing
    core: Core
    result: bytes | None

    @property
    def fields(self) -> FinalFields:
        """What it began with."""
        return _fields_of(self.text)

    @property
    def place(self) -> Place:
        """Where it stands among all."""
        return Place(self.standing.team, self.standing.due_date_time, self.seq)

    @property
    def initial(self) -> Standing:
        """Where it stood when it was made."""
        fields = self.fields
        return Standing(
            fields.initial_assigned_to_team,
            fields.initial_assigned_to_user,
            fields.initial_task_status,
            fields.initial_priority,
            self.initial_due_date_time,
            None,
        )


class Place(NamedTuple):
    """Where a task stands among all, by team and due date: its number sets apart those that are alike."""

    team: str
    due_date_time: str
    seq: int


class TaskList(NamedTuple):
    """A task list: the workflow that it is, under its code, and what that began with."""

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
        """What it began with."""
        return msgspec.json.decode(self.params or b"{}", type=TaskListFields)


@lru_cache(maxsize=4096)
def _fields_of(text: bytes) -> FinalFields:
    return msgspec.json.decode(text, type=FinalFields)
