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
from fencepost.engine.outcomes import Outcomes, sequentially
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

    async def poll(
        self, request: PollRequest, *, caller: str, seconds: float | None = None
    ) -> Sequence[TaskWithSettings]:
        """Lease up to `size` tasks that are ready now, or with `seconds`, the first that becomes ready within them."""
        (polled,) = await self.answers([self.enter(request, caller=caller, seconds=seconds)])
        if isinstance(polled, Exception):
            raise polled
        assert not isinstance(polled, PolledText), "the poll names no fields"
        return polled

    def enter(
        self,
        request: PollRequest,
        *,
        caller: str,
        seconds: float | None = None,
        fields: Collection[PolledField] | None = None,
    ) -> PendingPoll:
        """Enter a poll, whose outcome `answers` returns.

        With `fields`, that is the text of these fields, which comes from the claim; repeated polls, and polls in a
        claim with others, are whole.
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
        self._dispatcher.enter(poll, seconds or 0.0)
        return poll

    async def answers(self, polls: Sequence[PendingPoll]) -> Outcomes[PolledText | Sequence[TaskWithSettings]]:
        """Return the outcomes of polls once each has one; if the caller is cancelled, the tasks are given back."""
        outcomes = await self._dispatcher.answers(polls)
        return await sequentially(map(self._answer, polls, outcomes))

    async def _answer(self, poll: PendingPoll, polled: Polled | Exception) -> PolledText | Sequence[TaskWithSettings]:
        """Return the tasks of a poll with their settings, and announce their deadlines."""
        if isinstance(polled, Exception):
            raise polled
        if isinstance(polled, PolledText):
            self._wakeups.deadline(polled.due_in)
            return polled
        found = [(await self._definitions.with_settings(task))._replace(lost_attempts=lost) for task, lost in polled]
        for task, settings, _ in found:
            attempt = settings.in_progress_timeout
            if settings.attempt_timeout is not UNSET:
                attempt = min(attempt, settings.attempt_timeout)
            timeout = attempt if poll.ask.start else settings.requested_to_start_timeout
            # A task with settings of its own may have an earlier deadline.
            self._wakeups.deadline(timeout / 1000 if task.settings is None else 0.0)
        return found


def _hash(request: PollRequest) -> str:
    """Return a hash of the params; both poll methods have the same one, so either may repeat the other."""
    params = [sorted(request.definitions), sorted(request.workflows), request.size, request.start, request.worker]
    return hashlib.sha256(orjson.dumps(params)).hexdigest()[:32]
