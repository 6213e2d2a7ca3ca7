"""Batches: one call of a handler for many tasks, each of which has its own lease and its own outcome."""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, get_args, get_origin

from msgspec import Struct

from fencepost_sdk.context import Context
from fencepost_sdk.failures import log_failed_call, log_failure, task_error
from fencepost_sdk.finishes import Finish, failure, success
from fencepost_sdk.handlers import Function, Handler, is_async, read_as, read_signature
from fencepost_sdk.leases import Lease
from fencepost_sdk.process import Process, end_fork
from fencepost_sdk.threads import Threads

_CONTEXTS = (list[Context], Sequence[Context])


class Batch(Struct, gc=False, eq=False):
    """The tasks of one call, and how many of them have a lease that is not lost."""

    leases: list[Lease]
    live: int

    def lose_one(self) -> bool:
        """Record that one lease was lost; return whether the call goes on for others."""
        self.live -= 1
        return self.live > 0


class BatchHandler(Handler):
    """A function that handles up to `size` tasks of one definition with each call.

    The function may have two parameters, in any order: a list of the params of the tasks (`list[Row]`), and a list of
    their contexts, annotated `list[Context]` or, without an annotation, named `contexts`.
    """

    def __init__(self, definition: str, function: Function, size: int) -> None:
        self.definition = definition
        self.function = function
        self.size = size
        self.is_async = is_async(function)
        order, params_type = read_signature(function, _CONTEXTS, ("contexts",))
        if not order:
            raise TypeError(f"{definition}: a batch handler takes a list of params, a list of contexts, or both")
        item_type = _item_type(definition, params_type)
        self.wants_context = "context" in order
        self.wants_params = "params" in order
        self._order = order
        self._read = read_as(definition, item_type)
        self._read_all = read_as(definition, list[item_type])  # type: ignore[valid-type]

    def read_batch(self, leases: list[Lease]) -> list[Any]:
        """Return the params of each task, in order, or a `_Misfit` for params that do not fit."""
        try:
            params: list[Any] = self._read_all(b"[" + b",".join([lease.task.params for lease in leases]) + b"]")
        except BaseException:  # noqa: BLE001 - a validator of the type may raise anything; `_read_one` returns it
            return [self._read_one(lease) for lease in leases]
        return params

    def _read_one(self, lease: Lease) -> Any:
        try:
            return self.read(lease.task.params)
        except BaseException as misfit:  # noqa: BLE001 - it fails this task and no other
            return _Misfit(misfit)

    def batch_arguments(self, params: list[Any], contexts: list[Context | None]) -> list[Any]:
        """Return the arguments of a call."""
        return [params if kind == "params" else contexts for kind in self._order]


class _Misfit(Struct):
    raised: BaseException


def batch_size(name: str, size: Any, concurrency: int) -> int:
    """Return the size of a batch; raises TypeError or ValueError for one that a worker cannot have."""
    if not isinstance(size, int) or isinstance(size, bool):
        raise TypeError(f"{name}: size is a number of tasks, such as 500, not {size!r}")
    if size < 1:
        raise ValueError(f"{name}: size must be at least 1, not {size}")
    if size > concurrency:
        raise ValueError(
            f"{name}: a batch of {size} tasks takes {size} slots, and the worker has concurrency={concurrency}; "
            "raise the concurrency or reduce the size"
        )
    return size


def take_alike(waiting: deque[Lease], handler: Handler, most: int) -> list[Lease]:
    """Remove and return up to `most` waiting tasks of a handler, in order; the others keep their order."""
    taken: list[Lease] = []
    others: list[Lease] = []
    while waiting and len(taken) < most:
        lease = waiting.popleft()
        (taken if lease.handler is handler else others).append(lease)
    waiting.extendleft(reversed(others))
    return taken


