"""People's tasks and task lists, as the engine asks for them: each call is one transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from fencepost.clock import Clock
from fencepost.domain.ids import IdKind, kind_of, seq_of
from fencepost.domain.listing import Portion
from fencepost.domain.payload import same_payload
from fencepost.errors import ALREADY_EXISTS, WORKFLOW_HAS_BEEN_DONE, Refusal, invalid_params
from fencepost.store.batches import Hint
from fencepost.store.connection import Connection, fetch
from fencepost.store.database import Database
from fencepost.store.families import lock
from fencepost.store.statements import statement
from fencepost.vocabularies.people.commands import Deed
from fencepost.vocabularies.people.store import commands as deeds
from fencepost.vocabularies.people.store.acting import Acting
from fencepost.vocabularies.people.store.closing import close
from fencepost.vocabularies.people.store.commands import Acted
from fencepost.vocabularies.people.store.core_tasks import NewCore, make
from fencepost.vocabularies.people.store.rows import Streams, behind, find_list, streams_of, tasks_in, tasks_of
from fencepost.vocabularies.people.streams import Stream
from fencepost.vocabularies.people.task import PeopleTask, Place, TaskList


class NewLine(NamedTuple):
    """A task to add: `params` tells what it begins with, by its line; `first` is the first line that is free for it.

    `once` tells this wish from others: when the reply to it is lost, it is wished again.
    """

    line_number: int | None
    first: int
    once: str
    definition: str
    version: int
    params: Callable[[int], bytes]
    caller: str


class PeopleStore:
    """The statements of sql/queries/people."""

    def __init__(
        self, database: Database, clock: Clock, on_hints: Callable[[Sequence[Hint]], None] | None = None
    ) -> None:
        self._database = database
        self._clock = clock
        self._on_hints = on_hints or (lambda _: None)

    async def find(self, id: str) -> PeopleTask | None:
        """Return a task as it stands."""
        seq = seq_of(id)
        if seq is None or kind_of(id) is not IdKind.ACTIVITY:
            return None

        def job(connection: Connection) -> PeopleTask | None:
            rows = fetch(connection, statement("people/find_workflow"), {"id": id, "seq": seq})
            found = tasks_of(connection, rows[0][0], seq=seq) if rows else []
            return found[0] if found else None

        return await self._database.run(job)

    async def of_list(self, seq: int, *, after: int | None, size: int) -> Portion[PeopleTask]:
        """Return the tasks of a list behind a line, by line."""
        params = {"workflow_seq": seq, "after": after}
        return tasks_in(await self._database.reads.page(statement("people/page_tasks_of_list"), params, size=size))

    async def first_of_list(self, seq: int, *, size: int) -> Portion[PeopleTask]:
        """Return the first tasks of a list that was begun just now; it waits for no read of others."""
        params = {"workflow_seq": seq, "after": None}
        return tasks_in(await self._database.page(statement("people/page_tasks_of_list"), params, size=size))

    async def of_step(self, seq: int, step: str) -> tuple[int, PeopleTask | None]:
        """Return how many tasks a list has for a step, and the first of them."""

        def job(connection: Connection) -> tuple[int, PeopleTask | None]:
            ((count, first),) = fetch(
                connection, statement("people/count_tasks_of_step"), {"workflow_seq": seq, "step": step}
            )
            found = tasks_of(connection, seq, seq=first) if count else []
            return count, found[0] if found else None

        return await self._database.reads.run(job)

    async def pending(self, *, after: Place | None, size: int) -> Portion[PeopleTask]:
        """Return the pending tasks of all live lists behind a place, in the order of teams, due dates and numbers."""
        return tasks_in(await self._database.reads.page(statement("people/pending_tasks"), behind(after), size=size))

    async def of_user(
        self, user: str, *, statuses: Sequence[str] | None, after: Place | None, size: int
    ) -> Portion[PeopleTask]:
        """Return a user's tasks of all live lists behind a place, in the order of teams, due dates and numbers."""
        params = {"statuses": None if statuses is None else list(statuses), "member": user, **behind(after)}
        return tasks_in(await self._database.reads.page(statement("people/tasks_of_user"), params, size=size))

    async def task_list(self, code: str) -> TaskList | None:
        """Return a task list."""
        return await self._database.run(lambda connection: find_list(connection, code))

    async def streams(self, seqs: Sequence[int]) -> Mapping[int, Streams]:
        """Return what tasks are replayed from, by their numbers."""
        return await self._database.run(lambda connection: streams_of(connection, seqs))

    async def history(self, seq: int) -> Streams:
        """Return what a task is replayed from, for somebody who only looks."""
        return (await self._database.reads.run(lambda connection: streams_of(connection, [seq])))[seq]

    async def act(self, acting: Acting, deed: Deed, *, confirmed: bool, checked: bool = True) -> Acted:
        """Record what a deed gives, as drafts or confirmed at once; raise Refusal, and nothing is done."""
        now = self._clock.now()
        return await self._followed(
            lambda connection: deeds.act(connection, acting, deed, now, confirmed=confirmed, checked=checked)
        )

    async def confirm(self, acting: Acting, stream: Stream, number: int) -> Acted:
        """Process a draft; one that is processed already changes nothing."""
        now = self._clock.now()
        return await self._followed(lambda connection: deeds.confirm(connection, acting, stream, number, now))

    async def write(self, acting: Acting, members: dict[str, str | None]) -> bool:
        """Write members of a task; return False when somebody else has locked it and that would be overwritten."""
        now = self._clock.now()
        return await self._database.run(lambda connection: deeds.write(connection, acting, members, now))

    async def link_mail(self, acting: Acting, mail_message: str, *, size: int) -> Portion[str]:
        """Link a mail message to a task; return the first that are linked to it."""
        now = self._clock.now()

        def job(connection: Connection) -> Portion[str]:
            with connection.transaction():
                deeds.write(connection, acting, {}, now)
                fetch(connection, statement("people/link_mail"), {"seq": acting.seq, "mail_message": mail_message})
                params = {"seq": acting.seq, "after": None, "size": size + 1}
                mails = [mail for (mail,) in fetch(connection, statement("people/list_mails"), params)]
                return Portion(mails[:size], len(mails) > size)

        return await self._database.run(job)

    async def mails(self, seq: int, *, after: str | None, size: int) -> Portion[str]:
        """Return the mail messages that are linked to a task, behind one of them."""
        page = await self._database.reads.page(statement("people/list_mails"), {"seq": seq, "after": after}, size=size)
        return Portion([mail for (mail,) in page.items], page.more)

    async def add(self, task_list: TaskList, new: NewLine) -> PeopleTask:
        """Add a task to a list; the same line with the same content again is the same task."""
        now = self._clock.now()

        def job(connection: Connection) -> Acted:
            with connection.transaction():
                live = lock(connection, workflows=[task_list.seq])
                task, hints = _add(connection, task_list, new, now, is_live=task_list.seq in live)
                return Acted(task, (), hints)

        return (await self._followed(job)).task

    async def close(self, task_list: TaskList, result: bytes | None, *, caller: str) -> None:
        """End a list; raise Refusal while any of its tasks is open. One that is over stays as it is."""
        now = self._clock.now()
        hints = await self._database.run(lambda connection: close(connection, task_list, result, caller, now))
        self._on_hints(hints)

    async def _followed(self, job: Callable[[Connection], Acted]) -> Acted:
        acted = await self._database.run(job)
        self._on_hints(acted.hints)
        return acted


