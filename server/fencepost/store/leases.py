"""The leases of a poll: new ones from a claim, and those that a repeated poll still holds."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson
from msgspec.structs import replace

from fencepost.domain.ids import new_prefixes
from fencepost.domain.polled import Polled, PolledText
from fencepost.domain.task import LeasedTask, Task
from fencepost.store.calls import ClaimAsk, as_json
from fencepost.store.connection import Connection, fetch
from fencepost.store.rows import RESOURCE
from fencepost.store.statements import statement, text_statement


class PollAnswer(NamedTuple):
    """The tasks for one poll, or a conflict: its requestId was used with other params."""

    tasks: Polled
    conflict: bool = False

    @property
    def number(self) -> int:
        """The number of tasks."""
        return self.tasks.number if isinstance(self.tasks, PolledText) else len(self.tasks)

    @property
    def size(self) -> int:
        """The bytes of the params."""
        if isinstance(self.tasks, PolledText):
            return self.tasks.size
        return sum(len(leased.task.params or b"") for leased in self.tasks)

    @property
    def has_lost(self) -> bool:
        """Whether a task has lost attempts."""
        if isinstance(self.tasks, PolledText):
            return self.tasks.has_lost
        return any(leased.lost_attempts for leased in self.tasks)


class Claimed(NamedTuple):
    """The answers of a claim by the number of the poll, and whether there may be ready tasks that it did not read."""

    given: dict[int, PollAnswer]
    more: bool = False


def lease(
    connection: Connection, name: str, params: Mapping[str, Any], asks: Sequence[ClaimAsk], *, texts: bool = False
) -> dict[int, PollAnswer]:
    """Run a claim statement and return the answer to each of `asks`.

    With `texts` the statement can answer with PolledText, which it does when all asks name fields.
    """
    # New prefixes for every run: an earlier run may have been committed, and no execId is given out twice.
    prefixed = [replace(ask, prefix=prefix) for ask, prefix in zip(asks, new_prefixes(len(asks)), strict=True)]
    params = {**params, "asks": as_json(prefixed)}
    given = {ask.ask: PollAnswer([]) for ask in asks}
    if not asks:
        return given
    if texts and all(ask.fields is not None for ask in asks):
        for call, text, *rest in fetch(connection, text_statement(name), params):
            given[call] = PollAnswer(PolledText(text.encode(), *rest))
        return given
    return given | _by_call(fetch(connection, statement(name), params))


def held_by_request(connection: Connection, asks: Sequence[ClaimAsk]) -> dict[int, PollAnswer]:
    """Return the leases that earlier polls with the requestIds of `asks` still hold."""
    hashes = {ask.ask: ask.request_hash for ask in asks}
    rows = fetch(connection, statement("tasks/held_by_request"), {"asks": as_json(asks)})
    conflicts = {row[0]: PollAnswer([], conflict=True) for row in rows if row[-1] != hashes[row[0]]}
    return _by_call(rows) | conflicts


def _by_call(rows: Sequence[Sequence[Any]]) -> dict[int, PollAnswer]:
    """Return the answers that the rows of leased tasks make, by the number of the poll."""
    given: dict[int, list[LeasedTask]] = {}
    for row in rows:
        given.setdefault(row[0], []).append(LeasedTask(Task._make(row[RESOURCE]), row[RESOURCE.stop]))
    return {call: PollAnswer(tasks) for call, tasks in given.items()}


def request_key(ask: ClaimAsk) -> str:
    """Return the lock key that serializes the polls with one requestId of one caller."""
    return hashlib.sha256(orjson.dumps([ask.caller, ask.request_id])).hexdigest()
