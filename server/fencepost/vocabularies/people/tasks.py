"""Use cases of people tasks. Each command names the user who acts."""

from __future__ import annotations

from fencepost.domain.listing import Portion
from fencepost.errors import Refusal
from fencepost.vocabularies.people.commands import Actor, Command
from fencepost.vocabularies.people.directory import Directory
from fencepost.vocabularies.people.errors import (
    NOT_A_MEMBER,
    NOT_EXACTLY_ONE,
    PEOPLE_TASK_COMPLETED,
    PEOPLE_TASK_LOCKED,
    PEOPLE_TASK_NOT_COMPLETED,
    PEOPLE_TASK_NOT_FOUND,
    TASK_REMOVAL,
    USER_NEEDED,
)
from fencepost.vocabularies.people.lists import TaskLists
from fencepost.vocabularies.people.process import ProcessStep
from fencepost.vocabularies.people.statuses import CLOSED, STATUS_NAMES
from fencepost.vocabularies.people.store.command_transaction import Executed
from fencepost.vocabularies.people.store.tasks import PeopleStore
from fencepost.vocabularies.people.streams import Replay, Stream, replay
from fencepost.vocabularies.people.task import Notes, PageKey, PeopleTask, TaskList

_OPEN = tuple(status for status in STATUS_NAMES if status not in CLOSED)


class PeopleTasks:
    """The use cases of people tasks."""

    def __init__(self, store: PeopleStore, lists: TaskLists, directory: Directory) -> None:
        self._store = store
        self._lists = lists
        self._directory = directory

    async def get(self, id: str, field: str = "id") -> PeopleTask:
        """Return a task; raise Refusal (`people-task-not-found`)."""
        task = await self._store.find(id)
        if task is None:
            raise Refusal(PEOPLE_TASK_NOT_FOUND, field=field, id=id)
        return task

    async def of_list(self, code: str, *, after: int | None, size: int) -> Portion[PeopleTask]:
        """Return the tasks of a list after a line number, by line number."""
        found = await self._lists.get(code, "taskList")
        return await self._store.page_of_list(found.seq, after=after, size=size)

    async def first_tasks(self, task_list: TaskList, *, size: int) -> Portion[PeopleTask]:
        """Return the first tasks of a list that was just created."""
        return await self._store.first_of_list(task_list.seq, size=size)

    async def get_by_step(self, code: str, step: str) -> PeopleTask:
        """Return the one task of a list for a step; raise Refusal (`not-exactly-one`)."""
        found = await self._lists.get(code, "taskList")
        count, task = await self._store.find_by_step(found.seq, step)
        if task is None or count != 1:
            raise Refusal(NOT_EXACTLY_ONE, field="processStep", task_list=code, code=step, count=count)
        return task

    async def pending(self, *, after: PageKey | None, size: int) -> Portion[PeopleTask]:
        """Return the pending tasks of all live lists after a position, by team and due date."""
        return await self._store.pending(after=after, size=size)

    async def assigned_to(
        self, user: str, *, with_closed: bool, after: PageKey | None, size: int
    ) -> Portion[PeopleTask]:
        """Return the tasks of live lists that are assigned to a user, after a position, by team and due date."""
        statuses = None if with_closed else _OPEN
        return await self._store.of_user(user, statuses=statuses, after=after, size=size)

    async def execute(self, id: str, command: Command, actor: Actor, *, confirm: bool = True) -> Executed:
        """Run a command: `confirm` processes its events at once, otherwise they are kept as drafts."""
        return await self._store.execute(id, command, actor, confirm=confirm)

    async def confirm(self, id: str, stream: Stream, number: int, actor: Actor) -> Executed:
        """Process a drafted event. Idempotent."""
        return await self._store.confirm(id, stream, number, actor)

    async def write_notes(self, id: str, notes: Notes, actor: Actor) -> PeopleTask:
        """Write notes to a task; its status stays."""
        await self._store.write_notes(await self.get(id), actor, notes)
        return await self.get(id)

    async def lock(self, id: str, actor: Actor, *, locked: bool) -> PeopleTask:
        """Lock a task for editing, or unlock it; raise Refusal (`people-task-locked`) when another user holds it."""
        task = await self.get(id)
        done = await self._store.write_notes(task, actor, Notes(locked_by=actor.user if locked else None))
        task = await self.get(id)
        if not done:
            raise Refusal(PEOPLE_TASK_LOCKED, field="id", id=id, user=task.locked_by)
        return task

    async def link_mail(self, id: str, mail_message: str, actor: Actor, *, size: int) -> Portion[str]:
        """Link a mail message to a task; return the first messages that are linked to it."""
        return await self._store.link_mail(await self.get(id), actor, mail_message, size=size)

    async def mails(self, id: str, *, after: str | None, size: int) -> Portion[str]:
        """Return the mail messages that are linked to a task, after one of them."""
        return await self._store.mails((await self.get(id)).seq, after=after, size=size)

    async def step_of(self, id: str) -> tuple[PeopleTask, ProcessStep]:
        """Return a task and its step."""
        task = await self.get(id)
        return task, await self._lists.step(task.process, task.fields.process_step, task.process_version)

    async def history(self, id: str) -> tuple[PeopleTask, Replay]:
        """Return a task and its replay, with drafts and the changes of the core task."""
        task = await self.get(id)
        streams = await self._store.history(task.seq)
        return task, replay(task.initial, streams.events, streams.changes)

    async def remove(self, id: str) -> PeopleTask:
        """Raise Refusal (`task-removal`), always."""
        await self.get(id)
        raise Refusal(TASK_REMOVAL, field="id")

    async def assert_not_completed(self, id: str) -> PeopleTask:
        """Return a task; raise Refusal (`people-task-completed`)."""
        task = await self.get(id)
        if task.current.status == "CO":
            raise Refusal(PEOPLE_TASK_COMPLETED, field="id", id=id, status="completed")
        return task

    async def assert_user_is_valid(self, id: str, user: str) -> PeopleTask:
        """Return a task; raise Refusal (`not-a-member`) unless the user is a member of its team."""
        task = await self.get(id)
        if not await self._directory.is_member(user, task.current.team):
            raise Refusal(NOT_A_MEMBER, field="user", user=user, team=task.current.team)
        return task

    async def validate_after_completed(self, id: str) -> PeopleTask:
        """Return a task; raise Refusal unless it is completed, with a time and, for a manual task, a user."""
        task = await self.get(id)
        if task.current.completion_date_time is None:
            status = STATUS_NAMES[task.current.status].lower()
            raise Refusal(PEOPLE_TASK_NOT_COMPLETED, field="id", id=id, status=status)
        if task.current.user is None and task.fields.flow == "M":
            raise Refusal(USER_NEEDED, field="id", status=STATUS_NAMES["CO"])
        return task
