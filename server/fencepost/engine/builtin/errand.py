"""What the server is asked to do by itself: a task of a built-in definition, and what a handler of such tasks is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple, TypeVar

import msgspec

from fencepost.domain.task import Task
from fencepost.engine.tasks import Tasks
from fencepost.errors import invalid_params

T = TypeVar("T")


class Lost(Exception):
    """The execution is over, because the task was canceled or its time was: nobody wants what would come of it."""


class Errand(NamedTuple):
    """A task in progress that this server works on."""

    task: Task
    tasks: Tasks

    @property
    def params(self) -> bytes:
        """The params, as they fit the schema of the definition."""
        return self.task.params or b"{}"

    async def asked_by(self) -> str:
        """Return who created the task: its client, or who is recorded for the workflow, schedule or trigger."""
        return await self.tasks.creator(self.task.id)

    async def check(self) -> None:
        """Raise Lost unless the task is still in progress under this execution."""
        now = (await self.tasks.get(self.task.id)).task
        if now.exec_id != self.task.exec_id or now.status != "in-progress":
            raise Lost


def read_params(params: bytes, type: type[T]) -> T:
    """Return the params of a built-in task, which fit its schema; raise Refusal for what the schema lets through.

    For JSON Schema, as for JSON, 6.0 and 6e0 are the integer 6.
    """
    try:
        return msgspec.convert(msgspec.json.decode(params), type, strict=False)
    except msgspec.MsgspecError as error:
        raise invalid_params(str(error), "$") from None


# Returns the result, a JSON object's text; raises Refusal, with paths from the params, for what the task fails with.
Handler = Callable[[Errand], Awaitable[bytes]]
