"""Waiting for work, on a connection of its own, so that the finishes of running handlers are not held up by it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from fencepost_sdk.leases import Alarm
from fencepost_sdk.outbox import REQUEST_SECONDS
from fencepost_sdk.polls import LONG_POLL_SECONDS, Ask, Slots
from fencepost_sdk.protocol import WorkerAnswer
from fencepost_sdk.retrying_connection import RetryingConnection


class LongPoll:
    """The loop that asks for work and waits for it, while the rounds tell what was done.

    `held` tells when it is not to ask: a round with little to say is about to ask as well, one request instead of
    two, or too much has been done that the server has not heard of.
    """

    def __init__(
        self,
        connection: RetryingConnection[WorkerAnswer],
        slots: Slots,
        *,
        held: Callable[[], bool],
        answered: Callable[[Ask, WorkerAnswer], None],
    ) -> None:
        self._connection = connection
        self._slots = slots
        self._held = held
        self._answered = answered
        self._ask: Ask | None = None
        self.wake = asyncio.Event()
        self._alarm = Alarm(self.wake.set)

    async def run(self) -> None:
        """Ask until canceled."""
        loop = asyncio.get_running_loop()
        self.wake.set()
        while True:
            await self.wake.wait()
            self.wake.clear()
            now = loop.time()
            if now < self._slots.not_before:
                # The last poll was refused; nothing else wakes us when its delay is over.
                self._alarm.set(self._slots.not_before)
            elif not self._held() and (ask := self._slots.ask(now)) is not None:
                self._ask = ask
                (answer,), _ = await self._connection.exchange([ask.long_poll()], LONG_POLL_SECONDS + 10.0)
                self._ask = None
                self._answered(ask, answer)
                self.wake.set()

    async def reclaim(self) -> None:
        """After `run` was canceled: find out what the poll on the way was given, and take it as its answer.

        A poll with a requestId gives nothing back when its client hangs up: a reply that was on the way just then, or
        a claim that was being committed, is a lease that nobody would know of until it times out. Polls without one
        would be given back, except for exactly those replies, and a cut connection would lose tasks on every ordinary
        day. Letting the poll run out would hold a shutdown for its whole wait. So the connection is cut, which takes
        the waiting poll off the server, and the same requestId is asked once more without waiting: the server lets
        one poll at a time work under a requestId, and answers with exactly what the first was given. If that was
        nothing, it may give out tasks now; whatever comes is released at once and its attempt is not counted.
        """
        ask, self._ask = self._ask or self._slots.unserved, None
        if ask is not None:
            await self._connection.reset()
            (answer,), _ = await self._connection.exchange([ask.poll()], REQUEST_SECONDS)
            self._answered(ask, answer)
