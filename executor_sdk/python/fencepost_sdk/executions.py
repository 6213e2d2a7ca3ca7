"""From a task that was handed out to the finish that ends it: calling handlers, and stopping them."""

from __future__ import annotations

import asyncio
import inspect
import logging
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from msgspec import Raw, ValidationError

from fencepost_sdk.context import Context
from fencepost_sdk.errors import LostLease, TaskFailed
from fencepost_sdk.finishes import Finish, failure, release, success
from fencepost_sdk.handlers import Handler
from fencepost_sdk.leases import Lease, Leases
from fencepost_sdk.looks import Looks
from fencepost_sdk.polls import Slots
from fencepost_sdk.protocol import decode_handed
from fencepost_sdk.threads import Threads

logger = logging.getLogger("fencepost_sdk")

LONGEST_TRACEBACK = 8000


class Executions:
    """The handlers that run. `finish` takes over the end of an execution, `stir` is called after each."""

    def __init__(
        self,
        handlers: Mapping[str, Handler],
        leases: Leases,
        slots: Slots,
        looks: Looks,
        *,
        finish: Callable[[Finish, list[bytes]], None],
        speak: Callable[[Lease], None],
        stir: Callable[[], None],
    ) -> None:
        self._handlers = handlers
        self._leases = leases
        self._slots = slots
        self._looks = looks
        self._finish = finish
        self._speak = speak
        self._stir = stir
        # Taken ahead, by execId, in the order in which they are to begin.
        self._waiting: dict[str, tuple[Lease, Raw]] = {}
        self._threads = Threads(slots.concurrency, "fencepost-handler")
        self._loop = asyncio.get_running_loop()

    def take(self, resources: list[Raw]) -> None:
        """Begin the tasks that a poll brought, or let them wait for a slot; during a drain give them back."""
        now = self._loop.time()
        for resource in resources:
            try:
                handed = decode_handed(resource)
            except ValidationError:
                logger.exception("a task that was handed out cannot be read, it will time out")
                continue
            handler = self._handlers.get(handed.handled_as)
            if handed.exec_id in self._leases:
                continue
            if handler is None:
                logger.error("task %s of %s was not asked for and is given back", handed.id, handed.handled_as)
            lease = Lease(handed, handler or Handler(handed.definition, _nobody))
            if handler is None or self._slots.closed:
                self._finish(release(lease), [])
            else:
                self._leases.add(lease, now)
                if self._slots.running < self._slots.concurrency:
                    self._begin(lease, resource)
                else:
                    self._waiting[lease.exec_id] = lease, resource
                    self._slots.waiting += 1

    def _begin(self, lease: Lease, resource: Raw) -> None:
        if lease.handler.wants_context:
            lease.context = Context(memoryview(resource), partial(self._say, lease))
        self._slots.running += 1
        lease.job = self._loop.create_task(self._handle(lease, lease.handler))

    def _begin_next(self) -> None:
        """Begin what waits longest, if anything does."""
        for exec_id in self._waiting:
            self._begin(*self._unqueue(exec_id))
            return

    def _unqueue(self, exec_id: str) -> tuple[Lease, Raw]:
        self._slots.waiting -= 1
        return self._waiting.pop(exec_id)

    def give_back_waiting(self) -> None:
        """Let the server hand to others what has not begun."""
        for exec_id in list(self._waiting):
            lease, _ = self._unqueue(exec_id)
            self._leases.remove(lease)
            self._finish(release(lease), [])

    def lose(self, lease: Lease) -> None:
        """Stop a handler whose execution is no longer ours; a sync one can only be told."""
        if lease.lost or lease.over:
            return
        lease.lost = True
        if lease.exec_id in self._waiting:
            self._unqueue(lease.exec_id)
            self._leases.remove(lease)
            self._stir()
            return
        if lease.context is not None:
            lease.context._lose()
        if lease.job is not None and (lease.handler.is_async or not lease.began):
            lease.job.cancel()
        if not lease.began:
            # A task that is canceled before its first step never runs, so that nothing there would see its end.
            self._over(lease, None)

    def give_back(self, leases: list[Lease]) -> None:
        """Stop handlers and let the server hand their tasks to others."""
        for lease in leases:
            self.lose(lease)
            self._finish(release(lease), [])

    async def abandon(self, seconds: float) -> None:
        """Stop every handler that can be stopped and give them `seconds` to clean up; threads are left behind."""
        self._waiting.clear()
        jobs = [lease.job for lease in self._leases.all() if lease.job is not None]
        for lease in self._leases.all():
            self.lose(lease)
            if lease.job is not None and not lease.handler.is_async:
                lease.job.cancel()
        if jobs:
            await asyncio.wait(jobs, timeout=seconds)
        self._threads.close()

    async def _handle(self, lease: Lease, handler: Handler) -> None:
        lease.began = True
        finish: Finish | None = None
        try:
            arguments = await handler.prepare(lease.handed, lease.context, self._looks)
            if handler.is_async:
                result = await handler.function(*arguments)
            else:
                result = await self._threads.run(partial(handler.function, *arguments))
                if inspect.isawaitable(result):
                    result = await result
            finish = success(lease, handler.outcome(result))
        except asyncio.CancelledError:
            finish = failure(lease, {"type": "CancelledError", "message": "the handler was canceled"})
        except TaskFailed as failed:
            logger.info("task %s failed: %s", lease.id, failed)
            finish = failure(lease, failed.error)
        except LostLease as lost:
            finish = failure(lease, {"type": "LostLease", "message": str(lost)})
        except (Exception, SystemExit) as error:
            if not lease.lost:
                logger.warning("task %s of %s failed", lease.id, handler.definition, exc_info=error)
            finish = failure(lease, _told(error))
        finally:
            self._over(lease, finish)

    def _over(self, lease: Lease, finish: Finish | None) -> None:
        lease.over = True
        self._leases.remove(lease)
        self._slots.running -= 1
        if lease.lost:
            logger.info("task %s is no longer ours, its handler's outcome is dropped", lease.id)
        elif finish is not None:
            self._finish(finish, lease.notes())
        self._begin_next()
        self._stir()

    def _say(self, lease: Lease) -> None:
        try:
            self._loop.call_soon_threadsafe(self._speak, lease)
        except RuntimeError:
            # The worker is gone and left this handler's thread behind: there is nobody to tell.
            return


def _told(error: BaseException) -> dict[str, Any]:
    """Return an exception as the error of its task, for people who look for the line that raised it."""
    # The first frame is ours.
    frames = error.__traceback__ and error.__traceback__.tb_next
    text = "".join(traceback.format_exception(type(error), error, frames))
    return {"type": type(error).__name__, "message": str(error), "traceback": text[-LONGEST_TRACEBACK:]}


def _nobody() -> None:
    """Stand in for the handler of a task that has none; never called."""
