"""Polls for work: how many tasks to ask for, under which requestId, and what changes after a refusal."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from typing import Any, NamedTuple

from fencepost_sdk.backoff import Backoff
from fencepost_sdk.encoding import encode_call
from fencepost_sdk.protocol import CLAIMED_FIELDS, LONG_POLL, POLL, TRANSIENT, Fault

logger = logging.getLogger("fencepost_sdk")

# Less than the 60 s after which common proxies cut a silent request.
LONG_POLL_SECONDS = 50.0


class PolledDefinitions(NamedTuple):
    """The definitions that a worker polls for: those of tasks, and those of workflows with decisions to make.

    `whole` says whether a handler wants a context, which shows the whole task.
    """

    tasks: Sequence[str]
    workflows: Sequence[str] = ()
    whole: bool = False

    def params(self) -> dict[str, list[str]]:
        """Return the members of a poll's params that name them; a member without names is left out."""
        members = {"taskDefinitions": list(self.tasks), "workflowDefinitions": list(self.workflows)}
        fields = {} if self.whole else {"fields": CLAIMED_FIELDS}
        return {member: names for member, names in members.items() if names} | fields


class Poll:
    """One poll, which keeps its requestId however often it is sent, as a poll or as a long poll."""

    __slots__ = ("_params", "size")

    def __init__(self, definitions: PolledDefinitions, size: int, worker: str) -> None:
        self.size = size
        self._params: dict[str, Any] = {
            **definitions.params(),
            "maxBatchSize": size,
            "requestId": str(uuid.uuid4()),
            "start": True,
            "worker": worker,
        }

    def encode_poll(self) -> bytes:
        """Return the call `awf.task/poll`, which is answered at once."""
        return encode_call(POLL, self._params)

    def encode_long_poll(self) -> bytes:
        """Return the call `awf.task/long-poll`, which waits up to 50 seconds for a task."""
        return encode_call(LONG_POLL, {**self._params, "timeout": round(LONG_POLL_SECONDS * 1000)})


class Capacity:
    """How many more tasks a worker can take, and the one poll that may be in flight for them.

    There is one poll at a time, and its tasks count as taken. So at most `concurrency` tasks run and `prefetch` wait.
    """

    def __init__(self, definitions: PolledDefinitions, worker: str, concurrency: int, prefetch: int = 0) -> None:
        self._definitions = definitions
        self._worker = worker
        self._backoff = Backoff()
        self.concurrency = concurrency
        self.prefetch = prefetch
        self.running = 0
        self.waiting = 0
        self.in_flight: Poll | None = None
        # A poll that the server failed to answer. Its requestId may hold leases, so it is the next one to be sent.
        self.unanswered: Poll | None = None
        self.not_before = 0.0
        # Whether a poll has ever been served. A refusal before that is a mistake in the worker's settings.
        self.served = False
        self.closed = False
        # While an isolated task runs or is next to run, no poll is sent and no other task starts.
        self.paused = False
        # Halved when the server refuses it: its limit for one poll may be smaller.
        self._max_batch_size = concurrency + prefetch

    def next_poll(self, now: float) -> Poll | None:
        """Return the poll to send now, which counts as in flight from then on, or None if there is nothing to ask."""
        free = min(self.concurrency + self.prefetch - self.running - self.waiting, self._max_batch_size)
        if self.closed or self.paused or self.in_flight is not None or free <= 0 or now < self.not_before:
            return None
        self.in_flight = self.unanswered or Poll(self._definitions, free, self._worker)
        self.unanswered = None
        return self.in_flight

    def answered(self) -> None:
        """Record that the poll in flight was answered."""
        self.served = True
        self.in_flight = None
        self._backoff.failures = 0

    def refused(self, fault: Fault, now: float) -> bool:
        """Record that the poll in flight was refused; return whether the next one, later or smaller, may be served.

        Logs the refusal, except for the first poll of a worker that can never be served.
        """
        refused, self.in_flight = self.in_flight, None
        if fault.type == "invalid-params" and "maxBatchSize" in (fault.path or "") and refused and refused.size > 1:
            self._max_batch_size = refused.size // 2
            logger.info("the server refuses a poll for %d tasks, polling for %d", refused.size, self._max_batch_size)
            return True
        delay = self._backoff.next()
        self.not_before = now + delay
        is_transient = fault.type in TRANSIENT
        self.unanswered = refused if is_transient else None
        if not (is_transient or self.served):
            return False
        level = logging.WARNING if is_transient else logging.ERROR
        logger.log(level, "a poll was refused: %s: %s; retrying in %.1f s", fault.type, fault.message, delay)
        return is_transient
