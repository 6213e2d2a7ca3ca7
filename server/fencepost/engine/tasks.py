"""What can be done with a task, a use case a method."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import orjson

from fencepost.domain.definition import TaskDefinition
from fencepost.domain.listing import Direction, Filter, Sort
from fencepost.domain.payload import same_payload
from fencepost.domain.task import Entry, HeldTask, Task
from fencepost.engine.attempts import Verb, explain
from fencepost.engine.definitions import Definitions
from fencepost.engine.hints import Hints
from fencepost.errors import (
    ALREADY_EXISTS,
    TASK_HAS_BEEN_DONE,
    TASK_NOT_DONE,
    TASK_NOT_FOUND,
    UNAVAILABLE,
    Refusal,
    invalid_params,
)
from fencepost.store.ids import seq_of
from fencepost.store.tasks import Page, TaskStore

# A guard fails, the explanation finds nothing wrong, and so on: somebody changed the task in between each time.
_TRIES = 5


class Lease(NamedTuple):
    """Which execution of which task a worker speaks of, and who speaks."""

    id: str
    exec_id: str
    caller: str


class NewTask(NamedTuple):
    """What a caller asks to be done; JSON members are text, `execute_at` is ISO-8601 with a zone."""

    definition: str
    id: str | None
    label: str | None
    params: bytes | None
    execute_at: str | None
    requester: bytes
    caller: str


class Renewal(NamedTuple):
    """The answer to a notification: the new deadline, or that the task was canceled."""

    deadline_at: str | None
    cancel_requested: bool


class Tasks:
    """The tasks of a database."""

    def __init__(self, store: TaskStore, definitions: Definitions, hints: Hints) -> None:
        self._store = store
        self._definitions = definitions
        self._hints = hints

    async def create(self, new: NewTask) -> HeldTask:
        """Create a task under the newest version of its definition; the same id and content again is the same task."""
        if new.id is not None and seq_of(new.id) is not None:
            return await self._known(new.id, new)
        for _ in range(_TRIES):
            definition = await self._definitions.newest(new.definition)
            if schema := definition.task.params_schema:
                schema.check(new.params, at="$.params")
            created = await self._store.create(
                {
                    "id": new.id,
                    "definition": new.definition,
                    "version": definition.version,
                    "label": new.label,
                    "params": _raw(new.params),
                    "execute_at": new.execute_at,
                    "requester": _raw(new.requester),
                    "caller": new.caller,
                }
            )
            if created is not None:
                task, due_in = created
                self._announce(task, due_in)
                return HeldTask(task, definition.task)
            if new.id is not None and (existing := await self._store.find(new.id)):
                return await self._existing(existing, new)
            self._definitions.forget(new.definition)
        raise Refusal(UNAVAILABLE, retry_after=1, reason=f"definition {new.definition!r} keeps changing; try again")

    async def start(self, lease: Lease) -> HeldTask:
        """Begin the execution of a leased task."""
        return await self._change("start", lease, {})

    async def success(self, lease: Lease, result: bytes | None) -> HeldTask:
        """End an execution well; a result that does not fit the definition's schema is refused and nothing changes."""
        held = await self._change("success", lease, {"result": _raw(result), "checked": None}, result)
        await self._freed(held.task)
        return held

    async def fail(self, lease: Lease, error: bytes | None) -> HeldTask:
        """End an execution as failed: the task waits for its next attempt, or is done when none is left."""
        held = await self._change("fail", lease, {"error": _raw(error), "checked": None}, error)
        if held.task.status == "waiting":
            self._hints.deadline(held.settings.retry_delay / 1000)
        await self._freed(held.task)
        return held

    async def release(self, lease: Lease, *, action: str = "awf.task/release") -> HeldTask:
        """Give a lease back: the task is ready at once and the attempt is not counted."""
        held = await self._change("release", lease, {"action": action})
        self._hints.ready(held.task.definition)
        return held

    async def notify(self, lease: Lease, notification: bytes) -> Renewal:
        """Renew the deadline of a running task; tell its worker when it was canceled."""
        call = {**_fence(lease), "notification": _raw(notification)}
        for _ in range(_TRIES):
            if deadline_at := await self._store.notify(call):
                return Renewal(deadline_at, cancel_requested=False)
            if await self._store.deliver_cancel(lease.id, lease.exec_id, notification, lease.caller):
                return Renewal(None, cancel_requested=True)
            await explain(self._store, "notify", lease.id, lease.exec_id)
        raise _contended(lease.id)

    async def cancel(self, id: str, *, caller: str) -> HeldTask:
        """End a live task as canceled."""
        for _ in range(_TRIES):
            if task := await self._store.change("cancel", {"id": id, "caller": caller}):
                await self._freed(task)
                return await self._definitions.held(task)
            now = (await self.get(id)).task
            if now.status == "done":
                raise Refusal(TASK_HAS_BEEN_DONE, at="$.id", id=id, outcome=now.outcome)
        raise _contended(id)

    async def retry(self, id: str, *, caller: str) -> HeldTask:
        """Give a done task that did not succeed a fresh allowance of attempts."""
        for _ in range(_TRIES):
            if task := await self._store.change("retry", {"id": id, "caller": caller}):
                self._hints.ready(task.definition)
                return await self._definitions.held(task)
            now = (await self.get(id)).task
            if now.status != "done":
                raise Refusal(TASK_NOT_DONE, at="$.id", id=id, status=now.status)
            if now.outcome == "succeeded":
                raise Refusal(TASK_HAS_BEEN_DONE, at="$.id", id=id, outcome=now.outcome)
        raise _contended(id)

    async def get(self, id: str) -> HeldTask:
        """Return a task as it stands; raise Refusal when there is none."""
        task = await self._store.find(id)
        if task is None:
            raise Refusal(TASK_NOT_FOUND, at="$.id", id=id)
        return await self._definitions.held(task)

    async def list(
        self, wanted: Filter, *, sort: Sort, direction: Direction, position: tuple[str, int] | None, size: int
    ) -> tuple[Sequence[HeldTask], tuple[str, int] | None]:
        """Return one page of tasks and where the next one begins."""
        page: Page = await self._store.list(wanted, sort=sort, direction=direction, position=position, size=size)
        return await self._definitions.all_held(page.tasks), page.position

    async def count(self, wanted: Filter) -> int:
        """Return how many tasks there are."""
        return await self._store.count(wanted)

    async def log(self, id: str, *, after: int = 0, size: int = 10_000) -> Sequence[Entry]:
        """Return a task's log, oldest first, behind version `after`."""
        return await self._store.entries(id, after=after, size=size)

    async def _change(
        self,
        verb: Literal["start", "success", "fail", "release"],
        lease: Lease,
        members: dict[str, Any],
        content: bytes | None = None,
    ) -> HeldTask:
        call = {**_fence(lease), **members}
        for _ in range(_TRIES):
            if task := await self._store.change(verb, call):
                return await self._definitions.held(task)
            if task := await explain(self._store, verb, lease.id, lease.exec_id, content):
                return await self._definitions.held(task)
            if "checked" in call:
                call["checked"] = await self._check(verb, lease.id, content)
        raise _contended(lease.id)

    async def _freed(self, task: Task) -> None:
        """Let the polls that wait for a place hear of one."""
        if await self._definitions.limited(task.definition):
            self._hints.ready(task.definition)

    async def _check(self, verb: Verb, id: str, content: bytes | None) -> int:
        """Check what ends an execution against the schema that the task lives under; return that version."""
        task, settings = await self.get(id)
        schema, at = _schema_of(verb, settings)
        if schema:
            schema.check(content, at=at)
        return task.definition_version

    async def _known(self, id: str, new: NewTask) -> HeldTask:
        """Answer a create whose id only the server can have given out: again, or made up."""
        existing = await self._store.find(id)
        if existing is None:
            raise invalid_params(f"{id!r} is of the form that only the server gives out", at="$.id")
        return await self._existing(existing, new)

    async def _existing(self, task: Task, new: NewTask) -> HeldTask:
        same = (
            task.definition == new.definition
            and task.label == new.label
            and same_payload(task.params, new.params)
            and await self._store.asked_for(task.id, new.execute_at)
        )
        if not same:
            raise Refusal(ALREADY_EXISTS, at="$.id", id=task.id)
        return await self._definitions.held(task)

    def _announce(self, task: Task, due_in: float | None) -> None:
        if due_in is None:
            self._hints.ready(task.definition)
        else:
            self._hints.deadline(due_in)


def _schema_of(verb: Verb, settings: TaskDefinition) -> tuple[Any, str]:
    if verb == "success":
        return settings.result_schema, "$.result"
    return settings.error_schema, "$.error"


def _fence(lease: Lease) -> dict[str, Any]:
    return {"id": lease.id, "exec_id": lease.exec_id, "caller": lease.caller}


def _raw(text: bytes | None) -> orjson.Fragment | None:
    return None if text is None else orjson.Fragment(text)


def _contended(id: str) -> Refusal:
    return Refusal(UNAVAILABLE, retry_after=1, reason=f"task {id!r} keeps changing; try again")
