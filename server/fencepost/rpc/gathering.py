"""Gathers lone calls of many connections: a method runs once for those that arrive in one turn of the event loop.

They become a list as the calls of an array do (see rpc/dispatch.py), so its rules are the same: each call has its own
outcome, and no two calls of a list concern the same task. Only calls of one caller share a list.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

from fencepost.engine.context import Context
from fencepost.rpc.registry import Method

# Gets the result of a call, its exception, or the cancellation of its list.
Then = Callable[[Any], None]


class _List:
    """Calls that run together; `task` runs them."""

    __slots__ = ("calls", "ids", "task", "then")

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.ids: set[str] = set()
        self.then: list[Then] = []
        self.task: asyncio.Task[None]


class Gathering:
    """The lone calls that have arrived in this turn of the event loop."""

    def __init__(self) -> None:
        self._open: dict[Hashable, _List] = {}

    def add(self, method: Method, context: Context, params: Any, then: Then) -> asyncio.Task[None]:
        """Gather a call, and return the task that runs it; `then` gets its outcome, also when the task is cancelled."""
        assert method.gathered is not None, "the method gathers"
        key = (method.name, context.caller, context.origin, method.gathered(params))
        together = self._open.get(key)
        id = getattr(params, "id", None)
        if together is None or id in together.ids:
            # A list with an earlier call on the same task is closed, and runs first.
            together = self._open[key] = _List()
            together.task = asyncio.create_task(self._run(method, context, key, together))
            together.task.add_done_callback(partial(_settle_cancelled, together))
        if id is not None:
            together.ids.add(id)
        together.calls.append(params)
        together.then.append(then)
        return together.task

    async def _run(self, method: Method, context: Context, key: Hashable, together: _List) -> None:
        if self._open.get(key) is together:
            del self._open[key]
        outcomes = await method.run_together(context, together.calls)
        for then, outcome in zip(together.then, outcomes, strict=True):
            then(outcome)


def _settle_cancelled(together: _List, task: asyncio.Task[None]) -> None:
    if task.cancelled():
        for then in together.then:
            then(asyncio.CancelledError())
