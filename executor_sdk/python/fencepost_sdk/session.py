"""One run of a worker: builds its parts, starts them, and stops them in order."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from fencepost_sdk.backoff import Backoff
from fencepost_sdk.deciders import Decider
from fencepost_sdk.encoding import encode_call
from fencepost_sdk.executions import Executions
from fencepost_sdk.handlers import Handler
from fencepost_sdk.leases import Lease, Leases
from fencepost_sdk.long_poll import LongPoll
from fencepost_sdk.outbox import REQUEST_SECONDS, Outbox
from fencepost_sdk.polls import Capacity, Poll, PolledDefinitions
from fencepost_sdk.protocol import TRANSIENT, WorkerAnswer, decode_answers, decode_claims, decode_worker_answers
from fencepost_sdk.retrying_connection import FirstContact, RetryingConnection
from fencepost_sdk.transport import Endpoint
from fencepost_sdk.workflow_reader import WorkflowReader

logger = logging.getLogger("fencepost_sdk")

# Longest pauses between attempts to reach the server, in seconds. Finishes and heartbeats are retried often, because
# the server spares leases only for ten seconds after an outage; polls for work can wait longer.
OUTBOX_DELAY = 5.0
POLL_DELAY = 15.0
# Longest `Retry-After` that is followed, in seconds: a finish must not wait for an hour.
OUTBOX_RETRY_AFTER = 5.0
POLL_RETRY_AFTER = 60.0
# Time for canceled handlers to clean up, and for the last request to arrive, in seconds. Their sum with the default
# `drain_timeout` and the two seconds of `_shut_down` is below 30 s, after which Kubernetes kills a terminating process.
CLEAN_UP_SECONDS = 2.0
LAST_REQUEST_SECONDS = 4.0
# Either of them after a second signal.
HURRIED_SECONDS = 1.0


class WorkerConfig(NamedTuple):
    """The configuration of a worker's run."""

    endpoint: Endpoint
    name: str
    handlers: Mapping[str, Handler]
    documents: Sequence[Mapping[str, Any]]
    concurrency: int
    prefetch: int
    drain_seconds: float


def _polled_definitions(handlers: Mapping[str, Handler]) -> PolledDefinitions:
    deciders = {name for name, handler in handlers.items() if isinstance(handler, Decider)}
    return PolledDefinitions(sorted(handlers.keys() - deciders), sorted(deciders), _want_contexts(handlers))


def _want_contexts(handlers: Mapping[str, Handler]) -> bool:
    return any(handler.wants_context for handler in handlers.values())


def _abbreviated(handlers: Mapping[str, Handler]) -> str:
    names = sorted(handlers)
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


