"""One run of a worker: puts the parts together, starts them, and takes them down in order."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from fencepost_sdk.backoff import Backoff
from fencepost_sdk.calls import encode_call
from fencepost_sdk.deciders import Decider
from fencepost_sdk.executions import Executions
from fencepost_sdk.handlers import Handler
from fencepost_sdk.leases import Lease, Leases
from fencepost_sdk.long_poll import LongPoll
from fencepost_sdk.outbox import REQUEST_SECONDS, Outbox
from fencepost_sdk.polls import Capacity, Poll, PolledDefinitions
from fencepost_sdk.protocol import TRANSIENT, WorkerAnswer, decode_answers, decode_worker_answers
from fencepost_sdk.retrying_connection import FirstContact, RetryingConnection
from fencepost_sdk.transport import Endpoint
from fencepost_sdk.workflow_reader import WorkflowReader

logger = logging.getLogger("fencepost_sdk")

# The longest pauses between attempts to reach a server that is away. Who holds leases is back soon after the server
# is: it spares them for ten seconds after an outage. Who only asks for work takes its time.
OUTBOX_DELAY = 5.0
POLL_DELAY = 15.0
# The longest that the server's wish (`Retry-After`) is followed: what was done must not wait for an hour because of it.
OUTBOX_RETRY_AFTER = 5.0
POLL_RETRY_AFTER = 60.0
# The time for canceled handlers to clean up, and for the last request to arrive, in seconds. With the default of
# `drain_timeout` and the two seconds of `_take_down` their sum stays below 30 s, after which Kubernetes kills a process
# that it has asked to stop.
CLEAN_UP = 2.0
LAST_WORDS = 4.0
HURRIED = 1.0


class Plan(NamedTuple):
    """What a session works on: all that a Worker was told."""

    endpoint: Endpoint
    name: str
    handlers: Mapping[str, Handler]
    documents: Sequence[Mapping[str, Any]]
    concurrency: int
    prefetch: int
    drain_seconds: float


def _polled_definitions(handlers: Mapping[str, Handler]) -> PolledDefinitions:
    deciders = {name for name, handler in handlers.items() if isinstance(handler, Decider)}
    return PolledDefinitions(sorted(handlers.keys() - deciders), sorted(deciders))


def _abbreviated(handlers: Mapping[str, Handler]) -> str:
    names = sorted(handlers)
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


class Session:
    """The run of a worker, from `run` to the end of its drain."""

    def __init__(self, plan: Plan) -> None:
        names = _abbreviated(plan.handlers)
        contact = FirstContact(f"{plan.name} is connected to {plan.endpoint.url} and works on {names}")
        self._plan = plan
        self._leases = Leases()
        self._capacity = Capacity(_polled_definitions(plan.handlers), plan.name, plan.concurrency, plan.prefetch)
        self._outbox_connection = RetryingConnection(
            plan.endpoint,
            "outbox",
            contact,
            OUTBOX_DELAY,
            decode_worker_answers,
            longest_retry_after=OUTBOX_RETRY_AFTER,
        )
        self._poll_connection = RetryingConnection(
            plan.endpoint, "poll", contact, POLL_DELAY, decode_worker_answers, longest_retry_after=POLL_RETRY_AFTER
        )
        self._reader_connection = RetryingConnection(
            plan.endpoint, "reader", contact, OUTBOX_DELAY, decode_answers, longest_retry_after=OUTBOX_RETRY_AFTER
        )
        self._connections = (self._outbox_connection, self._poll_connection, self._reader_connection)
        self._reader = WorkflowReader(self._reader_connection)
        self._outbox = Outbox(
            self._outbox_connection,
            self._leases,
            self._capacity,
            lost=self._lose,
            answered=self._answered,
            wake=self._wake,
        )
        self._long_poll = LongPoll(
            self._poll_connection, self._capacity, is_held=lambda: self._outbox.holds_poll, answered=self._answered
        )
        self._executions = Executions(
            plan.handlers,
            self._leases,
            self._capacity,
            self._reader,
            finish=self._outbox.finish,
            speak=self._speak,
            wake=self._wake,
        )
        self._changed = asyncio.Event()
        self._stopping = asyncio.Event()
        self._hurried = False

    def stop(self, *, at_once: bool = False) -> None:
        """Begin the drain, or cut it short."""
        self._hurried = self._hurried or at_once
        self._stopping.set()
        self._changed.set()

    async def run(self) -> None:
        """Work until stopped; raise RpcError when the server refuses this worker from the start."""
        polling = asyncio.create_task(self._declare_and_poll())
        sending = asyncio.create_task(self._outbox.run())
        looking = asyncio.create_task(self._reader.run())
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            loops = (polling, sending, looking)
            await asyncio.wait((*loops, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not sending.done():
                # When the server wants to hear no more polls, it may still want the results of what runs.
                await self._drain(polling)
            for loop in loops:
                if loop.done() and not loop.cancelled():
                    loop.result()
        finally:
            await self._take_down(polling, sending, looking, stopping)

    async def _declare_and_poll(self) -> None:
        calls = [encode_call("awf.definition/put", document) for document in self._plan.documents]
        backoff = Backoff()
        while calls:
            answers, _ = await self._poll_connection.exchange(calls, REQUEST_SECONDS)
            faults = [answer.error for answer in answers if answer.error is not None]
            if not faults:
                break
            if faults[0].type not in TRANSIENT:
                raise faults[0].as_error()
            await asyncio.sleep(backoff.next())
        await self._long_poll.run()

    async def _drain(self, polling: asyncio.Task[None]) -> None:
        """Take no more, let what runs come to its end or hand it back, and tell the last of it."""
        logger.info("%s drains: %d tasks run", self._plan.name, len(self._leases))
        self._capacity.closed = True
        self._executions.give_back_waiting()
        polling.cancel()
        await asyncio.wait((polling,))
        reclaiming = asyncio.create_task(self._long_poll.reclaim())
        reclaiming.add_done_callback(lambda _: self._wake())
        try:
            await self._until(lambda: not self._leases, self._plan.drain_seconds, 0.0)
            await self._hand_back()
            for connection in (self._outbox_connection, self._poll_connection):
                connection.hurry()
            done = await self._until(lambda: self._outbox.is_empty and reclaiming.done(), LAST_WORDS, HURRIED)
        finally:
            reclaiming.cancel()
            await asyncio.gather(reclaiming, return_exceptions=True)
        if not done:
            logger.error("%s leaves with %d finishes unacknowledged", self._plan.name, self._outbox.unacknowledged)

    async def _hand_back(self) -> None:
        left = [lease for lease in self._leases.all() if not lease.lost]
        for lease in left:
            logger.warning("task %s is handed back, its handler did not end in time", lease.id)
            self._lose(lease)
        # Only then are they given back: a handler that still cleans up must not meet its successor.
        await self._until(lambda: not any(lease.handler.is_async for lease in self._leases.all()), CLEAN_UP, HURRIED)
        self._executions.give_back(left)

    async def _until(self, reached: Callable[[], bool], seconds: float, hurried: float) -> bool:
        """Wait until something is reached, at most `seconds`, or `hurried` once there is a hurry."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        while not reached():
            left = begun + (min(seconds, hurried) if self._hurried else seconds) - loop.time()
            if left <= 0:
                return False
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), left)
            except TimeoutError:
                continue
        return True

    async def _take_down(self, *loops: asyncio.Task[Any]) -> None:
        self._outbox.alarm.cancel()
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*(connection.close() for connection in self._connections))
        await self._executions.abandon(HURRIED)
        await asyncio.gather(*loops, return_exceptions=True)

    def _answered(self, poll: Poll, answer: WorkerAnswer) -> None:
        if answer.error is not None:
            may_help = self._capacity.refused(answer.error, asyncio.get_running_loop().time())
            if not (may_help or self._capacity.served):
                raise answer.error.as_error()
        elif answer.result is not None:
            self._capacity.answered()
            self._executions.take(answer.result.resources)
            if self._leases.next_at < math.inf:
                self._outbox.alarm.set(self._leases.next_at)
        self._wake()

    def _lose(self, lease: Lease) -> None:
        self._executions.lose(lease)

    def _speak(self, lease: Lease) -> None:
        self._leases.note(lease)
        self._outbox.alarm.set(self._leases.next_at)

    def _wake(self) -> None:
        self._long_poll.wake.set()
        self._changed.set()
