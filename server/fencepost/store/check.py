"""`fencepost check`: computes stored values again from the history, and reports the differences.

Servers may write at the same time: each batch reads one snapshot, so that a task and its history fit together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import orjson
import psycopg

from fencepost.errors import StartRefused
from fencepost.store.address import reason
from fencepost.store.connection import Connection, connect, fetch
from fencepost.store.connection_monitor import monitored
from fencepost.store.migrations import check_migrated
from fencepost.store.statements import statement

# Tasks of one batch.
BATCH = 1000


class Difference(NamedTuple):
    """A member of a task with a stored value that differs from the value computed from its history."""

    kind: str
    id: str
    member: str
    kept: Any
    computed: Any


class Checked(NamedTuple):
    """The number of tasks that were checked, a noun for them such as `live tasks`, and the differences."""

    noun: str
    looked_at: int
    differences: Sequence[Difference]


# Checks one batch after a seq, in a transaction of its own; returns the `after` of the next batch, or None.
Check = Callable[[Connection, int], tuple[int | None, Checked]]


def check(conninfo: str, further: Sequence[Check]) -> Iterator[Checked]:
    """Yield the result of each batch, of `further` checks and of the check of tasks.

    Raises StartRefused when the database cannot be read.
    """
    check_migrated(conninfo)
    try:
        with connect(conninfo) as connection, monitored(conninfo, connection):
            for one in (*further, _tasks):
                yield from _batches(connection, one)
    except psycopg.Error as error:
        raise StartRefused(f"the check could not be done: {reason(error, conninfo)}") from None


def _batches(connection: Connection, look: Check) -> Iterator[Checked]:
    after: int | None = 0
    while after is not None:
        with connection.transaction():
            connection.execute("set transaction isolation level repeatable read, read only")
            after, checked = look(connection, after)
        yield checked


def _tasks(connection: Connection, after: int) -> tuple[int | None, Checked]:
    """Compare some live tasks with their logs."""
    rows = fetch(connection, statement("check/tasks"), {"after": after, "batch": BATCH})
    found = [
        Difference("task", id, member, kept, computed)
        for _, id, text in rows
        if text is not None
        for member, (kept, computed) in _members(text).items()
    ]
    return (rows[-1][0] if len(rows) == BATCH else None), Checked("live tasks", len(rows), found)


def _members(text: bytes) -> Mapping[str, tuple[Any, Any]]:
    parsed: Mapping[str, tuple[Any, Any]] = orjson.loads(text)
    return parsed
