"""The store of people tasks and task lists; each call is one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fencepost.clock import Clock
from fencepost.domain.listing import Portion
from fencepost.store.batches import Wakeup
from fencepost.store.connection import Connection, fetch
from fencepost.store.database import Database
from fencepost.store.statements import statement
from fencepost.vocabularies.people.commands import Actor, Command
from fencepost.vocabularies.people.store.command_transaction import Executed, execute, write_notes
from fencepost.vocabularies.people.store.command_transaction import confirm as confirm_draft
from fencepost.vocabularies.people.store.queries import (
    Streams,
    find_list,
    find_task,
    list_tasks,
    load_streams,
    page_params,
    tasks_of_page,
)
from fencepost.vocabularies.people.store.task_lists import NewLine, add_task, close_list
from fencepost.vocabularies.people.streams import Stream
from fencepost.vocabularies.people.task import Notes, PageKey, PeopleTask, TaskList


class PeopleStore:
    """The statements of sql/queries/people."""

    def __init__(
        self, database: Database, clock: Clock, on_wakeups: Callable[[Sequence[Wakeup]], None] | None = None
    ) -> None:
        self._database = database
        self._clock = clock
        self._on_wakeups = on_wakeups or (lambda _: None)

    async def find(self, id: str) -> PeopleTask | None:
        """Return a task; None when no people task has that id."""
        return await self._database.run(lambda connection: find_task(connection, id))

    async def page_of_list(self, seq: int, *, after: int | None, size: int) -> Portion[PeopleTask]:
        """Return the tasks of a list after a line number, by line number."""
        params = {"workflow_seq": seq, "after": after}
        return tasks_of_page(await self._database.reads.page(statement("people/page_tasks_of_list"), params, size=size))

    async def first_of_list(self, seq: int, *, size: int) -> Portion[PeopleTask]:
        """Return the first tasks of a list that was just created, without waiting for other reads."""
        params = {"workflow_seq": seq, "after": None}
        return tasks_of_page(await self._database.page(statement("people/page_tasks_of_list"), params, size=size))

    async def find_by_step(self, seq: int, step: str) -> tuple[int, PeopleTask | None]:
        """Return how many tasks a list has for a step, and the first of them."""

        def job(connection: Connection) -> tuple[int, PeopleTask | None]:
            ((count, first),) = fetch(
                connection, statement("people/count_tasks_of_step"), {"workflow_seq": seq, "step": step}
            )
            found = list_tasks(connection, seq, seq=first) if count else []
            return count, found[0] if found else None

        return await self._database.reads.run(job)

    async def pending(self, *, after: PageKey | None, size: int) -> Portion[PeopleTask]:
        """Return the pending tasks of all live lists after a position, by team, due date and number."""
        return tasks_of_page(
            await self._database.reads.page(statement("people/pending_tasks"), page_params(after), size=size)
        )

    async def of_user(
        self, user: str, *, statuses: Sequence[str] | None, after: PageKey | None, size: int
    ) -> Portion[PeopleTask]:
        """Return the tasks of a user in all live lists after a position, by team, due date and number."""
        params = {"statuses": None if statuses is None else list(statuses), "member": user, **page_params(after)}
        return tasks_of_page(await self._database.reads.page(statement("people/tasks_of_user"), params, size=size))

    async def task_list(self, code: str) -> TaskList | None:
        """Return a task list, or None."""
        return await self._database.run(lambda connection: find_list(connection, code))

    async def history(self, seq: int) -> Streams:
        """Return the streams of a task, with the connections of reads."""
        return (await self._database.reads.run(lambda connection: load_streams(connection, [seq])))[seq]

    async def execute(self, id: str, command: Command, actor: Actor, *, confirm: bool) -> Executed:
        """Run a command in one transaction; see `command_transaction.execute` for the errors."""
        now = self._clock.now()
        return await self._run(lambda connection: execute(connection, id, command, actor, now, confirm=confirm))

    async def confirm(self, id: str, stream: Stream, number: int, actor: Actor) -> Executed:
        """Process a draft in one transaction; see `command_transaction.confirm` for the errors."""
        now = self._clock.now()
        return await self._run(lambda connection: confirm_draft(connection, id, stream, number, actor, now))

    async def write_notes(self, task: PeopleTask, actor: Actor, notes: Notes) -> bool:
        """Write notes to a task; return False when they would overwrite the lock of another user."""
        now = self._clock.now()
        return await self._database.run(lambda connection: write_notes(connection, task, actor, notes, now))

    async def link_mail(self, task: PeopleTask, actor: Actor, mail_message: str, *, size: int) -> Portion[str]:
        """Link a mail message to a task; return the first messages that are linked to it."""
        now = self._clock.now()

        def job(connection: Connection) -> Portion[str]:
            with connection.transaction():
                write_notes(connection, task, actor, Notes(), now)
                fetch(connection, statement("people/link_mail"), {"seq": task.seq, "mail_message": mail_message})
                params = {"seq": task.seq, "after": None, "size": size + 1}
                mails = [mail for (mail,) in fetch(connection, statement("people/list_mails"), params)]
                return Portion(mails[:size], len(mails) > size)

        return await self._database.run(job)

    async def mails(self, seq: int, *, after: str | None, size: int) -> Portion[str]:
        """Return the mail messages that are linked to a task, after one of them."""
        page = await self._database.reads.page(statement("people/list_mails"), {"seq": seq, "after": after}, size=size)
        return Portion([mail for (mail,) in page.items], page.more)

    async def add(self, task_list: TaskList, new: NewLine) -> PeopleTask:
        """Add a task to a list; see `task_lists.add_task` for the errors."""
        now = self._clock.now()
        task, wakeups = await self._database.run(lambda connection: add_task(connection, task_list, new, now))
        self._on_wakeups(wakeups)
        return task

    async def close(self, task_list: TaskList, result: bytes | None, *, caller: str) -> None:
        """Close a list; see `task_lists.close_list` for the errors."""
        now = self._clock.now()
        wakeups = await self._database.run(lambda connection: close_list(connection, task_list, result, caller, now))
        self._on_wakeups(wakeups)

    async def _run(self, job: Callable[[Connection], Executed]) -> Executed:
        executed = await self._database.run(job)
        self._on_wakeups(executed.wakeups)
        return executed
