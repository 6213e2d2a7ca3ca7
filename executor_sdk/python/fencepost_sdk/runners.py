"""Runners: asyncio tasks that run calls of handlers one after the other, as long as these do not suspend."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator, Sequence
from contextvars import Context, copy_context
from time import monotonic
from types import coroutine
from typing import Any

from fencepost_sdk.leases import Lease

# How long runners keep the event loop, in seconds. Then polls, heartbeats and finishes have their turn.
TURN_SECONDS = 0.005

# A call of a handler and the leases of its tasks.
Call = tuple[Coroutine[Any, Any, None], Sequence[Lease]]

_ENDED = object()


class Runners:
    """Runs calls in few asyncio tasks; each call has a copy of the context.

    A call that suspends keeps its runner as its own asyncio task, and two more runners continue with the waiting calls.
    So short calls share a task, and long ones all start within few turns of the event loop. `take` returns the next
    call or None, `startable` the number of calls that may start now. `ended` is called after the last call of a runner.
    """

    def __init__(
        self, *, take: Callable[[], Call | None], startable: Callable[[], int], ended: Callable[[], None]
    ) -> None:
        self._take = take
        self._startable = startable
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        # Runners that have not begun.
        self._created = 0
        # When runners leave the event loop to others; None before the first runner of a turn of the loop.
        self._turn_ends_at: float | None = None

    def start(self) -> None:
        """Start a runner if a call waits and none is about to begin."""
        if not self._created:
            self._create(1)

    def _create(self, count: int) -> None:
        for _ in range(min(count, self._startable() - self._created)):
            self._created += 1
            self._loop.create_task(self._run())

    def _end_turn(self) -> None:
        self._turn_ends_at = None

    async def _run(self) -> None:
        self._created -= 1
        runner = asyncio.current_task()
        assert runner is not None, "this is a coroutine of an asyncio task"
        try:
            await self._run_calls(runner)
        finally:
            self._ended()

    async def _run_calls(self, runner: asyncio.Task[Any]) -> None:
        if self._turn_ends_at is None:
            self._turn_ends_at = monotonic() + TURN_SECONDS
            self._loop.call_soon(self._end_turn)
        ends_at = self._turn_ends_at
        while monotonic() < ends_at and (taken := self._take()) is not None:
            call, leases = taken
            context, steps = copy_context(), call.__await__()
            future = context.run(next, steps, _ENDED)
            if future is not _ENDED:
                for lease in leases:
                    lease.job = runner
                self._create(2)
                await _rest(steps, context, future)
                return
            if runner.cancelling():
                # A handler has canceled its own asyncio task; the next one needs another.
                return


@coroutine
def _rest(steps: Generator[Any, Any, None], context: Context, future: Any) -> Generator[Any, Any, None]:
    """Run the rest of a call in its context; `future` is the one that it waits for."""
    step: Callable[..., Any]
    while future is not _ENDED:
        try:
            sent = yield future
        except BaseException as error:  # noqa: BLE001 - the handler gets it
            step, argument = steps.throw, error
        else:
            step, argument = steps.send, sent
        try:
            future = context.run(step, argument)
        except StopIteration:
            return
