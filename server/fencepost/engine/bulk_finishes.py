"""Ends of many executions with one call."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import chain
from typing import NamedTuple
from uuid import UUID

from fencepost.domain.ids import ExecId, IdKind
from fencepost.domain.payload import require_object
from fencepost.domain.task import ChangedTask
from fencepost.engine.definitions import Definitions
from fencepost.engine.executions import Executions
from fencepost.engine.leases import Lease
from fencepost.engine.outcomes import Outcomes
from fencepost.engine.wakeups import Wakeups
from fencepost.errors import Refusal, invalid_params
from fencepost.store.tasks import TaskStore

# The execIds of the server, one after the other: they have the role of the task and its number.
_OWN = re.compile(r"(?:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-800[0-2]-[0-9a-f]{12})+")
_ROLE = slice(22, 23)

Finish = Callable[[Sequence[Lease]], Awaitable[Outcomes[ChangedTask]]]


class Finishes(NamedTuple):
    """Executions to end together: one execId for each id, and one content, JSON text, unless there is none for all."""

    ids: Sequence[str]
    exec_ids: Sequence[str]
    contents: Sequence[bytes | None] | None
    caller: str

    def content(self, place: int) -> bytes | None:
        """Return the content of the execution at a place."""
        return None if self.contents is None else self.contents[place]


class BulkFinishes:
    """Ends executions; each method returns the refusals by place. An execution that is not refused has ended.

    The refusals of an execution are those of `Executions`.
    """

    def __init__(self, store: TaskStore, executions: Executions, definitions: Definitions, wakeups: Wakeups) -> None:
        self._store = store
        self._executions = executions
        self._definitions = definitions
        self._wakeups = wakeups

    async def success(self, finishes: Finishes) -> Mapping[int, Exception]:
        """Complete executions: those of plain tasks by one statement, those of activities by another."""
        places: Sequence[int] = range(len(finishes.ids))
        if _OWN.fullmatch("".join(finishes.exec_ids)) and len({*finishes.ids}) == len(finishes.ids):
            roles: dict[str, list[int]] = {}
            for place, exec_id in enumerate(finishes.exec_ids):
                roles.setdefault(exec_id[_ROLE], []).append(place)
            for kind in (IdKind.PLAIN, IdKind.ACTIVITY):
                if together := roles.get(str(int(kind))):
                    roles[str(int(kind))] = await self._end_together(finishes, together, kind)
            places = sorted(chain(*roles.values()))
        return await self._each(finishes, places, lambda leases: self._executions.success(leases, short=True), "result")

    async def _end_together(self, finishes: Finishes, places: list[int], kind: IdKind) -> list[int]:
        """Complete the executions at some places by one statement; return the places that it left."""
        contents = None if finishes.contents is None else [finishes.contents[place] for place in places]
        if not all(content is None or content[:1] == b"{" for content in contents or ()):
            return places
        ids, exec_ids = [finishes.ids[place] for place in places], [finishes.exec_ids[place] for place in places]
        activities = kind is IdKind.ACTIVITY
        ended, left = await self._store.success_many(ids, exec_ids, contents, finishes.caller, activities=activities)
        for definition, count in ended.items():
            await self._definitions.freed(definition, count)
            # Those that were refused are read, and their callers wait on.
            self._wakeups.ended(definition, ids)
        return [places[index] for index in left]

    async def fail(self, finishes: Finishes) -> Mapping[int, Exception]:
        """Fail executions."""
        places = range(len(finishes.ids))
        return await self._each(finishes, places, lambda leases: self._executions.fail(leases, short=True), "error")

    async def release(self, finishes: Finishes) -> Mapping[int, Exception]:
        """Release leases."""
        places = range(len(finishes.ids))
        return await self._each(finishes, places, lambda leases: self._executions.release(leases, short=True), "")

    async def _each(
        self, finishes: Finishes, places: Sequence[int], finish: Finish, member: str
    ) -> Mapping[int, Exception]:
        """End the executions at some places as single calls do: those of one task one after the other."""
        refusals: dict[int, Exception] = {}
        waiting: dict[int, Lease] = {}
        for place in places:
            try:
                waiting[place] = _lease(finishes, place, member)
            except Refusal as refusal:
                refusals[place] = refusal
        while waiting:
            first: dict[str, int] = {}
            for place, lease in waiting.items():
                first.setdefault(lease.id, place)
            leases = [waiting.pop(place) for place in first.values()]
            outcomes = zip(first.values(), await finish(leases), strict=True)
            refusals |= {place: outcome for place, outcome in outcomes if isinstance(outcome, Exception)}
        return refusals


def _lease(finishes: Finishes, place: int, member: str) -> Lease:
    """Return the lease at a place with its content, the `member` of a single call; raise Refusal."""
    try:
        exec_id = ExecId.of(UUID(finishes.exec_ids[place]))
    except ValueError:
        raise invalid_params("Invalid UUID", "execId") from None
    content = finishes.content(place)
    if content is None or content[:1] != b"[" or exec_id.kind is not IdKind.DECISION or member != "result":
        require_object(content, member)
    return Lease(finishes.ids[place], exec_id, finishes.caller, content)