class Session:
    """The run of a worker, from its start to the end of its drain."""

    def __init__(self, config: WorkerConfig) -> None:
        names = _abbreviated(config.handlers)
        contact = FirstContact(f"{config.name} is connected to {config.endpoint.url} and works on {names}")
        self._config = config
        self._leases = Leases()
        self._capacity = Capacity(
            _polled_definitions(config.handlers), config.name, config.concurrency, config.prefetch
        )
        # Only a context shows the whole task.
        decode = decode_worker_answers if _want_contexts(config.handlers) else decode_claims
        outbox = partial(RetryingConnection, longest_delay=OUTBOX_DELAY, longest_retry_after=OUTBOX_RETRY_AFTER)
        poll = partial(RetryingConnection, longest_delay=POLL_DELAY, longest_retry_after=POLL_RETRY_AFTER)
        self._outbox_connection = outbox(config.endpoint, "outbox", contact, decode=decode)
        self._poll_connection = poll(config.endpoint, "poll", contact, decode=decode)
        self._reader_connection = outbox(config.endpoint, "reader", contact, decode=decode_answers)
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
            config.handlers,
            self._leases,
            self._capacity,
            self._reader,
            finish=self._outbox.finish,
            announce=self._announce,
            wake=self._wake,
        )
        self._changed = asyncio.Event()
        self._stopping = asyncio.Event()
        self._hurried = False

    def stop(self, *, at_once: bool = False) -> None:
        """Start the drain; with `at_once` shorten it."""
        self._hurried = self._hurried or at_once
        self._stopping.set()
        self._changed.set()

    async def run(self) -> None:
        """Work until `stop`; raises RpcError or ConnectionFailed when the server refuses this worker from the start."""
        polling = asyncio.create_task(self._declare_and_poll())
        sending = asyncio.create_task(self._outbox.run())
        reading = asyncio.create_task(self._reader.run())
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            loops = (polling, sending, reading)
            await asyncio.wait((*loops, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not sending.done():
                # A server that refuses polls may still take the finishes of running handlers.
                await self._drain(polling)
            for loop in loops:
                if loop.done() and not loop.cancelled():
                    loop.result()
        finally:
            await self._shut_down(polling, sending, reading, stopping)

    async def _declare_and_poll(self) -> None:
        calls = [encode_call("awf.definition/put", document) for document in self._config.documents]
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
        """Stop polling, wait for the handlers or release their tasks, and send the last finishes."""
        logger.info("%s drains: %d tasks are running", self._config.name, len(self._leases))
        self._capacity.closed = True
        self._executions.release_waiting()
        polling.cancel()
        await asyncio.wait((polling,))
        reclaiming = asyncio.create_task(self._long_poll.reclaim())
        reclaiming.add_done_callback(lambda _: self._wake())
        try:
            await self._until(lambda: not self._leases, self._config.drain_seconds, 0.0)
            await self._release_running()
            for connection in (self._outbox_connection, self._poll_connection):
                connection.hurry()
            done = await self._until(
                lambda: self._outbox.is_empty and reclaiming.done(), LAST_REQUEST_SECONDS, HURRIED_SECONDS
            )
        finally:
            reclaiming.cancel()
            await asyncio.gather(reclaiming, return_exceptions=True)
        if not done:
            logger.error("%s stops with %d unacknowledged finishes", self._config.name, self._outbox.unacknowledged)

    async def _release_running(self) -> None:
        left = [lease for lease in self._leases.all() if not lease.lost]
        for lease in left:
            logger.warning("task %s is released: its handler did not end in time", lease.id)
            self._lose(lease)
        # After their clean-up, which must not run beside the next attempt.
        await self._until(
            lambda: not any(lease.handler.is_async for lease in self._leases.all()), CLEAN_UP_SECONDS, HURRIED_SECONDS
        )
        self._executions.release_all(left)

    async def _until(self, reached: Callable[[], bool], seconds: float, hurried: float) -> bool:
        """Wait until `reached` returns True and return True; return False after `seconds`, or `hurried` if at once."""
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

    async def _shut_down(self, *loops: asyncio.Task[Any]) -> None:
        self._outbox.timer.cancel()
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*(connection.close() for connection in self._connections))
        await self._executions.abandon(HURRIED_SECONDS)
        await asyncio.gather(*loops, return_exceptions=True)

    def _answered(self, poll: Poll, answer: WorkerAnswer) -> None:
        if answer.error is not None:
            may_help = self._capacity.refused(answer.error, asyncio.get_running_loop().time())
            if not (may_help or self._capacity.served):
                raise answer.error.as_error()
        elif answer.result is not None:
            self._capacity.answered()
            self._executions.accept(answer.result.resources)
            if self._leases.next_due_at < math.inf:
                self._outbox.timer.set(self._leases.next_due_at)
        self._wake()

    def _lose(self, lease: Lease) -> None:
        self._executions.lose_lease(lease)

    def _announce(self, lease: Lease) -> None:
        self._leases.mark_pending(lease)
        self._outbox.timer.set(self._leases.next_due_at)

    def _wake(self) -> None:
        self._long_poll.wake.set()
        self._changed.set()
