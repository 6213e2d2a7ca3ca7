"""Polls: a request of a worker becomes a poll of the dispatcher."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from typing import NamedTuple, TypeAlias, overload

import orjson
from msgspec import UNSET

from fencepost.domain.polled import PolledField, PolledText, bits_of
from fencepost.domain.task import LeasedTask, TaskWithSettings
from fencepost.engine.definitions import Definitions
from fencepost.engine.dispatcher import Dispatcher, PendingPoll
from fencepost.engine.wakeups import Wakeups
from fencepost.store.calls import ClaimAsk

Fields: TypeAlias = Collection[PolledField]


class PollRequest(NamedTuple):
    """A request for up to `size` tasks of these definitions and decision tasks of these workflows."""

    definitions: list[str]
    workflows: list[str]
    size: int
    start: bool
    worker: str | None
    request_id: str | None


class Polls:
    """The poll methods of this server."""

    def __init__(self, dispatcher: Dispatcher, definitions: Definitions, wakeups: Wakeups) -> None:
        self._dispatcher = dispatcher
        self._definitions = definitions
        self._wakeups = wakeups

    @overload
    async def poll(
        self, request: PollRequest, *, caller: str, seconds: float | None = None
    ) -> Sequence[TaskWithSettings]: ...
    @overload
    async def poll(
        self, request: PollRequest, *, caller: str, seconds: float | None = None, fields: Fields | None
    ) -> PolledText | Sequence[TaskWithSettings]: ...
    async def poll(
        self, request: PollRequest, *, caller: str, seconds: float | None = None, fields: Fields | None = None
    ) -> PolledText | Sequence[TaskWithSettings]:
        """Lease up to `size` tasks that are ready now, or with `seconds`, the first that becomes ready within them.

        With `fields`, return the text of these fields, which comes from the claim; tasks under a limit, repeated polls,
        and polls in a claim with others are whole.
        """
        poll = PendingPoll(
            definitions=tuple(sorted({*request.definitions, *request.workflows})),
            ask=ClaimAsk(
                size=request.size,
                start=request.start,
                action="awf.task/poll" if seconds is None else "awf.task/long-poll",
                caller=caller,
                worker=request.worker,
                request_id=request.request_id,
                request_hash=None if request.request_id is None else _hash(request),
                fields=None if fields is None else bits_of(fields),
            ),
            waits=seconds is not None,
        )
        polled = await self._dispatcher.poll(poll, seconds or 0.0)
        if not isinstance(polled, PolledText):
            return await self._all(polled, request)
        self._wakeups.deadline(polled.due_in)
        return polled

    async def _all(self, polled: Sequence[LeasedTask], request: PollRequest) -> Sequence[TaskWithSettings]:
        """Return the tasks of a poll with their settings, and announce their deadlines."""
        found = [(await self._definitions.with_settings(task))._replace(lost_attempts=lost) for task, lost in polled]
        for task, settings, _ in found:
            attempt = settings.in_progress_timeout
            if settings.attempt_timeout is not UNSET:
                attempt = min(attempt, settings.attempt_timeout)
            timeout = attempt if request.start else settings.requested_to_start_timeout
            # A task with settings of its own may have an earlier deadline.
            self._wakeups.deadline(timeout / 1000 if task.settings is None else 0.0)
        return found


def _hash(request: PollRequest) -> str:
    """Return a hash of the params; both poll methods have the same one, so either may repeat the other."""
    params = [sorted(request.definitions), sorted(request.workflows), request.size, request.start, request.worker]
    return hashlib.sha256(orjson.dumps(params)).hexdigest()[:32]