class BatchCalls:
    """Calls batch handlers; `context` makes the context of a task, `end` ends an execution with its finish."""

    def __init__(
        self, threads: Threads, *, context: Callable[[Lease], Context], end: Callable[[Lease, Finish | None], None]
    ) -> None:
        self._threads = threads
        self._context = context
        self._end = end
        self._loop = asyncio.get_running_loop()
        self._process = Process.id

    async def run(self, handler: BatchHandler, leases: list[Lease]) -> None:
        """Run one call for tasks that have their slots, and end each of them with its own outcome."""
        for lease in leases:
            lease.has_started = True
        params = handler.read_batch(leases) if handler.wants_params else []
        if any(type(one) is _Misfit for one in params):
            leases, params = self._fail_misfits(leases, params)
            if not leases:
                return
        if handler.wants_context:
            for lease in leases:
                lease.context = self._context(lease)
        batch = Batch(leases, len(leases))
        for lease in leases:
            lease.batch = batch
        arguments = handler.batch_arguments(params, [lease.context for lease in leases])
        try:
            outcomes = _checked(await self._call(handler, arguments), len(leases))
        except BaseException as raised:
            # Also a KeyboardInterrupt: the signal handler of the worker only starts the drain.
            if self._loop.is_closed():
                raise
            end_fork(self._process)
            self._fail_all(leases, raised)
            return
        end_fork(self._process)
        for lease, outcome in zip(leases, outcomes, strict=True):
            self._end(lease, None if lease.lost or lease.has_ended else _finish(lease, outcome))

    async def _call(self, handler: BatchHandler, arguments: list[Any]) -> Any:
        if handler.is_async:
            return await handler.function(*arguments)
        returned = await self._threads.run(partial(handler.function, *arguments))
        return await returned if inspect.isawaitable(returned) else returned

    def _fail_misfits(self, leases: list[Lease], params: list[Any]) -> tuple[list[Lease], list[Any]]:
        """End the tasks whose params do not fit; return the others and their params."""
        fitting: list[Lease] = []
        for lease, one in zip(leases, params, strict=True):
            if type(one) is _Misfit:
                self._end(lease, _failed(lease, one.raised))
            else:
                fitting.append(lease)
        return fitting, [one for one in params if type(one) is not _Misfit]

    def _fail_all(self, leases: list[Lease], raised: BaseException) -> None:
        left = [lease for lease in leases if not (lease.lost or lease.has_ended)]
        if left:
            log_failed_call(left, raised)
        error = task_error(raised)
        for lease in leases:
            self._end(lease, failure(lease, error))


def _item_type(definition: str, params_type: Any) -> Any:
    """Return the type of the params of one task for the annotation of a list of them; raises TypeError."""
    if params_type is Any or params_type is list:
        return Any
    if get_origin(params_type) in (list, Sequence) and len(get_args(params_type)) == 1:
        return get_args(params_type)[0]
    raise TypeError(f"{definition}: a batch handler takes the params as a list such as list[dict], not {params_type!r}")


def _checked(returned: Any, count: int) -> Sequence[Any]:
    """Return one outcome for each task; raises TypeError or ValueError if the handler returned anything else."""
    if returned is None:
        return [None] * count
    if not isinstance(returned, list | tuple):
        raise TypeError(f"a batch handler returns a list of outcomes or None, not {type(returned).__name__}")
    if len(returned) != count:
        raise ValueError(f"a batch handler returned {len(returned)} outcomes for {count} tasks")
    return returned


def _finish(lease: Lease, outcome: Any) -> Finish:
    if isinstance(outcome, BaseException):
        return _failed(lease, outcome, is_returned=True)
    try:
        return success(lease, outcome)
    except BaseException as raised:  # noqa: BLE001 - code of the value may raise anything, which fails this task alone
        return _failed(lease, raised)


def _failed(lease: Lease, raised: BaseException, *, is_returned: bool = False) -> Finish:
    log_failure(lease, raised)
    try:
        return failure(lease, task_error(raised, is_returned=is_returned))
    except BaseException as again:  # noqa: BLE001 - likewise code of the values of the error
        return failure(lease, task_error(again))