def _add(
    connection: Connection, task_list: TaskList, new: NewLine, now: datetime | None, *, is_live: bool
) -> tuple[PeopleTask, Sequence[Hint]]:
    params = {"workflow_seq": task_list.seq}
    rows = fetch(connection, statement("people/list_lines"), params)
    lines: dict[int, int] = {line: seq for line, seq, _ in rows}
    for _, seq, digest in rows:
        if digest == new.once:
            return tasks_of(connection, task_list.seq, seq=seq)[0], ()
    if new.line_number in lines:
        (task,) = tasks_of(connection, task_list.seq, seq=lines[new.line_number])
        if not same_payload(task.text, new.params(new.line_number)):
            raise Refusal(ALREADY_EXISTS, at="$.lineNumber", id=task.id)
        return task, ()
    if not is_live:
        over = find_list(connection, task_list.code)
        raise Refusal(WORKFLOW_HAS_BEEN_DONE, at="$.taskList", id=task_list.code, outcome=over and over.outcome)
    # The list may not have made yet what it begins with.
    line = new.line_number or max([new.first, *(line + 1 for line in lines)])
    if line < new.first:
        raise invalid_params(f"the lines before {new.first} are of the tasks that the list begins with", "$.lineNumber")
    core = NewCore(
        workflow_seq=task_list.seq,
        task_list=task_list.code,
        process=task_list.process,
        line_number=line,
        round=1,
        definition=new.definition,
        version=new.version,
        params=new.params(line),
        settings=None,
        digest=new.once,
        caller=new.caller,
    )
    seq, hints = make(connection, core, now)
    return tasks_of(connection, task_list.seq, seq=seq)[0], hints
