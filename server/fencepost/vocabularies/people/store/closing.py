"""Closing a task list by hand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import orjson

from fencepost.errors import Refusal
from fencepost.store.batches import Hint
from fencepost.store.connection import Connection, fetch
from fencepost.store.families import advance, end, lock
from fencepost.store.statements import statement
from fencepost.vocabularies.people.errors import TASKS_NOT_OVER
from fencepost.vocabularies.people.statuses import OVER
from fencepost.vocabularies.people.task import TaskList


def close(
    connection: Connection, task_list: TaskList, result: bytes | None, caller: str, now: datetime | None
) -> Sequence[Hint]:
    """End a list as succeeded, behind its lock; raise Refusal while any of its tasks is open."""
    with connection.transaction():
        if task_list.seq not in lock(connection, workflows=[task_list.seq], with_parents=True):
            return ()
        params = {"workflow_seq": task_list.seq, "over": [*OVER]}
        ((count,),) = fetch(connection, statement("people/count_open"), params)
        if count:
            raise Refusal(TASKS_NOT_OVER, at="$.code", code=task_list.code, count=count)
        ending = {
            "seq": task_list.seq,
            "outcome": "succeeded",
            "result": None if result is None else orjson.Fragment(result),
            "action": "awf.people/close-task-list",
            "caller": caller,
        }
        ended, hints = end(connection, [ending], now)
        return [*hints, *advance(connection, now, workflows=ended)]
