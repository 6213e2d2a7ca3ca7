"""`aidbox.task/run-rpc`: one call, with the rights of the task's creator.

A call never runs another call: a nested run-rpc creates a task, and its params are a part of the first ones, so the
nesting ends.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fencepost.engine.builtin.execution import BuiltinExecution, Handler

# From the text of a call and its caller to the text of the result; raises Refusal.
Call = Callable[[bytes, str], Awaitable[bytes]]


def run_rpc(call: Call) -> Handler:
    """Return the handler. The params of the task are the call."""

    async def handle(execution: BuiltinExecution) -> bytes:
        return await call(execution.params, await execution.asked_by())

    return handle
