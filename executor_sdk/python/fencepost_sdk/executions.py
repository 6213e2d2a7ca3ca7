"""Executions: runs the handlers of claimed tasks, stops them, and makes the finish of each."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from msgspec import Raw, ValidationError

from fencepost_sdk.batches import BatchCalls, BatchHandler, take_alike
from fencepost_sdk.context import Context
from fencepost_sdk.deciders import Decider
from fencepost_sdk.failures import log_failure, task_error
from fencepost_sdk.finishes import Finish, failure, release, success
from fencepost_sdk.handlers import Handler
from fencepost_sdk.isolation import IsolatedTasks
from fencepost_sdk.leases import Lease, Leases
from fencepost_sdk.polls import Capacity
from fencepost_sdk.process import Process, end_fork
from fencepost_sdk.protocol import ClaimedTask, decode_claimed_task
from fencepost_sdk.runners import Call, Runners
from fencepost_sdk.threads import Threads
from fencepost_sdk.workflow_reader import WorkflowReader

logger = logging.getLogger("fencepost_sdk")

# How long a handler may go on after the end of its execution before its slot is freed, in seconds.
UNRESPONSIVE_AFTER = 5.0
NO_RESOURCE = Raw(b"null")


class Executions:
    """The running handlers of a worker.

    `finish` gets the finish of each execution and its last notifications; `announce` is called when a handler has
    notifications to send, `wake` after each execution.
    """

    def __init__(
        self,
        handlers: Mapping[str, Handler],
        leases: Leases,
        capacity: Capacity,
        reader: WorkflowReader,
        *,
        finish: Callable[[Finish, list[bytes]], None],
        announce: Callable[[Lease], None],
        wake: Callable[[], None],
    ) -> None:
        self._handlers = handlers
        self._leases = leases
        self._capacity = capacity
        self._reader = reader
        self._finish = finish
        self._announce = announce
        self._wake = wake
        # Tasks that have not started, in order.
        self._waiting: deque[Lease] = deque()
        self._isolated = IsolatedTasks(capacity, start=self._start_alone, release=self._release, wake=wake)
        self._runners = Runners(take=self._take, startable=self._startable, ended=self._start_next)
        self._threads = Threads(capacity.concurrency, "fencepost-handler")
        self._batches = BatchCalls(self._threads, context=self._context, end=self._end)
        self._loop = asyncio.get_running_loop()
        self._process = Process.id
        # Handlers that have not ended although their slots were freed.
        self._unresponsive: set[asyncio.Task[None]] = set()

    def accept(self, claimed: Sequence[ClaimedTask | Raw]) -> None:
        """Start the tasks of a poll, or let them wait for a slot; during a drain release them."""
        now = self._loop.time()
        for one in claimed:
            task, resource = one, NO_RESOURCE
            if not isinstance(task, ClaimedTask):
                resource = task
                try:
                    task = decode_claimed_task(resource)
                except ValidationError:
                    logger.exception("a claimed task cannot be decoded; it will time out")
                    continue
            if task.exec_id in self._leases:
                continue
            handler = self._handlers.get(task.handler_name)
            if handler is None:
                logger.error("task %s of %s has no handler here; it is released", task.id, task.handler_name)
                self._finish(release(Lease(task, Handler(task.definition, _missing_handler))), [])
                continue
            lease = Lease(task, handler, resource)
            if self._capacity.closed or (self._capacity.paused and not task.lost_attempts):
                self._finish(release(lease), [])
                continue
            self._leases.add(lease, now)
            if task.attempt_timeout_ms is not None:
                # The server counts from the start of the attempt, which was earlier.
                lease.attempt_timer = self._loop.call_later(task.attempt_timeout_ms / 1000, self._end_attempt, lease)
            if task.lost_attempts:
                self.release_waiting()
                self._isolated.add(lease)
            else:
                self._waiting.append(lease)
                self._capacity.waiting += 1
        self._runners.start()

    def _startable(self) -> int:
        """Return how many waiting tasks may start."""
        if self._capacity.paused:
            return 0
        return min(len(self._waiting), self._capacity.concurrency - self._capacity.running)

    def _take(self) -> Call | None:
        """Return the call for the task that waits longest, or None if none may start."""
        capacity = self._capacity
        if not self._waiting or capacity.paused or capacity.running >= capacity.concurrency:
            return None
        handler = self._waiting[0].handler
        if isinstance(handler, BatchHandler):
            leases = take_alike(self._waiting, handler, min(handler.size, capacity.concurrency - capacity.running))
            capacity.waiting -= len(leases)
            capacity.running += len(leases)
            return self._batches.run(handler, leases), leases
        capacity.waiting -= 1
        capacity.running += 1
        lease = self._waiting.popleft()
        return self._handle(lease), (lease,)

    def _start_alone(self, lease: Lease) -> None:
        """Start a task in an asyncio task of its own."""
        self._capacity.running += 1
        handler = lease.handler
        call = self._batches.run(handler, [lease]) if isinstance(handler, BatchHandler) else self._handle(lease)
        lease.job = self._loop.create_task(call)
        lease.job.add_done_callback(lambda _: self._start_next())

    def _start_next(self) -> None:
        """Start tasks that wait for the end of others."""
        self._isolated.start_next()
        if self._capacity.paused:
            self.release_waiting()
        else:
            self._runners.start()
        self._wake()

    def release_waiting(self) -> None:
        """Release the tasks that have not started; during a drain the isolated ones too."""
        while self._waiting:
            self._capacity.waiting -= 1
            self._release(self._waiting.popleft())
        if self._capacity.closed:
            for lease in self._isolated:
                self._isolated.remove(lease)
                self._release(lease)

    def _release(self, lease: Lease) -> None:
        if lease.attempt_timer is not None:
            lease.attempt_timer.cancel()
        self._leases.remove(lease)
        self._finish(release(lease), [])
        self._wake()

    def lose_lease(self, lease: Lease) -> None:
        """Stop the handler of a lost lease: cancel an async one, and set `cancelled` for a sync one."""
        if lease.lost or lease.has_ended:
            return
        lease.lost = True
        if not lease.has_started and lease.job is None:
            if lease.exec_id in self._isolated:
                self._isolated.remove(lease)
            else:
                self._waiting.remove(lease)
                self._capacity.waiting -= 1
            self._leases.remove(lease)
            self._wake()
            return
        if lease.context is not None:
            lease.context._end()
        if lease.batch is not None and lease.batch.lose_one():
            # The call goes on for its other tasks.
            return
        if lease.job is not None and (lease.handler.is_async or not lease.has_started):
            lease.job.cancel()
        if not lease.has_started:
            # An asyncio task that is canceled before its first step never runs, so that `_handle` would not end it.
            self._end(lease, None)
        else:
            self._loop.call_later(UNRESPONSIVE_AFTER, self._free_slot, lease)

    def release_all(self, leases: list[Lease]) -> None:
        """Stop the handlers of these leases and release their tasks."""
        for lease in leases:
            self.lose_lease(lease)
            self._finish(release(lease), [])

    async def abandon(self, seconds: float) -> None:
        """Cancel all handlers and wait up to `seconds` for them; threads that do not end are abandoned."""
        self._capacity.closed = True
        jobs = [lease.job for lease in self._leases.all() if lease.job is not None]
        jobs.extend(job for job in self._unresponsive if not job.done())
        for lease in self._leases.all():
            self.lose_lease(lease)
            if lease.job is not None and not lease.handler.is_async:
                lease.job.cancel()
        if jobs:
            await asyncio.wait(jobs, timeout=seconds)
        self._threads.close()

    async def _handle(self, lease: Lease) -> None:
        lease.has_started = True
        handler = lease.handler
        try:
            if handler.wants_context:
                lease.context = self._context(lease)
            if isinstance(handler, Decider):
                arguments = await handler.prepare(lease.task, self._reader)
            else:
                arguments = handler.arguments(lease.task.params, lease.context)
            if handler.is_async:
                result = await handler.function(*arguments)
            else:
                result = await self._threads.run(partial(handler.function, *arguments))
                if inspect.isawaitable(result):
                    result = await result
            finish = success(lease, handler.outcome(result))
        except BaseException as raised:
            # Also a KeyboardInterrupt: the signal handler of the worker only starts the drain.
            if self._loop.is_closed():
                raise
            if not (lease.lost or lease.has_ended):
                log_failure(lease, raised)
            finish = failure(lease, task_error(raised))
        end_fork(self._process)
        self._end(lease, finish)

    def _context(self, lease: Lease) -> Context:
        return Context(memoryview(lease.resource), partial(self._announce_from_thread, lease))

    def _end(self, lease: Lease, finish: Finish | None) -> None:
        if lease.has_ended:
            return
        lease.has_ended = True
        if lease.attempt_timer is not None:
            lease.attempt_timer.cancel()
        self._leases.remove(lease)
        self._capacity.running -= 1
        if lease.lost:
            logger.info("task %s: the lease was lost, the outcome of the handler is dropped", lease.id)
        elif finish is not None:
            self._finish(finish, lease.take_notifications())
        if lease.context is not None:
            # A thread that the handler left running sees the end of the execution.
            lease.context._end()
            lease.context = None
        lease.batch = None

    def _end_attempt(self, lease: Lease) -> None:
        """Stop an attempt at its attemptTimeout, when the server has ended it."""
        if not (lease.has_ended or lease.lost):
            logger.warning(
                "task %s of %s: the attempt has reached its attemptTimeout of %d ms and is stopped",
                lease.id,
                lease.handler.definition,
                lease.task.attempt_timeout_ms,
            )
            self.lose_lease(lease)

    def _free_slot(self, lease: Lease) -> None:
        """Free the slots of a handler that does not end after its execution; at most `concurrency` handlers' are."""
        if lease.has_ended or lease.job is None or self._capacity.closed:
            return
        if len(self._unresponsive) >= self._capacity.concurrency:
            logger.error(
                "task %s: the handler does not end and keeps its slot; too many others do not end either", lease.id
            )
            self._loop.call_later(UNRESPONSIVE_AFTER, self._free_slot, lease)
            return
        logger.warning("task %s: the handler does not end; its slot is freed", lease.id)
        self._unresponsive.add(lease.job)
        if lease.handler.is_async:
            lease.job.add_done_callback(self._unresponsive.discard)
        else:
            self._threads.replace(partial(self._unresponsive.discard, lease.job))
        lease.job.cancel()
        for one in (lease,) if lease.batch is None else lease.batch.leases:
            self._end(one, None)
        self._start_next()

    def _announce_from_thread(self, lease: Lease) -> None:
        try:
            self._loop.call_soon_threadsafe(self._announce, lease)
        except RuntimeError:
            # The event loop of the worker is closed, and this handler's thread was abandoned.
            return


def _missing_handler() -> None:
    """Placeholder for the function of a task without a handler; never called."""
