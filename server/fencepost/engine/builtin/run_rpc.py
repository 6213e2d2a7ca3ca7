"""`aidbox.task/run-rpc`: one call, with the rights of who asked for the task.

One call never runs another: a call that asks for a further run-rpc makes a task, whose params are a part of its own, so
that there is an end to it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fencepost.engine.builtin.execution import BuiltinExecution, Handler

# Takes a call's text and its caller, gives the result's text or raises Refusal.
Call = Callable[[bytes, str], Awaitable[bytes]]


def run_rpc(call: Call) -> Handler:
    """Return the handler. The params are a call as they stand."""

    async def handle(execution: BuiltinExecution) -> bytes:
        return await call(execution.params, await execution.asked_by())

    return handle
