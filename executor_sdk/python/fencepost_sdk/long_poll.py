"""The long poll of a worker. It has a connection of its own, so that finishes do not wait behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from fencepost_sdk.outbox import REQUEST_SECONDS
from fencepost_sdk.polls import LONG_POLL_SECONDS, Capacity, Poll
from fencepost_sdk.protocol import WorkerAnswer
from fencepost_sdk.retrying_connection import RetryingConnection
from fencepost_sdk.timer import Timer


class LongPoll:
    """The loop that polls for work while the outbox reports what was done.

    `is_held` returns True when it must not poll: the outbox is about to carry the poll, which saves a request, or too
    many finishes are unacknowledged.
    """

    def __init__(
        self,
        connection: RetryingConnection[WorkerAnswer],
        capacity: Capacity,
        *,
        is_held: Callable[[], bool],
        answered: Callable[[Poll, WorkerAnswer], None],
    ) -> None:
        self._connection = connection
        self._capacity = capacity
        self._is_held = is_held
        self._answered = answered
        self._poll: Poll | None = None
        self.wake = asyncio.Event()
        self._timer = Timer(self.wake.set)

    async def run(self) -> None:
        """Poll until canceled."""
        loop = asyncio.get_running_loop()
        self.wake.set()
        while True:
            await self.wake.wait()
            self.wake.clear()
            now = loop.time()
            if now < self._capacity.not_before:
                # After a refused poll nothing else wakes this loop at the end of the delay.
                self._timer.set(self._capacity.not_before)
            elif not self._is_held() and (poll := self._capacity.next_poll(now)) is not None:
                self._poll = poll
                (answer,), _ = await self._connection.exchange([poll.encode_long_poll()], LONG_POLL_SECONDS + 10.0)
                self._poll = None
                self._answered(poll, answer)
                self.wake.set()

    async def reclaim(self) -> None:
        """Learn which tasks the poll in flight was given, and handle them as its answer. To be called after `run`.

        The server does not release the tasks of a poll with a requestId when its client disconnects. If the reply was
        in flight at that moment, or the claim was being committed, a lease exists that no process knows of until it
        times out. The tasks of a poll without a requestId are released, but not those of a reply in flight, so that
        every cut connection could lose tasks. Waiting for the end of the poll would delay a shutdown by up to its whole
        timeout. Therefore the connection is cut, which ends the wait on the server, and the same requestId is polled
        once more without a wait. The server serves one poll at a time under a requestId and repeats the answer of the
        first one. If that was empty, the server may claim tasks now; they are released at once, and their attempts are
        not counted.
        """
        poll, self._poll = self._poll or self._capacity.unanswered, None
        if poll is not None:
            await self._connection.reset()
            (answer,), _ = await self._connection.exchange([poll.encode_poll()], REQUEST_SECONDS)
            self._answered(poll, answer)
