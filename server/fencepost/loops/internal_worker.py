"""The worker inside the server: executes the built-in tasks of one definition as any worker would.

Its polls wait in the dispatcher, where they cost no query. It holds leases and renews them, so any number of servers
may run it, and the death of a server is the death of a worker. Each definition has its own slots: a clean-up that takes
an hour must not hold up a call.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from fencepost.domain.builtin import ENGINE
from fencepost.domain.task import Task, TaskWithSettings
from fencepost.engine.builtin.execution import BuiltinExecution, Handler, LeaseLost
from fencepost.engine.builtin.isolation import Isolation
from fencepost.engine.engine import Engine
from fencepost.engine.leases import Lease, lease_of
from fencepost.engine.polls import PollRequest
from fencepost.errors import INVALID_ACTION, INVALID_PARAMS, UNAVAILABLE, Refusal
from fencepost.notation import json
from fencepost.notation.text import BadText
from fencepost.resources.error_body import Fault, error_body, report_bug

_AT_ONCE = 4
_POLL_SECONDS = 600.0
_AFTER_REFUSAL = 1.0
# Attempts to report an outcome to a database that does not answer.
_TRIES = 30
# Heartbeats in each in-progress timeout.
_BEATS = 4
# A part of the two seconds in which a stopping server answers all callers.
_FINISH_SECONDS = 1.0
# Nesting of a result, which may contain a document as deep as a request may be.
_DEEPEST = 254


class InternalWorker:
    """Executes the tasks of one built-in `definition`, or of the definitions that `names()` returns.

    When the server stops, an unfinished task is released if it is `repeatable`, and fails otherwise. All internal
    workers of a server share one `isolation`, in which a task with lost attempts runs alone.
    """

    def __init__(
        self,
        engine: Engine,
        definition: str,
        handler: Handler,
        *,
        repeatable: bool,
        isolation: Isolation,
        at_once: int = _AT_ONCE,
        names: Callable[[], Awaitable[list[str]]] | None = None,
    ) -> None:
        self._engine = engine
        self._definition = definition
        self._handler = handler
        self._repeatable = repeatable
        self._isolation = isolation
        self._at_once = at_once
        self._names = names
        self._poll: asyncio.Task[Sequence[TaskWithSettings]] | None = None
        self._other_names = False
        # Cached until definitions change, or a whole poll brought nothing.
        self._list: list[str] | None = None
        self._running: dict[asyncio.Task[None], Lease] = {}
        self._begun: set[Lease] = set()
        self._polling = asyncio.Lock()
        self._draining = False

    @property
    def running(self) -> int:
        """The number of tasks in progress."""
        return len(self._running)

    async def run_once(self) -> float:
        """Poll for as many tasks as there are free slots and start them; return the seconds until the next poll."""
        if len(self._running) >= self._at_once:
            await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
        # Tasks that could not begin here are for other servers.
        await self._isolation.opened()
        async with self._polling:
            if self._draining:
                return math.inf
            self._other_names = False
            names = await self._listed()
            if not names or self._other_names:
                return 0.0 if self._other_names else math.inf
            # The start is a call of its own: when the reply of a claim is lost, its leases soon expire unstarted, and
            # no attempt is lost.
            request = PollRequest(names, [], self._at_once - len(self._running), False, None, None)
            try:
                polling = self._engine.polls.poll(request, caller=ENGINE, seconds=_POLL_SECONDS)
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
            for found in tasks:
                running = asyncio.create_task(self._run(found))
                self._running[running] = lease_of(found.task, ENGINE)
                running.add_done_callback(self._running.pop)
        return 0.0

    def look_again(self) -> None:
        """Poll again, since the definitions that `names()` returns may have changed."""
        if self._names is not None:
            self._other_names, self._list = True, None
            if self._poll is not None:
                self._poll.cancel()

    def stop_polling(self) -> None:
        """Take no more tasks once the waiting poll is answered."""
        self._draining = True

    async def drain(self) -> None:
        """Wait a moment for tasks that are nearly done, then release or fail the rest; the poll must be answered."""
        self.stop_polling()
        async with self._polling:
            if self._running:
                await asyncio.wait(self._running, timeout=_FINISH_SECONDS)
        leases = set(self._running.values())
        lost = set() if self._repeatable else leases & self._begun
        await self.abandon()
        await self._engine.executions.release([*leases - lost], short=True, action="awf.engine/give-back")
        reason = f"the server stopped in the middle of {self._definition}; it may have been executed"
        error = msgspec.json.encode(error_body(Refusal(UNAVAILABLE, reason=reason)))
        await self._engine.executions.fail([lease._replace(content=error) for lease in lost], short=True)

    async def abandon(self) -> None:
        """Cancel all handlers; the leases expire."""
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

    async def _run(self, found: TaskWithSettings) -> None:
        """Run a task: in isolation if it may have killed the server that ran it before."""
        async with self._isolation.slot(is_suspect=found.lost_attempts > 0):
            await self._run_now(found, lease_of(found.task, ENGINE))

    async def _run_now(self, found: TaskWithSettings, lease: Lease) -> None:
        """Start a task, execute it, and report its outcome."""
        (begun,) = await self._engine.executions.start([lease], short=True)
        if isinstance(begun, Exception):
            # The task was canceled, or the database is away; then the task is ready again when its lease expires.
            return
        self._begun.add(lease)
        try:
            ended = await self._work(found, lease)
            if ended is not None:
                is_good, content = ended
                await self._report(lease._replace(content=content), is_good=is_good)
        finally:
            # Not before the report: until then, a stopping server must not release a task that was executed.
            self._begun.discard(lease)

    async def _work(self, found: TaskWithSettings, lease: Lease) -> tuple[bool, bytes] | None:
        """Return whether a task succeeded, and its result or error; None when its lease is lost."""
        work = asyncio.create_task(self._outcome(found.task))
        interval = found.settings.in_progress_timeout / 1000 / _BEATS
        beats = asyncio.create_task(self._beat(lease, interval, work))
        try:
            return await work
        except (asyncio.CancelledError, LeaseLost):
            # The lease is lost, or this server stops: the handler must not run on.
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            return None
        finally:
            beats.cancel()

    async def _outcome(self, task: Task) -> tuple[bool, bytes]:
        """Call the handler; return whether the task succeeded, and its result or error as JSON text."""
        try:
            content = await self._handler(BuiltinExecution(task, self._engine.tasks))
            json.check(content, max_depth=_DEEPEST)
        except LeaseLost:
            raise
        except BadText as bad:
            refusal = Refusal(INVALID_PARAMS, reason=f"the result cannot be stored: {bad.message}")
            return False, msgspec.json.encode(error_body(refusal))
        except Refusal as refusal:
            return False, msgspec.json.encode(error_body(refusal))
        except Exception as error:  # noqa: BLE001 a handler's bug must not leave its task to the timeout
            return False, msgspec.json.encode(error_body(report_bug(error, self._definition)))
        else:
            return True, content

    async def _beat(self, lease: Lease, interval: float, work: asyncio.Task[tuple[bool, bytes]]) -> None:
        """Send heartbeats; cancel the handler when the lease is lost."""
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

    async def _report(self, lease: Lease, *, is_good: bool) -> None:
        """Report the outcome. If another caller finished the task first, that outcome stays."""
        end = self._engine.executions.success if is_good else self._engine.executions.fail
        for _ in range(_TRIES):
            (outcome,) = await end([lease], short=True)
            if is_good and (fault := self._fault(outcome)) is not None:
                # Without this report the task would run into its timeout.
                await self._report(lease._replace(content=msgspec.json.encode(fault)), is_good=False)
                return
            if not (isinstance(outcome, Refusal) and outcome.kind is UNAVAILABLE):
                return
            await asyncio.sleep(_AFTER_REFUSAL)

    def _fault(self, outcome: object) -> Fault | None:
        """Return the error of a result that the server refused: an invalid decision, or invalid JSON."""
        if isinstance(outcome, Refusal):
            return error_body(outcome) if outcome.kind is INVALID_ACTION else None
        return error_body(report_bug(outcome, self._definition)) if isinstance(outcome, Exception) else None
