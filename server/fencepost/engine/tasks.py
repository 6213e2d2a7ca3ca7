"""Use cases of tasks, one a method. Creates come in batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal, NamedTuple
from uuid import uuid4

from msgspec import Raw
from msgspec.structs import replace

from fencepost.domain.builtin import TIMERS, timer_of
from fencepost.domain.ids import IdKind, kind_of, new_prefixes, seq_of
from fencepost.domain.listing import Direction, Filter, LogPlace, Portion, Sort
from fencepost.domain.payload import same_payload
from fencepost.domain.task import ChangedTask, Entry, ShortTask, Task, TaskWithSettings, client_requester, workflow_of
from fencepost.engine.definitions import Definitions
from fencepost.engine.outcomes import TRIES, Outcomes, gather, too_contended
from fencepost.engine.wakeups import Wakeups
from fencepost.errors import (
    ALREADY_ENDED,
    ALREADY_EXISTS,
    TASK_HAS_BEEN_DONE,
    TASK_IS_A_DECISION,
    TASK_NOT_DONE,
    TASK_NOT_FOUND,
    WORKFLOW_HAS_BEEN_DONE,
    Refusal,
    invalid_params,
)
from fencepost.store.calls import CreateTask, TaskCall, raw
from fencepost.store.handovers import HANDED_OVER
from fencepost.store.tasks import WHOLE_LOG, Created, Page, TaskStore
from fencepost.store.workflows import WorkflowStore


class NewTask(NamedTuple):
    """A task to create; JSON members are text, `execute_at` is ISO-8601 with a zone."""

    definition: str
    id: str | None
    label: str | None
    params: bytes | None
    execute_at: str | None
    caller: str
    settings: bytes | None = None


class Tasks:
    """The tasks of a database. With `short`, the returned tasks may be in their short form."""

    def __init__(self, store: TaskStore, workflows: WorkflowStore, definitions: Definitions, wakeups: Wakeups) -> None:
        self._store = store
        self._workflows = workflows
        self._definitions = definitions
        self._wakeups = wakeups

    async def create(self, news: Sequence[NewTask], *, short: bool = False) -> Outcomes[ChangedTask]:
        """Create tasks under the newest versions of their definitions. Idempotent for an id with the same content."""
        outcomes: list[ChangedTask | Exception | None] = [None] * len(news)
        calls: dict[int, CreateTask] = {}
        prefixes = new_prefixes(len(news))
        for place, new in enumerate(news):
            try:
                calls[place] = _call(new, await self._checked(new), prefixes[place])
            except Refusal as refusal:
                outcomes[place] = refusal
        # An id in the server's own form can only be that of an existing task.
        begun = [place for place in calls if (id := news[place].id) is None or seq_of(id) is None]
        created = await self._store.create([calls[place] for place in begun], short=short)
        self._announce(created)
        if any(news[place].settings is not None for place in begun):
            # It may have an expiry.
            self._wakeups.deadline(0.0)
        for place, one in zip(begun, created, strict=True):
            outcomes[place] = await self._definitions.changed(one.task) if isinstance(one, Created) else one
        late = [place for place, outcome in enumerate(outcomes) if outcome is None]
        for place, retried in zip(
            late, await gather(self._retry_on_conflict(news[place], calls[place]) for place in late), strict=True
        ):
            outcomes[place] = retried
        return [outcome for outcome in outcomes if outcome is not None]

    async def cancel(self, id: str, *, caller: str) -> TaskWithSettings:
        """Cancel a live task.

        Raises Refusal: `task-not-found`, `task-has-been-done`, `task-is-a-decision`, `unavailable`.
        """
        if kind_of(id) is IdKind.DECISION:
            raise Refusal(TASK_IS_A_DECISION, field="id", id=id, workflow=workflow_of((await self.get(id)).task))
        for _ in range(TRIES):
            if task := await self._changed("cancel", id, caller):
                await self._definitions.freed(task.definition)
                self._wakeups.ended(task.definition, [id])
                return await self._definitions.with_settings(task)
            now = (await self.get(id)).task
            if now.status == "done":
                raise Refusal(TASK_HAS_BEEN_DONE, field="id", id=id, outcome=now.outcome)
        raise too_contended(f"task {id!r}")

    async def retry(self, id: str, *, caller: str) -> TaskWithSettings:
        """Make a failed or canceled task ready again, with all its attempts.

        Raises Refusal: `task-not-found`, `task-not-done`, `task-has-been-done` if it succeeded, `invalid-params` for a
        timer, `workflow-has-been-done`, `unavailable`.
        """
        for _ in range(TRIES):
            if task := await self._changed("retry", id, caller):
                self._wakeups.ready(task.definition)
                return await self._definitions.with_settings(task)
            now = (await self.get(id)).task
            if now.status != "done":
                raise Refusal(TASK_NOT_DONE, field="id", id=id, status=now.status)
            if now.outcome == "succeeded":
                raise Refusal(TASK_HAS_BEEN_DONE, field="id", id=id, outcome=now.outcome)
            if now.definition in TIMERS:
                raise invalid_params(f"{now.definition} cannot be started again; create another one", "id")
            if kind_of(id) is not IdKind.PLAIN:
                await self._still_wanted(now)
        raise too_contended(f"task {id!r}")

    async def get(self, id: str) -> TaskWithSettings:
        """Return a task; raise Refusal (`task-not-found`)."""
        task = await self._store.find(id)
        if task is None:
            raise Refusal(TASK_NOT_FOUND, field="id", id=id)
        return await self._definitions.with_settings(task)

    async def list(
        self, wanted: Filter, *, sort: Sort, direction: Direction, position: tuple[str, int] | None, size: int
    ) -> tuple[Sequence[TaskWithSettings], Page]:
        """Return the tasks of a page, and the page with the position of the next one."""
        page: Page = await self._store.list(wanted, sort=sort, direction=direction, position=position, size=size)
        return await self._definitions.all_with_settings(page.tasks), page

    async def count(self, wanted: Filter, *, seconds: float) -> int | None:
        """Return the number of tasks; None when the count exceeds `seconds`."""
        return await self._store.count(wanted, seconds=seconds)

    async def log(self, task: Task, place: LogPlace) -> Portion[Entry]:
        """Return a page of a task's log, up to the version of `task`.

        Later entries are left out, so that the log agrees with the task that was read.
        """
        if place.direction == "desc" and (place.version or 2**31 - 1) > task.version:
            place = place._replace(version=task.version + 1)
        page = await self._store.entries(task.id, place)
        known = [entry for entry in page.items if entry.version <= task.version]
        if task.definition in self._definitions.documents.moved_by_id:
            known = [entry._replace(exec_id=None) for entry in known]
        return Portion(known, page.more and len(known) == len(page.items))

    async def count_log(self, task: Task) -> int:
        """Return the number of entries of a task's log. A short log is never thinned: it has one for each version."""
        return task.version if task.version <= WHOLE_LOG else await self._store.count_entries(task.id)

    async def creator(self, id: str) -> str:
        """Return the name of a task's creator: a client, or the caller recorded for a workflow, schedule or trigger."""
        return (await self._store.first_entry(id)).caller

    async def _changed(self, verb: Literal["cancel", "retry"], id: str, caller: str) -> Task | None:
        (outcome,) = await self._store.change(verb, [TaskCall(id, seq_of(id), kind_of(id), caller)])
        if isinstance(outcome, Exception):
            raise outcome
        assert not isinstance(outcome, ShortTask), "the call asked for the whole resource"
        return outcome

    async def _still_wanted(self, task: Task) -> None:
        """Raise Refusal (`workflow-has-been-done`) when the workflow of a task is done."""
        id = workflow_of(task)
        if (found := await self._workflows.find(id)) is not None and found.workflow.status == "done":
            raise Refusal(WORKFLOW_HAS_BEEN_DONE, field="id", id=id, outcome=found.workflow.outcome)

    async def _checked(self, new: NewTask) -> int:
        """Check params against the newest version of their definition; return that version."""
        version, definition = await self._definitions.newest_task(new.definition)
        await self._definitions.checks.made(lambda: definition.begin(new.params))
        return version

    async def _retry_on_conflict(self, new: NewTask, call: CreateTask) -> ChangedTask:
        """Handle a create that changed nothing: its id exists, or its definition is stale; then try again."""
        for _ in range(TRIES):
            if new.id is not None and (existing := await self._store.find(new.id)):
                return await self._existing(existing, new)
            if new.id is not None and seq_of(new.id) is not None:
                raise invalid_params(f"{new.id!r} is of the form that only the server gives out", field="id")
            self._definitions.forget(new.definition)
            call = replace(call, version=await self._checked(new))
            (created,) = await self._store.create([call], short=False)
            if isinstance(created, Exception):
                raise created
            if created is not None:
                self._announce([created])
                return await self._definitions.changed(created.task)
        if new.id is not None and await self._store.receipts.is_named(new.id) and not await self._store.find(new.id):
            raise Refusal(ALREADY_ENDED, field="id", id=new.id)
        raise too_contended(f"definition {new.definition!r}" if new.id is None else f"task {new.id!r}")

    async def _existing(self, task: Task, new: NewTask) -> ChangedTask:
        same = (
            task.definition == new.definition
            and task.label == new.label
            and same_payload(task.params, new.params)
            and same_payload(task.settings, new.settings)
            and await self._store.matches_execute_at(task.id, new.execute_at)
        )
        if not same:
            raise Refusal(ALREADY_EXISTS, field="id", id=task.id)
        return await self._definitions.changed(task)

    def _announce(self, created: Sequence[Created | Exception | None]) -> None:
        """Publish wake-ups for the ready tasks, and for the deadlines of the others."""
        new = [one for one in created if isinstance(one, Created)]
        for definition, count in Counter(one.task.definition for one in new if one.due_in is None).items():
            self._wakeups.ready(definition, count)
        for one in new:
            if one.due_in is not None and one.due_in != HANDED_OVER:
                self._wakeups.deadline(one.due_in)


def _call(new: NewTask, version: int, prefix: str) -> CreateTask:
    timer = timer_of(new.definition, new.params, new.execute_at)
    # A task that begins in the same transaction needs an id: after a lost reply it is found by that.
    id = new.id if timer is None else new.id or str(uuid4())
    return CreateTask(
        id,
        prefix if id is None else None,
        new.definition,
        version,
        new.label,
        raw(new.params),
        new.execute_at,
        raw(new.settings),
        Raw(client_requester(new.caller)),
        new.caller,
        timer,
    )
