"""What every transaction about workflows is made of: their locks first, what they are told and decide next at the end.

A workflow and all that belongs to it change one after the other. What happens to it is noted in the transaction in
which it happens, and `advance` closes that transaction: none is left with something that nobody decides about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from fencepost.store.batches import Wakeup
from fencepost.store.connection import Connection, fetch
from fencepost.store.statements import statement


def lock(
    connection: Connection, *, tasks: Sequence[int] = (), workflows: Sequence[int] = (), with_parents: bool = False
) -> set[int]:
    """Lock the live workflows among these and those of tasks, and return the numbers of those that live."""
    params = {"tasks": list(tasks), "workflows": list(workflows), "with_parents": with_parents}
    return {seq for (seq,) in fetch(connection, statement("workflows/lock"), params)}


def end(
    connection: Connection, endings: Sequence[Mapping[str, Any]], now: datetime | None
) -> tuple[list[int], list[Wakeup]]:
    """End locked workflows and cancel all that is live below them, to any depth.

    Returns the numbers of `endings`, for `advance` to tell their parents; and wakeups: places that got free.
    """
    calls = {ending["seq"]: ending for ending in endings}
    above = list(calls)
    while above:
        rows = fetch(connection, statement("workflows/lock_children"), {"workflows": above})
        below = {seq: calls[parent]["caller"] for seq, parent in rows if seq not in calls}
        calls |= {seq: _canceled(seq, caller) for seq, caller in below.items()}
        above = list(below)
    params = {"calls": orjson.dumps(list(calls.values())).decode(), "now": now}
    rows = fetch(connection, statement("workflows/end"), params)
    return [ending["seq"] for ending in endings], [Wakeup(definition, None) for seq, definition in rows if seq is None]


def advance(
    connection: Connection,
    now: datetime | None,
    *,
    events: Sequence[Mapping[str, Any]] = (),
    tasks: Sequence[int] = (),
    workflows: Sequence[int] = (),
    decided: Sequence[int] = (),
) -> list[Wakeup]:
    """Tell workflows what happened: `events` to them, the ends of their `tasks` and of their children, `workflows`.

    Those in `decided`, whose decision was just made, hear what waited for that. Each that hears of something has a
    decision task afterwards; returns wakeups for the new ones.
    """
    if not (events or tasks or workflows or decided):
        return []
    params = {
        "events": orjson.dumps(list(events)).decode(),
        "tasks": list(tasks),
        "workflows": list(workflows),
        "decided": list(decided),
        "now": now,
    }
    return [Wakeup(*row) for row in fetch(connection, statement("workflows/advance"), params)]


def _canceled(seq: int, caller: str) -> dict[str, Any]:
    return {"seq": seq, "outcome": "canceled", "action": "awf.engine/cancel", "caller": caller}
