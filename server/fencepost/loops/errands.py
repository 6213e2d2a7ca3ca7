"""Errands: works on the built-in tasks of one definition that need somebody to work on them, as any worker does.

Its polls wait in the dispatcher, where they cost no query, and its tasks are under leases that it renews, so that any
number of servers may run it and the death of one is that of a worker. Each definition has places of its own: a clean-up
that takes an hour must not hold up a call.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

import msgspec

from fencepost.domain.builtin import ENGINE
from fencepost.domain.task import HeldTask, Task
from fencepost.engine.builtin.alone import Alone
from fencepost.engine.builtin.errand import Errand, Handler, Lost
from fencepost.engine.engine import Engine
from fencepost.engine.leases import Lease
from fencepost.engine.polls import Wanted
from fencepost.errors import INVALID_ACTION, INVALID_PARAMS, UNAVAILABLE, Refusal
from fencepost.notation import json
from fencepost.notation.text import BadText
from fencepost.wire.faults import Fault, bug, fault_of

_AT_ONCE = 4
_POLL_SECONDS = 600.0
_AFTER_REFUSAL = 1.0
# How often the end of a task is told to a database that does not answer.
_TRIES = 30
# Heartbeats in the time that a lease lasts without one.
_BEATS = 4
# Of the two in which a stopping server has answered everybody.
_FINISH_SECONDS = 1.0
# Of a result, which may hold what is itself as deep as a request may be.
_DEEPEST = 254


class Errands:
    """The tasks of a built-in `definition` that this server works on, or of several, the decisions of `names()`.

    With `repeatable`, a task that is not finished when the server stops goes back to the queue; otherwise it fails.
    `alone` is what all errands of a server share: a task whose attempts were lost runs while no other of them does.
    """

    def __init__(
        self,
        engine: Engine,
        definition: str,
        handler: Handler,
        *,
        repeatable: bool,
        alone: Alone,
        at_once: int = _AT_ONCE,
        names: Callable[[], Awaitable[list[str]]] | None = None,
    ) -> None:
        self._engine = engine
        self._definition = definition
        self._handler = handler
        self._repeatable = repeatable
        self._alone = alone
        self._at_once = at_once
        self._names = names
        self._poll: asyncio.Task[Sequence[HeldTask]] | None = None
        self._other_names = False
        # Until somebody says that there are others, or nothing has come for long.
        self._list: list[str] | None = None
        self._running: dict[asyncio.Task[None], Lease] = {}
        self._begun: set[Lease] = set()
        self._polling = asyncio.Lock()
        self._draining = False

    @property
    def running(self) -> int:
        """How many tasks are being worked on."""
        return len(self._running)

    async def run_once(self) -> float:
        """Take on the tasks that there are places for, once there are some; return the seconds until the next poll."""
        if len(self._running) >= self._at_once:
            await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
        # Tasks that could not begin here are left to other servers.
        await self._alone.opened()
        async with self._polling:
            if self._draining:
                return math.inf
            self._other_names = False
            names = await self._listed()
            if not names or self._other_names:
                return 0.0 if self._other_names else math.inf
            # Begun by a call of its own: of a claim whose reply is lost, the tasks are ready again soon and unharmed.
            wanted = Wanted(names, [], self._at_once - len(self._running), False, None, None)
            try:
                polling = self._engine.polls.long_poll(wanted, caller=ENGINE, seconds=_POLL_SECONDS)
                self._poll = asyncio.ensure_future(polling)
                tasks = await self._poll
            except Refusal:
                return _AFTER_REFUSAL
            except asyncio.CancelledError:
                if not self._other_names:
                    raise
                return 0.0
            if not tasks:
                self._list = None
            for held in tasks:
                running = asyncio.create_task(self._run(held))
                self._running[running] = _lease(held.task)
                running.add_done_callback(self._running.pop)
        return 0.0

    def look_again(self) -> None:
        """Poll anew: there may be other names."""
        if self._names is not None:
            self._other_names, self._list = True, None
            if self._poll is not None:
                self._poll.cancel()

    def stop_polling(self) -> None:
        """Take nothing more once the poll that waits is answered."""
        self._draining = True

    async def drain(self) -> None:
        """Finish what is nearly done, and let the rest go; its poll must have been answered."""
        self.stop_polling()
        async with self._polling:
            if self._running:
                await asyncio.wait(self._running, timeout=_FINISH_SECONDS)
        leases = set(self._running.values())
        lost = set() if self._repeatable else leases & self._begun
        await self.abandon()
        await self._engine.executions.release([*leases - lost], short=True, action="awf.engine/give-back")
        reason = f"the server stopped in the middle of {self._definition}; what it had begun may have been done"
        error = msgspec.json.encode(fault_of(Refusal(UNAVAILABLE, reason=reason)))
        await self._engine.executions.fail([lease._replace(content=error) for lease in lost], short=True)

    async def abandon(self) -> None:
        """Stop working; the leases are left to themselves."""
        running = list(self._running)
        for one in running:
            one.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _listed(self) -> list[str]:
        if self._names is None:
            return [self._definition]
        if (listed := self._list) is None:
            listed = await self._names()
            if not self._other_names:
                self._list = listed
        return listed

    async def _run(self, held: HeldTask) -> None:
        """Run a task in its turn: alone if it may have ended the server that ran it before."""
        async with self._alone.place(is_suspect=held.lost_attempts > 0):
            await self._run_now(held, _lease(held.task))

    async def _run_now(self, held: HeldTask, lease: Lease) -> None:
        """Begin a task, work on it, and tell how it ended."""
        (begun,) = await self._engine.executions.start([lease], short=True)
        if isinstance(begun, Exception):
            # Canceled, or a database that is away for the moment: then the task is ready again when its lease is over.
            return
        self._begun.add(lease)
        try:
            ended = await self._work(held, lease)
            if ended is not None:
                is_good, content = ended
                await self._tell(lease._replace(content=content), is_good=is_good)
        finally:
            # Not before it is told: until then a server that stops must not give away what has been done.
            self._begun.discard(lease)

    async def _work(self, held: HeldTask, lease: Lease) -> tuple[bool, bytes] | None:
        """Return how the work on a task ended, None when nobody wants to know."""
        work = asyncio.create_task(self._outcome(held.task))
        interval = held.settings.in_progress_timeout / 1000 / _BEATS
        beats = asyncio.create_task(self._beat(lease, interval, work))
        try:
            return await work
        except (asyncio.CancelledError, Lost):
            # The lease is lost, or this server stops: the work must not go on by itself.
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            return None
        finally:
            beats.cancel()

    async def _outcome(self, task: Task) -> tuple[bool, bytes]:
        """Return whether the task succeeded, and with which result or error."""
        try:
            content = await self._handler(Errand(task, self._engine.tasks))
            json.check(content, max_depth=_DEEPEST)
        except Lost:
            raise
        except BadText as bad:
            refusal = Refusal(INVALID_PARAMS, reason=f"the result cannot be stored: {bad.message}")
            return False, msgspec.json.encode(fault_of(refusal))
        except Refusal as refusal:
            return False, msgspec.json.encode(fault_of(refusal))
        except Exception as error:  # noqa: BLE001 a handler's bug must not leave its task to the timeout
            return False, msgspec.json.encode(fault_of(bug(error, self._definition)))
        else:
            return True, content

    async def _beat(self, lease: Lease, interval: float, work: asyncio.Task[tuple[bool, bytes]]) -> None:
        """Renew a lease again and again; end the work when it is gone."""
        beat = lease._replace(content=b'{"notification":"heartbeat"}')
        while True:
            await asyncio.sleep(interval)
            (renewal,) = await self._engine.executions.notify([beat])
            if isinstance(renewal, Exception):
                if isinstance(renewal, Refusal) and renewal.kind is UNAVAILABLE:
                    continue
                work.cancel()
            elif renewal.cancel_requested:
                work.cancel()

    async def _tell(self, lease: Lease, *, is_good: bool) -> None:
        """End an execution; whoever has ended it otherwise meanwhile was first."""
        end = self._engine.executions.success if is_good else self._engine.executions.fail
        for _ in range(_TRIES):
            (outcome,) = await end([lease], short=True)
            if is_good and (fault := self._fault(outcome)) is not None:
                # It must not be left to the timeout.
                await self._tell(lease._replace(content=msgspec.json.encode(fault)), is_good=False)
                return
            if not (isinstance(outcome, Refusal) and outcome.kind is UNAVAILABLE):
                return
            await asyncio.sleep(_AFTER_REFUSAL)

    def _fault(self, outcome: object) -> Fault | None:
        """Return what is wrong with a result that cannot be taken: what a decider decided, or what no JSON can hold."""
        if isinstance(outcome, Refusal):
            return fault_of(outcome) if outcome.kind is INVALID_ACTION else None
        return fault_of(bug(outcome, self._definition)) if isinstance(outcome, Exception) else None


def _lease(task: Task) -> Lease:
    assert task.exec_id is not None, "it was polled"
    return Lease(task.id, UUID(task.exec_id), ENGINE)
