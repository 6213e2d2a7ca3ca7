"""Rounds: everything that there is to say goes out in one request, and while it is away the next one gathers.

Nothing waits for a timer: a lone finish leaves at once, and under load a round carries hundreds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter

from fencepost_sdk.backoff import Backoff
from fencepost_sdk.errors import RpcError
from fencepost_sdk.finishes import Finish
from fencepost_sdk.leases import Alarm, Lease, Leases
from fencepost_sdk.polls import Ask, Slots
from fencepost_sdk.protocol import LOST, MOST_BYTES, MOST_CALLS, Fault, WorkerAnswer
from fencepost_sdk.retrying_connection import RetryingConnection

logger = logging.getLogger("fencepost_sdk")

REQUEST_SECONDS = 30.0
# A poll behind so many finishes saves a request. Behind more it is sent by itself: the server decides an array in its
# order, and the handlers would have nothing to do while it commits them.
MAX_FINISHES_WITH_POLL = 250


@dataclass(frozen=True, slots=True)
class Batch:
    """What one request carries. A task's notes stand before its finish, finishes before the poll that refills."""

    notes: list[tuple[Lease, bytes]]
    finishes: list[Finish]
    ask: Ask | None

    def calls(self) -> list[bytes]:
        """Return its calls, in order."""
        calls = [call for _, call in self.notes]
        calls += [finish.call for finish in self.finishes]
        if self.ask is not None:
            calls.append(self.ask.poll())
        return calls

    def __len__(self) -> int:
        return len(self.notes) + len(self.finishes) + (self.ask is not None)

    def part(self, start: int, stop: int) -> Batch:
        """Return the round that says the calls from `start` to before `stop`."""
        noted = len(self.notes)
        finishes = self.finishes[max(start - noted, 0) : max(stop - noted, 0)]
        return Batch(self.notes[start:stop], finishes, self.ask if start < len(self) <= stop else None)


