"""The leases that polls are given: those that a claim makes, and those that a repeated poll finds."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from fencepost.domain.ids import new_prefixes
from fencepost.domain.task import LeasedTask, Task
from fencepost.store.connection import Connection, fetch
from fencepost.store.rows import RESOURCE
from fencepost.store.statements import statement


class Held(NamedTuple):
    """The tasks that one ask was given, or a conflict: its requestId was used with other params."""

    tasks: list[LeasedTask]
    conflict: bool = False


class Claimed(NamedTuple):
    """The tasks of each ask, by its number, and whether there may be more tasks that the claim did not look at."""

    given: dict[int, Held]
    more: bool = False


def lease(
    connection: Connection, text: str, params: Mapping[str, Any], asks: Sequence[Mapping[str, Any]]
) -> dict[int, Held]:
    """Run a statement that claims, and return what each of `asks` was given."""
    given = {ask["ask"]: Held([]) for ask in asks}
    if asks:
        # New prefixes for every run: an earlier run may have been committed, and no execId is given out twice.
        prefixed = [{**ask, "prefix": prefix} for ask, prefix in zip(asks, new_prefixes(len(asks)), strict=True)]
        for row in fetch(connection, text, {**params, "asks": orjson.dumps(prefixed).decode()}):
            given[row[0]].tasks.append(_leased(row))
    return given


def held_by_request(connection: Connection, asks: Sequence[Mapping[str, Any]]) -> dict[int, Held]:
    """Return what earlier polls with the requestIds of `asks` still hold."""
    hashes = {ask["ask"]: ask["request_hash"] for ask in asks}
    held: dict[int, Held] = {}
    for row in fetch(connection, statement("tasks/held_by_request"), {"asks": orjson.dumps(asks).decode()}):
        call, request_hash = row[0], row[-1]
        if request_hash != hashes[call]:
            held[call] = Held([], conflict=True)
        else:
            held.setdefault(call, Held([])).tasks.append(_leased(row))
    return held


def _leased(row: Sequence[Any]) -> LeasedTask:
    return LeasedTask(Task._make(row[RESOURCE]), row[RESOURCE.stop])


def request_key(ask: Mapping[str, Any]) -> str:
    """Return the key under which polls with one requestId of one caller wait for each other."""
    return hashlib.sha256(orjson.dumps([ask["caller"], ask["request_id"]])).hexdigest()
