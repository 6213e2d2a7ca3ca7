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


class Claim:
    """A claim: the statements of one transaction, and the answers from their rows.

    Polls with a requestId are answered with the leases that they still hold, and get others when they hold none. When
    every poll names fields, the new leases are PolledText.
    """

    def __init__(self, params: Mapping[str, Any], asks: Sequence[ClaimAsk]) -> None:
        """`params` has `definitions`, `most_bytes` and `now` of claim.sql."""
        self._params = params
        self._asks = asks
        self._named = [ask for ask in asks if ask.request_id is not None]
        self._texts = all(ask.fields is not None for ask in asks)

    @property
    def size(self) -> int:
        """The most tasks that the polls take together."""
        return sum(ask.size for ask in self._asks)

    def calls(self, seqs: str = "{}") -> list[tuple[str, Mapping[str, Any]]]:
        """Return the statements with their parameters, new ones for every run.

        `seqs` has the tasks under limits that may be leased, as limit_capacity.sql returns them. A statement must see
        what others committed before it began.
        """
        text = (text_statement if self._texts else statement)("tasks/claim")
        params = {**self._params, "seqs": seqs, "asks": _with_prefixes(self._asks)}
        return [*(_finding(self._named) if self._named else ()), (text, params)]

    def answers(self, rows: Sequence[Sequence[tuple[Any, ...]]]) -> dict[int, PollAnswer]:
        """Return the answer to each poll, by its number, from the rows of each statement."""
        given = {ask.ask: PollAnswer([]) for ask in self._asks}
        if self._named:
            given |= _held(rows[-2], self._named)
        # New leases win over held ones, whose last was finished meanwhile.
        return given | (_texts(rows[-1]) if self._texts else _by_call(rows[-1]))


def _with_prefixes(asks: Sequence[ClaimAsk]) -> str:
    # New prefixes for every run: an earlier run may have been committed, and no execId is given out twice.
    return as_json([replace(ask, prefix=prefix) for ask, prefix in zip(asks, new_prefixes(len(asks)), strict=True)])


def _finding(named: Sequence[ClaimAsk]) -> tuple[tuple[str, dict[str, Any]], tuple[str, dict[str, Any]]]:
    """Return the statements that lock requestIds and find their leases, each with its parameters."""
    return (
        (statement("tasks/lock_requests"), {"keys": [_request_key(ask) for ask in named]}),
        (statement("tasks/held_by_request"), {"asks": as_json(named)}),
    )


def _held(rows: Sequence[Sequence[Any]], named: Sequence[ClaimAsk]) -> dict[int, PollAnswer]:
    """Return the answers to polls with a requestId that the rows of held_by_request.sql make."""
    hashes = {ask.ask: ask.request_hash for ask in named}
    conflicts = {row[0]: PollAnswer([], conflict=True) for row in rows if row[-1] != hashes[row[0]]}
    return _by_call(rows) | conflicts


def _texts(rows: Sequence[Sequence[Any]]) -> dict[int, PollAnswer]:
    """Return the answers that the rows of a claim with texts make, by the number of the poll."""
    return {call: PollAnswer(PolledText(text.encode(), *rest)) for call, text, *rest in rows}


def _by_call(rows: Sequence[Sequence[Any]]) -> dict[int, PollAnswer]:
    """Return the answers that the rows of leased tasks make, by the number of the poll."""
    given: dict[int, list[LeasedTask]] = {}
    for row in rows:
        given.setdefault(row[0], []).append(LeasedTask(Task._make(row[RESOURCE]), row[RESOURCE.stop]))
    return {call: PollAnswer(tasks) for call, tasks in given.items()}


def _request_key(ask: ClaimAsk) -> str:
    """Return the lock key that serializes the polls with one requestId of one caller."""
    return hashlib.sha256(orjson.dumps([ask.caller, ask.request_id])).hexdigest()
