"""Work on tasks that are named, without a poll: for edges where the task itself says who is to do it.

The id takes the place of the execId: what is moved must stand in a state that the move is allowed from, and whoever
holds an older idea of it changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection

from msgspec import UNSET

from fencepost.domain.definition import TaskDefinition
from fencepost.domain.task import Task
from fencepost.engine.definitions import Definitions
from fencepost.engine.hints import Hints
from fencepost.engine.outcomes import TRIES, contended
from fencepost.errors import TASK_HAS_A_LIMIT, TASK_NOT_FOUND, Refusal
from fencepost.store.hands import HandStore, Verb, by_hand
from fencepost.store.tasks import TaskStore

# Where a worker may be in its work on a task.
AT_WORK = frozenset({"ready", "requested", "in-progress"})


class Elsewhere(Exception):
    """A task stands in no state that the move is allowed from; `task` is how it stands."""

    def __init__(self, task: Task) -> None:
        self.task = task
        super().__init__(f"task {task.id!r} is {task.status}")


class Hands:
    """The moves by hand of a database's tasks."""

    def __init__(self, store: HandStore, tasks: TaskStore, definitions: Definitions, hints: Hints) -> None:
        self._store = store
        self._tasks = tasks
        self._definitions = definitions
        self._hints = hints

    async def move(
        self,
        id: str,
        verb: Verb,
        *,
        allowed: Collection[str] = AT_WORK,
        caller: str,
        worker: str | None = None,
        content: bytes | None = None,
    ) -> Task:
        """Bring a task where `verb` leads, from any state in `allowed`; return it as it stands then.

        `content` is the result of a success or the error of a failure, a JSON object's text. Raises Elsewhere; Refusal
        when there is no such task, or the content does not fit the definition's schema.
        """
        call = by_hand(id, verb, allowed=allowed, caller=caller, worker=worker, content=content)
        task: Task | None = None
        for _ in range(TRIES):
            moved = await self._store.move(call)
            if moved is not None:
                await self._announce(moved)
                return moved
            task = await self._tasks.find(id)
            if task is None:
                raise Refusal(TASK_NOT_FOUND, at="$.id", id=id)
            if task.status not in allowed:
                raise Elsewhere(task)
            if verb in ("success", "fail"):
                await self._definitions.check_end(task, verb, content)
            call["checked"] = task.definition_version
        assert task is not None, "it was found each time"
        raise await self._stuck(task)

    async def _stuck(self, task: Task) -> Refusal:
        """Return why a task does not move though it stands where it may."""
        newest = (await self._definitions.newest(task.definition)).document
        if task.status == "ready" and isinstance(newest, TaskDefinition) and newest.concurrency_limit is not UNSET:
            return Refusal(TASK_HAS_A_LIMIT, at="$.id", id=task.id, definition=task.definition)
        return contended(f"task {task.id!r}")

    async def _announce(self, task: Task) -> None:
        if task.status == "ready":
            self._hints.ready(task.definition)
        elif task.status == "done":
            await self._definitions.freed(task.definition)
        else:
            self._hints.deadline(0.0)
