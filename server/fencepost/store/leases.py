"""The leases of a poll: new ones from a claim, and those that a repeated poll still holds."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson
from msgspec.structs import replace

from fencepost.domain.ids import new_prefixes
from fencepost.domain.task import LeasedTask, Task
from fencepost.store.calls import ClaimAsk, as_json
from fencepost.store.connection import Connection, fetch
from fencepost.store.rows import RESOURCE
from fencepost.store.statements import statement


class PollAnswer(NamedTuple):
    """The tasks for one poll, or a conflict: its requestId was used with other params."""

    tasks: list[LeasedTask]
    conflict: bool = False


class Claimed(NamedTuple):
    """The answers of a claim by the number of the poll, and whether there may be ready tasks that it did not read."""

    given: dict[int, PollAnswer]
    more: bool = False


def lease(
    connection: Connection, text: str, params: Mapping[str, Any], asks: Sequence[ClaimAsk]
) -> dict[int, PollAnswer]:
    """Run a claim statement and return the answer to each of `asks`."""
    given = {ask.ask: PollAnswer([]) for ask in asks}
    if asks:
        # New prefixes for every run: an earlier run may have been committed, and no execId is given out twice.
        prefixed = [replace(ask, prefix=prefix) for ask, prefix in zip(asks, new_prefixes(len(asks)), strict=True)]
        for row in fetch(connection, text, {**params, "asks": as_json(prefixed)}):
            given[row[0]].tasks.append(_leased(row))
    return given


def held_by_request(connection: Connection, asks: Sequence[ClaimAsk]) -> dict[int, PollAnswer]:
    """Return the leases that earlier polls with the requestIds of `asks` still hold."""
    hashes = {ask.ask: ask.request_hash for ask in asks}
    held: dict[int, PollAnswer] = {}
    for row in fetch(connection, statement("tasks/held_by_request"), {"asks": as_json(asks)}):
        call, request_hash = row[0], row[-1]
        if request_hash != hashes[call]:
            held[call] = PollAnswer([], conflict=True)
        else:
            held.setdefault(call, PollAnswer([])).tasks.append(_leased(row))
    return held


def _leased(row: Sequence[Any]) -> LeasedTask:
    return LeasedTask(Task._make(row[RESOURCE]), row[RESOURCE.stop])


def request_key(ask: ClaimAsk) -> str:
    """Return the lock key that serializes the polls with one requestId of one caller."""
    return hashlib.sha256(orjson.dumps([ask.caller, ask.request_id])).hexdigest()
