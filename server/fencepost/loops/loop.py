"""The loop behind all background work: it calls a step again and again, after the pauses that the step returns."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from fencepost.errors import UNAVAILABLE, Refusal, StartRefused
from fencepost.store.connection_threads import DatabaseAway
from fencepost.telemetry import Event, emit

Step = Callable[[], Awaitable[float]]

_AFTER_FAILURE = 1.0
# The seconds between two reports of the same failure.
_TELL_AGAIN = 60.0


class Loop:
    """Calls `step` again and again, each time after the seconds that it returned, or sooner when it is nudged.

    Infinity means only when it is nudged. A step that raises is reported and called again: no failure may end a loop.
    The connection monitor reports an unavailable database, once for all loops.
    """

    def __init__(self, name: str, step: Step) -> None:
        self.name = name
        self._step = step
        self._nudged = asyncio.Event()
        self._wake_at = float("inf")
        self._timer: asyncio.TimerHandle | None = None
        self._told: tuple[str, float] | None = None

    def nudge(self, seconds: float = 0.0) -> None:
        """Call the step at the latest in `seconds`."""
        loop = asyncio.get_running_loop()
        at = loop.time() + max(seconds, 0.0)
        if at < self._wake_at:
            self._arm(at)

    async def run(self) -> None:
        """Run until cancelled."""
        while True:
            self._nudged.clear()
            self._wake_at = float("inf")
            try:
                delay = await self._step()
                self._told = None
            except DatabaseAway:
                delay = _AFTER_FAILURE
            except Exception as error:  # noqa: BLE001 the next round runs after any bug
                self._tell(error)
                delay = _AFTER_FAILURE
            self.nudge(delay)
            await self._nudged.wait()

    def _tell(self, error: Exception) -> None:
        """Report a failure, unless it is the one that was reported just now."""
        what, now = f"{type(error).__name__}: {error}", asyncio.get_running_loop().time()
        if self._told is not None and self._told[0] == what and now < self._told[1] + _TELL_AGAIN:
            return
        self._told = (what, now)
        if isinstance(error, StartRefused) or (isinstance(error, Refusal) and error.kind is UNAVAILABLE):
            emit(Event.LOOP_DELAYED, loop=self.name, reason=error)
        else:
            emit(Event.LOOP_FAILED, error=error, loop=self.name)

    def _arm(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._wake_at = at
        self._timer = asyncio.get_running_loop().call_at(at, self._nudged.set)