class Outbox:
    """The outbox of a worker and the loop that empties it.

    `lost` is called with a lease that the server no longer knows as ours, `answered` with a poll and its answer,
    `stir` whenever a round has been answered.
    """

    def __init__(
        self,
        connection: RetryingConnection[WorkerAnswer],
        leases: Leases,
        slots: Slots,
        *,
        lost: Callable[[Lease], None],
        answered: Callable[[Ask, WorkerAnswer], None],
        stir: Callable[[], None],
    ) -> None:
        self.alarm = Alarm(self._wake_up, _late)
        self._connection = connection
        self._leases = leases
        self._slots = slots
        self._lost = lost
        self._answered = answered
        self._stir = stir
        self._notes: list[tuple[Lease, bytes]] = []
        self._finishes: list[Finish] = []
        self._most_calls = MOST_CALLS
        self._most_bytes = MOST_BYTES
        self._delayed = 0
        self._in_flight: Batch | None = None
        self.wake = asyncio.Event()

    @property
    def holds_poll(self) -> bool:
        """Whether the next round is to carry the poll, or must be gone before there is another one.

        Work is taken while finishes are still on the way, but not more than the slots hold: what a server that is
        away has not heard of would time out.
        """
        unacknowledged = self.unacknowledged
        return (
            bool(self._finishes) and unacknowledged <= MAX_FINISHES_WITH_POLL
        ) or unacknowledged > self._slots.concurrency

    @property
    def is_empty(self) -> bool:
        """Whether everything that was finished has been told and answered."""
        return not (self._finishes or self._notes or self._in_flight or self._delayed)

    @property
    def unacknowledged(self) -> int:
        """How many finishes have not been taken over by the server, as far as we know."""
        return (
            len(self._finishes) + self._delayed + (len(self._in_flight.finishes) if self._in_flight is not None else 0)
        )

    def finish(self, finish: Finish, notes: list[bytes]) -> None:
        """Tell the end of an execution, and before it what its handler had still to say."""
        if notes:
            self._notes.extend((finish.lease, note) for note in notes)
        self._finishes.append(finish)
        self.wake.set()

    async def run(self) -> None:
        """Send rounds until canceled."""
        loop = asyncio.get_running_loop()
        while True:
            await self.wake.wait()
            self.wake.clear()
            batch = self._next_batch(loop.time())
            self.alarm.set(self._leases.next_at)
            if batch is not None:
                self._in_flight = batch
                await self._deliver(batch)
                self._in_flight = None
                if self._finishes:
                    self.wake.set()
                self._stir()

    def _wake_up(self) -> None:
        self.wake.set()

    def _next_batch(self, now: float) -> Batch | None:
        notes = [*self._notes, *self._leases.speak(now)]
        if not notes and not self._finishes:
            return None
        # What is left over leaves with the next round, notes first: nothing of a task may overtake them.
        self._notes = notes[self._most_calls - 1 :]
        notes = notes[: self._most_calls - 1]
        finishes = [] if self._notes else self._take(self._most_calls - 1 - len(notes))
        if self._notes or self._finishes:
            self.wake.set()
        ask = self._slots.ask(now) if len(finishes) <= MAX_FINISHES_WITH_POLL and not self._finishes else None
        return Batch(notes, sorted(finishes, key=attrgetter("kind")), ask)

    def _take(self, most: int) -> list[Finish]:
        """Take as many finishes as fit into a request, at least one."""
        taken: list[Finish] = []
        size = 0
        for finish in self._finishes[:most]:
            size += len(finish.call) + 1
            if taken and size > self._most_bytes:
                break
            taken.append(finish)
        self._finishes = self._finishes[len(taken) :]
        return taken

    async def _deliver(self, batch: Batch) -> None:
        calls = batch.calls()
        try:
            answers, repeated = await self._connection.exchange(calls, REQUEST_SECONDS)
        except RpcError as refused:
            await self._deliver_in_parts(batch, refused, sum(map(len, calls)))
            return
        self._apply_answers(batch, answers, repeated=repeated)

    async def _deliver_in_parts(self, batch: Batch, refused: RpcError, size: int) -> None:
        """The server refuses the request as such: find the call that it means, so that the others come through."""
        count = len(batch)
        fault = Fault(refused.type, refused.message, refused.path)
        if (meant := 0 if count == 1 else fault.call) is not None and meant < count:
            await self._deliver_if_any(batch.part(0, meant))
            self._apply_answers(batch.part(meant, meant + 1), [WorkerAnswer(error=fault)], repeated=refused.repeated)
            await self._deliver_if_any(batch.part(meant + 1, count))
            return
        if refused.status == 413:
            self._most_bytes = max(size // 2, 1)
        elif refused.status == 400:
            self._most_calls = max(count // 2, 2)
        logger.info("a request of %d calls was refused: %s; sending it in halves", count, refused)
        for half in (batch.part(0, count // 2), batch.part(count // 2, count)):
            await self._deliver(half)

    async def _deliver_if_any(self, batch: Batch) -> None:
        if len(batch):
            await self._deliver(batch)

    def _apply_answers(self, batch: Batch, answers: list[WorkerAnswer], *, repeated: bool) -> None:
        noted = len(batch.notes)
        now = asyncio.get_running_loop().time()
        for (lease, call), answer in zip(batch.notes, answers, strict=False):
            if answer.error is not None and answer.error.type not in LOST:
                self._leases.refused(lease, call, answer.error, now)
            elif answer.error is not None or (answer.result is not None and answer.result.cancel_requested):
                self._lost(lease)
        for finish, answer in zip(batch.finishes, answers[noted:], strict=False):
            if answer.error is not None:
                finish.refused(answer.error, repeated=repeated, retry=self._retry)
        if batch.ask is not None:
            self._answered(batch.ask, answers[-1])
        self.alarm.set(self._leases.next_at)

    def _retry(self, finish: Finish) -> None:
        """Put a finish back, at once the first time and then after a growing delay."""
        if not finish.failures:
            self.finish(finish, [])
            return
        backoff = Backoff()
        backoff.failures = finish.failures
        self._delayed += 1
        asyncio.get_running_loop().call_later(backoff.next(), self._retry_now, finish)

    def _retry_now(self, finish: Finish) -> None:
        self._delayed -= 1
        self.finish(finish, [])


def _late(seconds: float) -> None:
    logger.warning(
        "heartbeats are %.1f s late: an async handler blocks the event loop; a plain `def` gets a thread of its own",
        seconds,
    )
