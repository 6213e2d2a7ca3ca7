"""What can be done with a task by who wants it done, a use case a method. Creates come as a list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple
from uuid import uuid4

from fencepost.domain.builtin import TIMERS, timer_of
from fencepost.domain.ids import IdKind, kind_of, seq_of
from fencepost.domain.listing import Direction, Filter, LogPlace, Portion, Sort
from fencepost.domain.payload import same_payload
from fencepost.domain.task import ChangedTask, Entry, ShortTask, Task, TaskWithSettings, workflow_of
from fencepost.engine.definitions import Definitions
from fencepost.engine.leases import fragment
from fencepost.engine.outcomes import TRIES, Outcomes, gather, too_contended
from fencepost.engine.wakeups import Wakeups
from fencepost.errors import (
    ALREADY_EXISTS,
    TASK_HAS_BEEN_DONE,
    TASK_IS_A_DECISION,
    TASK_NOT_DONE,
    TASK_NOT_FOUND,
    WORKFLOW_HAS_BEEN_DONE,
    Refusal,
    invalid_params,
)
from fencepost.store.tasks import WHOLE_LOG, Created, Page, TaskStore
from fencepost.store.workflows import WorkflowStore


class NewTask(NamedTuple):
    """What a caller asks to be done; JSON members are text, `execute_at` is ISO-8601 with a zone."""

    definition: str
    id: str | None
    label: str | None
    params: bytes | None
    execute_at: str | None
    requester: bytes
    caller: str
    settings: bytes | None = None


class Tasks:
    """The tasks of a database. With `short`, the tasks given back may be short ones."""

    def __init__(self, store: TaskStore, workflows: WorkflowStore, definitions: Definitions, wakeups: Wakeups) -> None:
        self._store = store
        self._workflows = workflows
        self._definitions = definitions
        self._wakeups = wakeups

    async def create(self, news: Sequence[NewTask], *, short: bool = False) -> Outcomes[ChangedTask]:
        """Create tasks under the newest versions of their definitions; an id and content again is the same task."""
        outcomes: list[ChangedTask | Exception | None] = [None] * len(news)
        calls: dict[int, dict[str, Any]] = {}
        for place, new in enumerate(news):
            try:
                calls[place] = _call(new, await self._checked(new))
            except Refusal as refusal:
                outcomes[place] = refusal
        # What has an id of the server's own can only exist already.
        begun = [place for place in calls if (id := news[place].id) is None or seq_of(id) is None]
        created = await self._store.create([calls[place] for place in begun], short=short)
        self._announce(created)
        if any(news[place].settings is not None for place in begun):
            # It may expire.
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
        """End a live task as canceled."""
        if kind_of(id) is IdKind.DECISION:
            raise Refusal(TASK_IS_A_DECISION, at="$.id", id=id, workflow=workflow_of((await self.get(id)).task))
        for _ in range(TRIES):
            if task := await self._changed("cancel", id, caller):
                await self._definitions.freed(task.definition)
                return await self._definitions.with_settings(task)
            now = (await self.get(id)).task
            if now.status == "done":
                raise Refusal(TASK_HAS_BEEN_DONE, at="$.id", id=id, outcome=now.outcome)
        raise too_contended(f"task {id!r}")

    async def retry(self, id: str, *, caller: str) -> TaskWithSettings:
        """Give a done task that did not succeed a fresh allowance of attempts."""
        for _ in range(TRIES):
            if task := await self._changed("retry", id, caller):
                self._wakeups.ready(task.definition)
                return await self._definitions.with_settings(task)
            now = (await self.get(id)).task
            if now.status != "done":
                raise Refusal(TASK_NOT_DONE, at="$.id", id=id, status=now.status)
            if now.outcome == "succeeded":
                raise Refusal(TASK_HAS_BEEN_DONE, at="$.id", id=id, outcome=now.outcome)
            if now.definition in TIMERS:
                raise invalid_params(f"{now.definition} cannot be begun again; create another one", "$.id")
            if kind_of(id) is not IdKind.PLAIN:
                await self._still_wanted(now)
        raise too_contended(f"task {id!r}")

    async def get(self, id: str) -> TaskWithSettings:
        """Return a task as it stands; raise Refusal when there is none."""
        task = await self._store.find(id)
        if task is None:
            raise Refusal(TASK_NOT_FOUND, at="$.id", id=id)
        return await self._definitions.with_settings(task)

    async def list(
        self, wanted: Filter, *, sort: Sort, direction: Direction, position: tuple[str, int] | None, size: int
    ) -> tuple[Sequence[TaskWithSettings], Page]:
        """Return the tasks of one page, and the page, with where the next one begins."""
        page: Page = await self._store.list(wanted, sort=sort, direction=direction, position=position, size=size)
        return await self._definitions.all_with_settings(page.tasks), page

    async def count(self, wanted: Filter, *, seconds: float) -> int | None:
        """Return how many tasks there are; None when that was not to be counted in time."""
        return await self._store.count(wanted, seconds=seconds)

    async def log(self, task: Task, place: LogPlace) -> Portion[Entry]:
        """Return part of a task's log, as far as the task stands as it was read.

        What came since then is left to who reads the task again.
        """
        if place.direction == "desc" and (place.version or 2**31 - 1) > task.version:
            place = place._replace(version=task.version + 1)
        page = await self._store.entries(task.id, place)
        known = [entry for entry in page.items if entry.version <= task.version]
        if task.definition in self._definitions.documents.moved_by_id:
            known = [entry._replace(exec_id=None) for entry in known]
        return Portion(known, page.more and len(known) == len(page.items))

    async def count_log(self, task: Task) -> int:
        """Return how many entries a task's log has; a short one has each of them."""
        return task.version if task.version <= WHOLE_LOG else await self._store.count_entries(task.id)

    async def creator(self, id: str) -> str:
        """Return who created a task: its client, or who is recorded for the workflow, schedule or trigger."""
        return (await self._store.first_entry(id)).caller

    async def _changed(self, verb: Literal["cancel", "retry"], id: str, caller: str) -> Task | None:
        (outcome,) = await self._store.change(verb, [{"id": id, "caller": caller}])
        if isinstance(outcome, Exception):
            raise outcome
        assert not isinstance(outcome, ShortTask), "nobody asked for a short one"
        return outcome

    async def _still_wanted(self, task: Task) -> None:
        """Raise Refusal when the workflow that a task belongs to is over."""
        id = workflow_of(task)
        if (found := await self._workflows.find(id)) is not None and found.workflow.status == "done":
            raise Refusal(WORKFLOW_HAS_BEEN_DONE, at="$.id", id=id, outcome=found.workflow.outcome)

    async def _checked(self, new: NewTask) -> int:
        """Check params against the newest version of their definition and return that version."""
        version, definition = await self._definitions.newest_task(new.definition)
        await self._definitions.checks.made(lambda: definition.begin(new.params))
        return version

    async def _retry_on_conflict(self, new: NewTask, call: dict[str, Any]) -> ChangedTask:
        """A create did nothing: its id is taken, or its definition has moved on, and it is worth another try."""
        for _ in range(TRIES):
            if new.id is not None and (existing := await self._store.find(new.id)):
                return await self._existing(existing, new)
            if new.id is not None and seq_of(new.id) is not None:
                raise invalid_params(f"{new.id!r} is of the form that only the server gives out", at="$.id")
            self._definitions.forget(new.definition)
            call["version"] = await self._checked(new)
            (created,) = await self._store.create([call], short=False)
            if isinstance(created, Exception):
                raise created
            if created is not None:
                self._announce([created])
                return await self._definitions.changed(created.task)
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
            raise Refusal(ALREADY_EXISTS, at="$.id", id=task.id)
        return await self._definitions.changed(task)

    def _announce(self, created: Sequence[Created | Exception | None]) -> None:
        """Tell who waits of the tasks that are ready, and of the deadlines at which others will be."""
        new = [one for one in created if isinstance(one, Created)]
        for definition, count in Counter(one.task.definition for one in new if one.due_in is None).items():
            self._wakeups.ready(definition, count)
        for one in new:
            if one.due_in is not None:
                self._wakeups.deadline(one.due_in)


def _call(new: NewTask, version: int) -> dict[str, Any]:
    timer = timer_of(new.definition, new.params, new.execute_at)
    # A task that begins in the same transaction needs an id: after a lost reply it is found by that.
    begins = {} if timer is None else {"timer": timer, "id": new.id or str(uuid4())}
    return {
        "id": new.id,
        "definition": new.definition,
        "version": version,
        "label": new.label,
        "params": fragment(new.params),
        "execute_at": new.execute_at,
        "settings": fragment(new.settings),
        "requester": fragment(new.requester),
        "caller": new.caller,
        **begins,
    }
