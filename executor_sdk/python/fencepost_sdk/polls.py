"""Asking for work: how much, under which requestId, and what a refusal changes."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from typing import Any, NamedTuple

from fencepost_sdk.backoff import Backoff
from fencepost_sdk.calls import encode_call
from fencepost_sdk.protocol import LONG_POLL, POLL, TRANSIENT, Fault

logger = logging.getLogger("fencepost_sdk")

# Below the 60 s after which common proxies give up on a silent upstream.
LONG_POLL_SECONDS = 50.0


class Wanted(NamedTuple):
    """What to ask for: tasks of these definitions, and decisions about workflows of those."""

    tasks: Sequence[str]
    workflows: Sequence[str] = ()

    def asked(self) -> dict[str, list[str]]:
        """Return the members of a poll that say it; one without names stays away."""
        named = {"taskDefinitions": list(self.tasks), "workflowDefinitions": list(self.workflows)}
        return {member: names for member, names in named.items() if names}


class Ask:
    """One poll: the same requestId however often and by whichever method it is sent."""

    __slots__ = ("_params", "size")

    def __init__(self, definitions: Wanted, size: int, worker: str) -> None:
        self.size = size
        self._params: dict[str, Any] = {
            **definitions.asked(),
            "maxBatchSize": size,
            "requestId": str(uuid.uuid4()),
            "start": True,
            "worker": worker,
        }

    def poll(self) -> bytes:
        """Return the call that answers at once."""
        return encode_call(POLL, self._params)

    def long_poll(self) -> bytes:
        """Return the call that waits for work."""
        return encode_call(LONG_POLL, {**self._params, "timeout": round(LONG_POLL_SECONDS * 1000)})


class Slots:
    """How many more tasks this worker can take, and the one poll that may be on the way for them.

    One poll at a time: what it may bring is set aside, so that no more than `concurrency` run and `prefetch` wait.
    """

    def __init__(self, definitions: Wanted, worker: str, concurrency: int, prefetch: int = 0) -> None:
        self._definitions = definitions
        self._worker = worker
        self._backoff = Backoff()
        self.concurrency = concurrency
        self.prefetch = prefetch
        self.running = 0
        self.waiting = 0
        self.asked: Ask | None = None
        # A poll that the server failed to answer; it may have been given something, so it is the next one to be sent.
        self.unserved: Ask | None = None
        self.not_before = 0.0
        # Whether a poll has ever been served: one that is refused before that can never work.
        self.served = False
        self.closed = False
        # Nothing is asked for while a task runs, or waits to run, that runs alone.
        self.paused = False
        # The server may have a smaller limit for one poll; found out when it says so.
        self._most = concurrency + prefetch

    def ask(self, now: float) -> Ask | None:
        """Return the poll to send now, which is on the way from then on, or None."""
        free = min(self.concurrency + self.prefetch - self.running - self.waiting, self._most)
        if self.closed or self.paused or self.asked is not None or free <= 0 or now < self.not_before:
            return None
        self.asked = self.unserved or Ask(self._definitions, free, self._worker)
        self.unserved = None
        return self.asked

    def answered(self) -> None:
        """Note that the poll on the way has been answered."""
        self.served = True
        self.asked = None
        self._backoff.failures = 0

    def refused(self, fault: Fault, now: float) -> bool:
        """Note that it was refused, and let the next one wait or be smaller; return whether that one may be served."""
        asked, self.asked = self.asked, None
        if fault.type == "invalid-params" and "maxBatchSize" in (fault.path or "") and asked and asked.size > 1:
            self._most = asked.size // 2
            logger.info("the server refuses to hand out %d tasks at once, asking for %d", asked.size, self._most)
            return True
        delay = self._backoff.next()
        self.not_before = now + delay
        is_transient = fault.type in TRANSIENT
        self.unserved = asked if is_transient else None
        if not (is_transient or self.served):
            return False
        level = logging.WARNING if is_transient else logging.ERROR
        logger.log(level, "asking for work was refused: %s: %s; again in %.1f s", fault.type, fault.message, delay)
        return is_transient
