"""State transitions of tasks that the caller names by id, without a poll or a lease.

Vocabularies use them for tasks that name a device, a machine or a person as their worker. The set of allowed states is
the guard, as an execId is in other calls: a caller with an outdated view of the task changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection

from msgspec import UNSET
from msgspec.structs import replace

from fencepost.domain.definition import TaskDefinition
from fencepost.domain.task import Task
from fencepost.engine.definitions import Definitions
from fencepost.engine.outcomes import TRIES, too_contended
from fencepost.engine.wakeups import Wakeups
from fencepost.errors import TASK_HAS_A_LIMIT, TASK_NOT_FOUND, Refusal
from fencepost.store.tasks import TaskStore
from fencepost.store.transitions_by_id import TransitionCall, TransitionStore, Verb

# The states between the moment a task is ready and its end.
AT_WORK = frozenset({"ready", "requested", "in-progress"})


class UnexpectedState(Exception):
    """The task is in none of the states that the transition is allowed from; `task` is the current task."""

    def __init__(self, task: Task) -> None:
        self.task = task
        super().__init__(f"task {task.id!r} is {task.status}")


class TransitionsById:
    """Applies transitions by id to the tasks of a database."""

    def __init__(self, store: TransitionStore, tasks: TaskStore, definitions: Definitions, wakeups: Wakeups) -> None:
        self._store = store
        self._tasks = tasks
        self._definitions = definitions
        self._wakeups = wakeups

    async def apply(
        self,
        id: str,
        verb: Verb,
        *,
        allowed: Collection[str] = AT_WORK,
        caller: str,
        worker: str | None = None,
        content: bytes | None = None,
    ) -> Task:
        """Apply `verb` to a task that is in one of the states of `allowed`; return the changed task.

        A ready task is leased and started first where the verb needs that. `content` is the result of a success or the
        error of a failure, a JSON object's text.

        Raises UnexpectedState, or Refusal: `task-not-found`, `task-has-a-limit`, the refusal of a content that does not
        fit the definition's schema, or `unavailable` when other callers keep changing the task.
        """
        call = TransitionCall(id=id, verb=verb, allowed=allowed, caller=caller, worker=worker, content=content)
        task: Task | None = None
        for _ in range(TRIES):
            moved = await self._store.apply(call)
            if moved is not None:
                await self._announce(moved)
                return moved
            task = await self._tasks.find(id)
            if task is None:
                raise Refusal(TASK_NOT_FOUND, field="id", id=id)
            if task.status not in allowed:
                raise UnexpectedState(task)
            if verb in ("success", "fail"):
                await self._definitions.check_end(task, verb, content)
            call = replace(call, checked=task.definition_version)
        assert task is not None, "it was found each time"
        raise await self._stuck(task)

    async def _stuck(self, task: Task) -> Refusal:
        """Return the reason why a task in an allowed state did not change."""
        newest = (await self._definitions.newest(task.definition)).document
        if task.status == "ready" and isinstance(newest, TaskDefinition) and newest.concurrency_limit is not UNSET:
            return Refusal(TASK_HAS_A_LIMIT, field="id", id=task.id, definition=task.definition)
        return too_contended(f"task {task.id!r}")

    async def _announce(self, task: Task) -> None:
        if task.status == "ready":
            self._wakeups.ready(task.definition)
        elif task.status == "done":
            await self._definitions.freed(task.definition)
            self._wakeups.ended(task.definition, [task.id])
        else:
            self._wakeups.deadline(0.0)
