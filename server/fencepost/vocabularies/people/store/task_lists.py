"""The transactions of a task list: add a task, and close the list."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from fencepost.domain.payload import same_payload
from fencepost.errors import ALREADY_EXISTS, WORKFLOW_HAS_BEEN_DONE, Refusal, invalid_params
from fencepost.store.batches import Wakeup
from fencepost.store.calls import raw
from fencepost.store.connection import Connection, fetch
from fencepost.store.statements import statement
from fencepost.store.workflow_tree import Ending, advance, end_of, end_tree, lock_workflows
from fencepost.vocabularies.people.errors import TASKS_NOT_OVER
from fencepost.vocabularies.people.process import TaskFields
from fencepost.vocabularies.people.statuses import CLOSED
from fencepost.vocabularies.people.store.core_tasks import NewCoreTask, make_core_task
from fencepost.vocabularies.people.store.queries import find_list, list_tasks
from fencepost.vocabularies.people.task import PeopleTask, TaskList


class NewLine(NamedTuple):
    """A task to add; without a `line_number` it gets the next one, from `first_free` on.

    `idempotency_key` makes the call idempotent: it stays the same when the transaction is run again.
    """

    line_number: int | None
    first_free: int
    idempotency_key: str
    definition: str
    version: int
    fields: TaskFields
    caller: str

    def params(self, line_number: int) -> bytes:
        """Return the params of the core task as JSON text."""
        return msgspec.json.encode(msgspec.structs.replace(self.fields, line_number=line_number))


def add_task(
    connection: Connection, task_list: TaskList, new: NewLine, now: datetime | None
) -> tuple[PeopleTask, Sequence[Wakeup]]:
    """Add a task to a live list. Idempotent for the same line number and content.

    Raises Refusal: `already-exists` (other content), `workflow-has-been-done`, `invalid-params` (a line that is
    reserved for the initial tasks).
    """
    with connection.transaction():
        live = lock_workflows(connection, workflows=[task_list.seq])
        rows = fetch(connection, statement("people/list_lines"), {"workflow_seq": task_list.seq})
        lines: dict[int, int] = {line: seq for line, seq, _ in rows}
        for _, seq, digest in rows:
            if digest == new.idempotency_key:
                return _task(connection, task_list, seq), ()
        if new.line_number in lines:
            task = _task(connection, task_list, lines[new.line_number])
            if not same_payload(task.params, new.params(new.line_number)):
                raise Refusal(ALREADY_EXISTS, field="lineNumber", id=task.id)
            return task, ()
        if task_list.seq not in live:
            ended = find_list(connection, task_list.code)
            raise Refusal(WORKFLOW_HAS_BEEN_DONE, field="taskList", id=task_list.code, outcome=ended and ended.outcome)
        seq, wakeups = make_core_task(connection, _new_core_task(task_list, new, _line_for(new, lines)), now)
        return _task(connection, task_list, seq), wakeups


def close_list(
    connection: Connection, task_list: TaskList, result: bytes | None, caller: str, now: datetime | None
) -> Sequence[Wakeup]:
    """End a list as succeeded; a list that has ended already stays as it is.

    Raises Refusal (`tasks-not-over`) while any of its tasks is open.
    """
    with connection.transaction():
        if task_list.seq not in lock_workflows(connection, workflows=[task_list.seq], with_parents=True):
            return ()
        params = {"workflow_seq": task_list.seq, "over": [*CLOSED]}
        ((count,),) = fetch(connection, statement("people/count_open"), params)
        if count:
            raise Refusal(TASKS_NOT_OVER, field="code", code=task_list.code, count=count)
        ending = Ending("succeeded", "awf.people/close-task-list", caller, result=raw(result))
        ended, wakeups = end_tree(connection, [end_of(task_list.seq, ending)], now)
        return [*wakeups, *advance(connection, now, workflows=ended)]


def _task(connection: Connection, task_list: TaskList, seq: int) -> PeopleTask:
    return list_tasks(connection, task_list.seq, seq=seq)[0]


def _line_for(new: NewLine, lines: dict[int, int]) -> int:
    # The list may not have created its initial tasks yet: their lines are reserved.
    line = new.line_number or max([new.first_free, *(line + 1 for line in lines)])
    if line < new.first_free:
        reason = f"the lines before {new.first_free} are reserved for the initial tasks of the list"
        raise invalid_params(reason, "lineNumber")
    return line


def _new_core_task(task_list: TaskList, new: NewLine, line_number: int) -> NewCoreTask:
    return NewCoreTask(
        workflow_seq=task_list.seq,
        task_list=task_list.code,
        process=task_list.process,
        line_number=line_number,
        generation=1,
        definition=new.definition,
        version=new.version,
        params=new.params(line_number),
        settings=None,
        digest=new.idempotency_key,
        caller=new.caller,
    )
