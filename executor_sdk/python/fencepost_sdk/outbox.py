"""The outbox of a worker: its notifications, finishes and polls leave in batches, one request at a time.

While a request is in flight, the next batch gathers. There is no timer: a lone finish leaves at once, and under load a
batch has hundreds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter

from fencepost_sdk.backoff import Backoff
from fencepost_sdk.encoding import encode_success_many
from fencepost_sdk.errors import RpcError
from fencepost_sdk.finishes import Finish, Kind
from fencepost_sdk.leases import Lease, Leases
from fencepost_sdk.polls import Capacity, Poll
from fencepost_sdk.protocol import LEASE_LOST, MAX_BYTES, MAX_CALLS, Fault, WorkerAnswer
from fencepost_sdk.retrying_connection import RetryingConnection
from fencepost_sdk.timer import Timer

logger = logging.getLogger("fencepost_sdk")

REQUEST_SECONDS = 30.0
# A poll behind up to so many finishes saves a request. Behind more it is sent by itself: the server processes the calls
# of a request in order, and the handlers would be idle while it commits the finishes.
MAX_FINISHES_WITH_POLL = 250


@dataclass(frozen=True, slots=True)
class Batch:
    """The calls of one request: notifications, then finishes, then the poll that refills the worker.

    The notifications of a task must come before its finish, which ends its lease.
    """

    notifications: list[tuple[Lease, bytes]]
    finishes: list[Finish]
    poll: Poll | None

    def calls(self) -> list[bytes]:
        """Return its calls, in order; the successes share one."""
        calls = [call for _, call in self.notifications]
        together = self._successes
        if together:
            leases = [finish.lease for finish in self.finishes[:together]]
            contents = [finish.content for finish in self.finishes[:together]]
            ids, exec_ids = [lease.id for lease in leases], [lease.exec_id for lease in leases]
            calls.append(encode_success_many(ids, exec_ids, contents))
        calls += [finish.encode() for finish in self.finishes[together:]]
        if self.poll is not None:
            calls.append(self.poll.encode_poll())
        return calls

    def outcomes(self, answers: Sequence[WorkerAnswer]) -> list[WorkerAnswer]:
        """Return one answer for each notification, finish and poll."""
        start, together = len(self.notifications), self._successes
        if not together:
            return list(answers)
        shared = answers[start]
        each = [WorkerAnswer(error=shared.error)] * together
        for item in shared.result.refused if shared.result is not None else ():
            each[item.index] = WorkerAnswer(error=item.error)
        return [*answers[:start], *each, *answers[start + 1 :]]

    def index_of(self, fault: Fault) -> int | None:
        """Return the index of the notification, finish or poll that a fault of the whole request names."""
        index, start, together = fault.call_index, len(self.notifications), self._successes
        if index is None or not together or index < start:
            return index
        if index > start:
            return index + together - 1
        return None if fault.item_index is None else start + fault.item_index

    @property
    def _successes(self) -> int:
        """The number of finishes at the start that share a call; a lone one is a call of its own."""
        count = sum(finish.kind is Kind.SUCCESS for finish in self.finishes)
        return count if count > 1 else 0

    def __len__(self) -> int:
        return len(self.notifications) + len(self.finishes) + (self.poll is not None)

    def part(self, start: int, stop: int) -> Batch:
        """Return a batch of the calls from index `start` to before `stop`."""
        count = len(self.notifications)
        finishes = self.finishes[max(start - count, 0) : max(stop - count, 0)]
        return Batch(self.notifications[start:stop], finishes, self.poll if start < len(self) <= stop else None)


class Outbox:
    """The queue of calls that a worker has to send, and the loop that sends them.

    `lost` is called with each lease that the worker has lost, `answered` with a poll and its answer, `wake` after each
    answered batch.
    """

    def __init__(
        self,
        connection: RetryingConnection[WorkerAnswer],
        leases: Leases,
        capacity: Capacity,
        *,
        lost: Callable[[Lease], None],
        answered: Callable[[Poll, WorkerAnswer], None],
        wake: Callable[[], None],
    ) -> None:
        self._pending = asyncio.Event()
        self.timer = Timer(self._pending.set, _late)
        self._connection = connection
        self._leases = leases
        self._capacity = capacity
        self._lost = lost
        self._answered = answered
        self._wake = wake
        self._notifications: list[tuple[Lease, bytes]] = []
        self._finishes: list[Finish] = []
        self._max_calls = MAX_CALLS
        self._max_bytes = MAX_BYTES
        self._delayed = 0
        self._in_flight: Batch | None = None

    @property
    def holds_poll(self) -> bool:
        """Whether the long poll must wait: the next batch carries the poll, or too many finishes are unacknowledged.

        A worker takes more work before its finishes are acknowledged, but with more than `concurrency` of them it
        stops: while the server is unreachable their leases time out.
        """
        count = self.unacknowledged
        return (bool(self._finishes) and count <= MAX_FINISHES_WITH_POLL) or count > self._capacity.concurrency

    @property
    def is_empty(self) -> bool:
        """Whether every finish and notification was sent and answered."""
        return not (self._finishes or self._notifications or self._in_flight or self._delayed)

    @property
    def unacknowledged(self) -> int:
        """How many finishes the server has not acknowledged."""
        in_flight = 0 if self._in_flight is None else len(self._in_flight.finishes)
        return len(self._finishes) + self._delayed + in_flight

    def finish(self, finish: Finish, notifications: list[bytes]) -> None:
        """Queue the finish of an execution behind its last notifications, which are encoded calls."""
        if notifications:
            self._notifications.extend((finish.lease, call) for call in notifications)
        self._finishes.append(finish)
        self._pending.set()

    async def run(self) -> None:
        """Send batches until canceled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._pending.wait()
            self._pending.clear()
            batch = self._next_batch(loop.time())
            self.timer.set(self._leases.next_due_at)
            if batch is not None:
                self._in_flight = batch
                await self._deliver(batch)
                self._in_flight = None
                if self._finishes:
                    self._pending.set()
                self._wake()

    def _next_batch(self, now: float) -> Batch | None:
        notifications = [*self._notifications, *self._leases.due_notifications(now)]
        if not notifications and not self._finishes:
            return None
        # The rest leaves with the next batch, notifications first: no finish may overtake those of its task.
        self._notifications = notifications[self._max_calls - 1 :]
        notifications = notifications[: self._max_calls - 1]
        finishes = [] if self._notifications else self._take(self._max_calls - 1 - len(notifications))
        if self._notifications or self._finishes:
            self._pending.set()
        poll = self._capacity.next_poll(now) if len(finishes) <= MAX_FINISHES_WITH_POLL and not self._finishes else None
        return Batch(notifications, sorted(finishes, key=attrgetter("kind")), poll)

    def _take(self, most: int) -> list[Finish]:
        """Remove and return as many finishes as fit into a request, at least one."""
        taken: list[Finish] = []
        size = 0
        for finish in self._finishes[:most]:
            size += finish.size
            if taken and size > self._max_bytes:
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
        self._apply_outcomes(batch, batch.outcomes(answers), repeated=repeated)

    async def _deliver_in_parts(self, batch: Batch, refused: RpcError, size: int) -> None:
        """Send a refused request again in parts, so that only the call that the server refuses is lost.

        Either the error names the call, or halves are sent until the one at fault is alone.
        """
        count = len(batch)
        fault = Fault(refused.type, refused.message, refused.path)
        if (refused_at := 0 if count == 1 else batch.index_of(fault)) is not None and refused_at < count:
            await self._deliver_if_any(batch.part(0, refused_at))
            one = batch.part(refused_at, refused_at + 1)
            self._apply_outcomes(one, [WorkerAnswer(error=fault)], repeated=refused.repeated)
            await self._deliver_if_any(batch.part(refused_at + 1, count))
            return
        if refused.status == 413:
            self._max_bytes = max(size // 2, 1)
        elif refused.status == 400:
            self._max_calls = max(count // 2, 2)
        logger.info("a request of %d calls was refused: %s; sending halves", count, refused)
        for half in (batch.part(0, count // 2), batch.part(count // 2, count)):
            await self._deliver(half)

    async def _deliver_if_any(self, batch: Batch) -> None:
        if len(batch):
            await self._deliver(batch)

    def _apply_outcomes(self, batch: Batch, answers: list[WorkerAnswer], *, repeated: bool) -> None:
        count = len(batch.notifications)
        now = asyncio.get_running_loop().time()
        for (lease, call), answer in zip(batch.notifications, answers, strict=False):
            if answer.error is not None and answer.error.type not in LEASE_LOST:
                self._leases.refused(lease, call, answer.error, now)
            elif answer.error is not None or (answer.result is not None and answer.result.cancel_requested):
                self._lost(lease)
        for finish, answer in zip(batch.finishes, answers[count:], strict=False):
            if answer.error is not None:
                finish.refused(answer.error, repeated=repeated, retry=self._retry)
        if batch.poll is not None:
            self._answered(batch.poll, answers[-1])
        self.timer.set(self._leases.next_due_at)

    def _retry(self, finish: Finish) -> None:
        """Queue a finish again: at once the first time, then after a growing delay."""
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
        "heartbeats are %.1f s late: an async handler blocks the event loop; a `def` handler runs in a thread",
        seconds,
    )
