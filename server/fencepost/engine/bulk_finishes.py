"""Ends of many executions with one call."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from fencepost.domain.ids import ExecId, IdKind
from fencepost.domain.payload import require_object
from fencepost.domain.task import ChangedTask
from fencepost.engine.definitions import Definitions
from fencepost.engine.executions import Executions
from fencepost.engine.leases import Lease
from fencepost.engine.outcomes import Outcomes
from fencepost.errors import Refusal, invalid_params
from fencepost.store.tasks import TaskStore

# The execIds of plain tasks, one after the other: they have the number of the task.
_PLAIN = re.compile(r"(?:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-8000-[0-9a-f]{12})+")

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

    def __init__(self, store: TaskStore, executions: Executions, definitions: Definitions) -> None:
        self._store = store
        self._executions = executions
        self._definitions = definitions

    async def success(self, finishes: Finishes) -> Mapping[int, Exception]:
        """Complete executions, plain ones by one statement."""
        places: Sequence[int] = range(len(finishes.ids))
        plain = _PLAIN.fullmatch("".join(finishes.exec_ids)) and len({*finishes.ids}) == len(finishes.ids)
        if plain and all(content is None or content[:1] == b"{" for content in finishes.contents or ()):
            ended, places = await self._store.success_many(
                finishes.ids, finishes.exec_ids, finishes.contents, finishes.caller
            )
            for definition, count in ended.items():
                await self._definitions.freed(definition, count)
        return await self._each(finishes, places, lambda leases: self._executions.success(leases, short=True), "result")

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
