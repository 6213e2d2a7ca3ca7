"""An execution of a built-in task by this server, and the type of the handlers of such tasks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple, TypeVar

import msgspec

from fencepost.domain.task import Task
from fencepost.engine.tasks import Tasks
from fencepost.errors import invalid_params

T = TypeVar("T")


class LeaseLost(Exception):
    """The execution has ended: the task was canceled, or its lease expired. The result would be refused."""


class BuiltinExecution(NamedTuple):
    """A task in progress that this server works on."""

    task: Task
    tasks: Tasks

    @property
    def params(self) -> bytes:
        """The params, a JSON object's text that fits the schema of the definition."""
        return self.task.params or b"{}"

    async def asked_by(self) -> str:
        """Return the name of the task's creator: a client, or the workflow, schedule or trigger that made it."""
        return await self.tasks.creator(self.task.id)

    async def check(self) -> None:
        """Raise LeaseLost unless the task is still in progress under this execution."""
        now = (await self.tasks.get(self.task.id)).task
        if now.exec_id != self.task.exec_id or now.status != "in-progress":
            raise LeaseLost


def read_params(params: bytes, type: type[T]) -> T:
    """Decode params that fit the schema of their definition; raise Refusal (`invalid-params`).

    Numbers are converted leniently: for JSON Schema, 6.0 and 6e0 are the integer 6.
    """
    try:
        return msgspec.convert(msgspec.json.decode(params), type, strict=False)
    except msgspec.MsgspecError as error:
        raise invalid_params(str(error), "") from None


# Returns the result, a JSON object's text; raises Refusal, with fields of the params, to fail the task.
Handler = Callable[[BuiltinExecution], Awaitable[bytes]]
