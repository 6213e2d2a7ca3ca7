"""From a task that was handed out to the finish that ends it: calling handlers, and stopping them."""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
from collections.abc import Callable, Mapping
from functools import partial

from msgspec import Raw, ValidationError

from fencepost_sdk.alone import Alone
from fencepost_sdk.context import Context
from fencepost_sdk.failures import log_line, task_error, traceback_text
from fencepost_sdk.finishes import Finish, failure, release, success
from fencepost_sdk.handlers import Handler
from fencepost_sdk.leases import Lease, Leases
from fencepost_sdk.polls import Capacity
from fencepost_sdk.protocol import decode_claimed_task
from fencepost_sdk.threads import Threads
from fencepost_sdk.workflow_reader import WorkflowReader

logger = logging.getLogger("fencepost_sdk")

# How long a handler whose execution is over may go on before its slot is given to others, in seconds.
LEAVE_AFTER = 5.0


class Executions:
    """The handlers that run. `finish` takes over the end of an execution, `wake` is called after each."""

    def __init__(
        self,
        handlers: Mapping[str, Handler],
        leases: Leases,
        capacity: Capacity,
        reader: WorkflowReader,
        *,
        finish: Callable[[Finish, list[bytes]], None],
        speak: Callable[[Lease], None],
        wake: Callable[[], None],
    ) -> None:
        self._handlers = handlers
        self._leases = leases
        self._capacity = capacity
        self._reader = reader
        self._finish = finish
        self._speak = speak
        self._wake = wake
        # Taken ahead, by execId, in the order in which they are to begin.
        self._waiting: dict[str, tuple[Lease, Raw]] = {}
        self._alone = Alone(capacity, begin=self._begin, give_back=self._hand_back, wake=wake)
        self._threads = Threads(capacity.concurrency, "fencepost-handler")
        self._loop = asyncio.get_running_loop()
        self._process = os.getpid()
        # Handlers whose slots were given to others and that have not ended yet.
        self._left: set[asyncio.Task[None]] = set()

    def take(self, resources: list[Raw]) -> None:
        """Begin the tasks that a poll brought, or let them wait for a slot; during a drain give them back."""
        now = self._loop.time()
        for resource in resources:
            try:
                task = decode_claimed_task(resource)
            except ValidationError:
                logger.exception("a task that was handed out cannot be read, it will time out")
                continue
            handler = self._handlers.get(task.handler_name)
            if task.exec_id in self._leases:
                continue
            if handler is None:
                logger.error("task %s of %s was not asked for and is given back", task.id, task.handler_name)
            lease = Lease(task, handler or Handler(task.definition, _nobody))
            if handler is None or self._capacity.closed or (self._alone.wanted and not task.lost_attempts):
                self._finish(release(lease), [])
            else:
                self._leases.add(lease, now)
                if task.attempt_timeout_ms is not None:
                    # The server counts from the start, which was before now.
                    lease.attempt_ends = self._loop.call_later(task.attempt_timeout_ms / 1000, self._end_attempt, lease)
                if task.lost_attempts:
                    self.give_back_waiting()
                    self._alone.add(lease, resource)
                elif self._capacity.running < self._capacity.concurrency:
                    self._begin(lease, resource)
                else:
                    self._waiting[lease.exec_id] = lease, resource
                    self._capacity.waiting += 1

    def _begin(self, lease: Lease, resource: Raw) -> None:
        if lease.handler.wants_context:
            lease.context = Context(memoryview(resource), partial(self._say, lease))
        self._capacity.running += 1
        lease.job = self._loop.create_task(self._handle(lease, lease.handler))

    def _begin_next(self) -> None:
        """Begin what waits longest, if anything does."""
        self._alone.settle()
        if self._alone.wanted:
            self.give_back_waiting()
            return
        for exec_id in self._waiting:
            self._begin(*self._unqueue(exec_id))
            return

    def _unqueue(self, exec_id: str) -> tuple[Lease, Raw]:
        self._capacity.waiting -= 1
        return self._waiting.pop(exec_id)

    def give_back_waiting(self) -> None:
        """Let the server hand to others what has not begun."""
        for exec_id in list(self._waiting):
            lease, _ = self._unqueue(exec_id)
            self._hand_back(lease)
        if self._capacity.closed:
            for lease in self._alone:
                self._alone.remove(lease)
                self._hand_back(lease)

    def _hand_back(self, lease: Lease) -> None:
        if lease.attempt_ends is not None:
            lease.attempt_ends.cancel()
        self._leases.remove(lease)
        self._finish(release(lease), [])
        self._wake()

    def lose(self, lease: Lease) -> None:
        """Stop a handler whose execution is no longer ours; a sync one can only be told."""
        if lease.lost or lease.over:
            return
        lease.lost = True
        if lease.exec_id in self._waiting or lease.exec_id in self._alone:
            if lease.exec_id in self._alone:
                self._alone.remove(lease)
            else:
                self._unqueue(lease.exec_id)
            self._leases.remove(lease)
            self._wake()
            return
        if lease.context is not None:
            lease.context._lose()
        if lease.job is not None and (lease.handler.is_async or not lease.began):
            lease.job.cancel()
        if not lease.began:
            # A task that is canceled before its first step never runs, so that nothing there would see its end.
            self._over(lease, None)
        else:
            self._loop.call_later(LEAVE_AFTER, self._leave, lease)

    def give_back(self, leases: list[Lease]) -> None:
        """Stop handlers and let the server hand their tasks to others."""
        for lease in leases:
            self.lose(lease)
            self._finish(release(lease), [])

    async def abandon(self, seconds: float) -> None:
        """Stop every handler that can be stopped and give them `seconds` to clean up; threads are left behind."""
        self._capacity.closed = True
        self._waiting.clear()
        jobs = [lease.job for lease in self._leases.all() if lease.job is not None]
        jobs.extend(job for job in self._left if not job.done())
        for lease in self._leases.all():
            self.lose(lease)
            if lease.job is not None and not lease.handler.is_async:
                lease.job.cancel()
        if jobs:
            await asyncio.wait(jobs, timeout=seconds)
        self._threads.close()

    async def _handle(self, lease: Lease, handler: Handler) -> None:
        lease.began = True
        try:
            arguments = await handler.prepare(lease.task, lease.context, self._reader)
            if handler.is_async:
                result = await handler.function(*arguments)
            else:
                result = await self._threads.run(partial(handler.function, *arguments))
                if inspect.isawaitable(result):
                    result = await result
            finish = success(lease, handler.outcome(result))
        except BaseException as raised:
            # A KeyboardInterrupt too: the signal itself only begins the drain.
            if self._loop.is_closed():
                raise
            if not (lease.lost or lease.over):
                _log(lease, raised)
            finish = failure(lease, task_error(raised))
        if os.getpid() != self._process:
            # The handler has forked and come back twice; see threads.py.
            os._exit(0)
        self._over(lease, finish)

    def _over(self, lease: Lease, finish: Finish | None) -> None:
        if lease.over:
            return
        lease.over = True
        if lease.attempt_ends is not None:
            lease.attempt_ends.cancel()
        self._leases.remove(lease)
        self._capacity.running -= 1
        if lease.lost:
            logger.info("task %s is no longer ours, its handler's outcome is dropped", lease.id)
        elif finish is not None:
            self._finish(finish, lease.notes())
        if lease.context is not None:
            # A thread that the handler has left running sees that the attempt is over.
            lease.context._lose()
        self._begin_next()
        self._wake()

    def _end_attempt(self, lease: Lease) -> None:
        """Stop an attempt that has lasted longer than it may: the server has ended it by now."""
        if not (lease.over or lease.lost):
            logger.warning(
                "task %s of %s lasts longer than its attemptTimeout of %d ms, this attempt is over",
                lease.id,
                lease.handler.definition,
                lease.task.attempt_timeout_ms,
            )
            self.lose(lease)

    def _leave(self, lease: Lease) -> None:
        """Give the slot of a handler to others that does not end although it was told to, up to as many as run."""
        if lease.over or lease.job is None or self._capacity.closed:
            return
        if len(self._left) >= self._capacity.concurrency:
            logger.error("task %s: its handler does not end, and too many others neither: it keeps its slot", lease.id)
            self._loop.call_later(LEAVE_AFTER, self._leave, lease)
            return
        logger.warning("task %s: its handler does not end, its slot is given to others", lease.id)
        self._left.add(lease.job)
        if lease.handler.is_async:
            lease.job.add_done_callback(self._left.discard)
        else:
            self._threads.replace(partial(self._left.discard, lease.job))
        lease.job.cancel()
        self._over(lease, None)

    def _say(self, lease: Lease) -> None:
        try:
            self._loop.call_soon_threadsafe(self._speak, lease)
        except RuntimeError:
            # The worker is gone and left this handler's thread behind: there is nobody to tell.
            return


def _log(lease: Lease, raised: BaseException) -> None:
    logger.warning("task %s of %s failed: %s", lease.id, lease.handler.definition, log_line(raised, lease.task))
    if logger.isEnabledFor(logging.DEBUG):
        logger.debug("task %s: %s", lease.id, traceback_text(raised))


def _nobody() -> None:
    """Stand in for the handler of a task that has none; never called."""
