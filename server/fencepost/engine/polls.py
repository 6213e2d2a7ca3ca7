"""Polls: a request of a worker becomes a poll of the dispatcher."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from typing import NamedTuple

import orjson
from msgspec import UNSET

from fencepost.domain.polled import Polled, PolledField, PolledText, bits_of
from fencepost.domain.task import TaskWithSettings
from fencepost.engine.definitions import Definitions
from fencepost.engine.dispatcher import Dispatcher, PendingPoll
from fencepost.engine.wakeups import Wakeups
from fencepost.store.calls import ClaimAsk


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

    async def poll(self, request: PollRequest, *, caller: str) -> Sequence[TaskWithSettings]:
        """Lease up to `size` tasks that are ready now."""
        return await self._all(await self._lease(request, caller, "awf.task/poll", None), request)

    async def long_poll(self, request: PollRequest, *, caller: str, seconds: float) -> Sequence[TaskWithSettings]:
        """Lease ready tasks, or the first that becomes ready within `seconds`."""
        return await self._all(await self._lease(request, caller, "awf.task/long-poll", seconds), request)

    async def poll_fields(
        self, request: PollRequest, fields: Collection[PolledField], *, caller: str, seconds: float | None
    ) -> PolledText | Sequence[TaskWithSettings]:
        """Lease tasks as `poll` does, or with `seconds` as `long_poll`; return them whole, or the text of these fields.

        The text comes from the claim; tasks under a limit, repeated polls, and polls in a claim with others are whole.
        """
        action = "awf.task/poll" if seconds is None else "awf.task/long-poll"
        polled = await self._lease(request, caller, action, seconds, bits_of(fields))
        if not isinstance(polled, PolledText):
            return await self._all(polled, request)
        self._wakeups.deadline(polled.due_in)
        return polled

    async def _lease(
        self, request: PollRequest, caller: str, action: str, seconds: float | None, fields: int | None = None
    ) -> Polled:
        poll = PendingPoll(
            definitions=tuple(sorted({*request.definitions, *request.workflows})),
            ask=ClaimAsk(
                size=request.size,
                start=request.start,
                action=action,
                caller=caller,
                worker=request.worker,
                request_id=request.request_id,
                request_hash=None if request.request_id is None else _hash(request),
                fields=fields,
            ),
            waits=seconds is not None,
        )
        return await self._dispatcher.poll(poll, seconds or 0.0)

    async def _all(self, polled: Polled, request: PollRequest) -> Sequence[TaskWithSettings]:
        """Return the tasks of a poll with their settings, and announce their deadlines."""
        assert not isinstance(polled, PolledText), "the poll names no fields"
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
