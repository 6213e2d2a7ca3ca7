"""Handing out work: what a poll asks for becomes an ask to the dispatcher."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import orjson
from msgspec import UNSET

from fencepost.domain.task import TaskWithSettings
from fencepost.engine.definitions import Definitions
from fencepost.engine.dispatcher import Ask, Dispatcher
from fencepost.engine.wakeups import Wakeups


class Wanted(NamedTuple):
    """What a worker asks for: tasks of these definitions and decision tasks of these workflows, `size` at most."""

    definitions: list[str]
    workflows: list[str]
    size: int
    start: bool
    worker: str | None
    request_id: str | None


class Polls:
    """The polls of this server."""

    def __init__(self, dispatcher: Dispatcher, definitions: Definitions, wakeups: Wakeups) -> None:
        self._dispatcher = dispatcher
        self._definitions = definitions
        self._wakeups = wakeups

    async def poll(self, wanted: Wanted, *, caller: str) -> Sequence[TaskWithSettings]:
        """Lease what is ready now."""
        return await self._lease(wanted, caller, "awf.task/poll", None)

    async def long_poll(self, wanted: Wanted, *, caller: str, seconds: float) -> Sequence[TaskWithSettings]:
        """Lease what is ready, or the first that becomes ready within `seconds`."""
        return await self._lease(wanted, caller, "awf.task/long-poll", seconds)

    async def _lease(
        self, wanted: Wanted, caller: str, action: str, seconds: float | None
    ) -> Sequence[TaskWithSettings]:
        ask = Ask(
            definitions=tuple(sorted({*wanted.definitions, *wanted.workflows})),
            size=wanted.size,
            start=wanted.start,
            action=action,
            caller=caller,
            worker=wanted.worker,
            request_id=wanted.request_id,
            request_hash=None if wanted.request_id is None else _hash(wanted),
            waits=seconds is not None,
        )
        leased = await self._dispatcher.poll(ask, seconds or 0.0)
        found = [(await self._definitions.with_settings(task))._replace(lost_attempts=lost) for task, lost in leased]
        for task, settings, _ in found:
            attempt = settings.in_progress_timeout
            if settings.attempt_timeout is not UNSET:
                attempt = min(attempt, settings.attempt_timeout)
            timeout = attempt if wanted.start else settings.requested_to_start_timeout
            # One with settings of its own may have a nearer end.
            self._wakeups.deadline(timeout / 1000 if task.settings is None else 0.0)
        return found


def _hash(wanted: Wanted) -> str:
    """Tell polls with other params apart; which of the two poll methods repeats the request does not matter."""
    what = [sorted(wanted.definitions), sorted(wanted.workflows), wanted.size, wanted.start, wanted.worker]
    return hashlib.sha256(orjson.dumps(what)).hexdigest()[:32]
