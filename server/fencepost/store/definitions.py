"""The statements about definitions, each a method of the same name."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec
import psycopg

from fencepost.clock import Clock
from fencepost.domain.definition import TaskDefinition, WorkDefinition
from fencepost.domain.document import Definition, Document, Documents
from fencepost.domain.listing import Portion
from fencepost.domain.schedule import ScheduleDefinition
from fencepost.errors import UNAVAILABLE, Refusal
from fencepost.store.batches import Wakeup
from fencepost.store.connection import Connection, fetch
from fencepost.store.database import Database, Job
from fencepost.store.schedule_runs import save_version
from fencepost.store.start_requests import StartRequest
from fencepost.store.statements import statement

T = TypeVar("T")

# Every create waits behind a lock that waits for a transaction which has enqueued. So the wait is short, and repeated.
_BRIEFLY = "200ms"
_PAUSE = 0.3
_PATIENCE = 20.0


class _CreationGoesOn(Exception):
    """A transaction that has created tasks is open; nothing was changed."""


class Deletion(NamedTuple):
    """The result of a delete: the newest version before it (None: there was none), and the number of live tasks."""

    version: int | None
    live: int


class Put(NamedTuple):
    """The result of a put: the newest version afterwards, and wake-ups."""

    definition: Definition
    wakeups: Sequence[Wakeup]


class DefinitionStore:
    """Runs the statements of sql/queries/definitions."""

    def __init__(self, database: Database, clock: Clock, documents: Documents) -> None:
        self._database = database
        self._clock = clock
        self._documents = documents

    async def put(
        self,
        document: Document,
        text: bytes,
        *,
        caller: str,
        setup: StartRequest | None = None,
        only_first: bool = False,
    ) -> Put | None:
        """Store a document as the newest version of its name, unless the newest is equal; return the newest version.

        `setup` is what a new version of a schedule starts at once; raises StaleDefinition when its definition has a
        newer version. With `only_first`, a name that has a version stays as it is. Returns None in that case, and when
        the name belongs to a document of another kind.
        """
        now = self._clock.now()
        params = {
            "name": document.name,
            "kind": document.kind,
            "document": text.decode(),
            **_settings(document),
            "created_by": caller,
            "now": now,
        }

        def job(connection: Connection) -> Put | None:
            with connection.transaction():
                fetch(connection, statement("definitions/lock"), params)
                if only_first and fetch(connection, statement("definitions/find"), {**params, "version": None}):
                    return None
                rows = fetch(connection, statement("definitions/put"), params)
                if not rows:
                    return None
                row: tuple[Any, ...] = rows[0]
                fetch(connection, statement("definitions/promote"), {"name": document.name, "version": row[0]})
                fetch(connection, statement("triggers/count_change"), params)
                relabel, opens = row[3:]
                if relabel:
                    _block_task_creation(connection)
                    fetch(connection, statement("definitions/update_limit_keys"), params)
                    fetch(connection, statement("definitions/delete_openings"), params)
                if relabel or opens:
                    fetch(connection, statement("definitions/create_openings"), params)
                wakeups: Sequence[Wakeup] = ()
                if isinstance(document, ScheduleDefinition):
                    wakeups = save_version(connection, document, row[0], setup, now)
            return Put(Definition(document.name, row[0], row[2], row[1], document), wakeups)

        return await self._run_between_creates(job)

    async def find(self, name: str, version: int | None = None) -> Definition | None:
        """Return one version of a definition, or its newest."""
        rows = await self._database.fetch(statement("definitions/find"), {"name": name, "version": version})
        return self._definition(rows[0]) if rows else None

    async def list(self, *, after: str | None, size: int) -> Portion[Definition]:
        """Return the newest version of each definition, by name, after the name `after`."""
        params = {"built_in": [*self._documents.built_in], "after": after}
        page = await self._database.reads.page(statement("definitions/list"), params, size=size)
        return Portion([self._definition(row) for row in page.items], page.more)

    async def list_names(self) -> Sequence[str]:
        """Return the names of all definitions."""
        return [row[0] for row in await self._database.fetch(statement("definitions/list_names"), {})]

    async def list_outdated(self, texts: Mapping[str, bytes]) -> Sequence[str]:
        """Return the names in `texts` (JSON documents by name) without a newest version that equals the document."""
        documents = [{"name": name, "document": msgspec.Raw(text)} for name, text in texts.items()]
        params = {"documents": msgspec.json.encode(documents).decode()}
        return [row[0] for row in await self._database.fetch(statement("definitions/list_outdated"), params)]

    async def list_names_of_kinds(self, kinds: Sequence[str]) -> Sequence[str]:
        """Return the names of the definitions of some kinds."""
        rows = await self._database.fetch(statement("definitions/list_names_of_kinds"), {"kinds": list(kinds)})
        return [row[0] for row in rows]

    async def delete(self, name: str) -> Deletion:
        """Delete a definition, unless it has live tasks or workflows."""
        params = {"name": name, "now": self._clock.now()}

        def job(connection: Connection) -> tuple[Any, ...]:
            with connection.transaction():
                fetch(connection, statement("definitions/lock"), params)
                # Before the lock on tasks: the same order as that of the runs of schedules.
                fetch(connection, statement("schedules/delete"), params)
                _block_task_creation(connection)
                row: tuple[Any, ...] = fetch(connection, statement("definitions/delete"), params)[0]
                fetch(connection, statement("triggers/count_change"), params)
                if not row[1]:
                    fetch(connection, statement("definitions/delete_openings"), params)
            return row

        return Deletion._make(await self._run_between_creates(job))

    async def _run_between_creates(self, job: Job[T]) -> T:
        """Run a job that may block the creation of tasks; raise Refusal (`unavailable`) when that is never possible."""
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                return await self._database.run_locking(job)
            except _CreationGoesOn:
                if time.monotonic() > until:
                    reason = "a transaction that has enqueued tasks is open for a long time; end it"
                    raise Refusal(UNAVAILABLE, retry_after=1, reason=reason) from None
            await asyncio.sleep(_PAUSE)

    def _definition(self, row: tuple[Any, ...]) -> Definition:
        name, version, _kind, text, created_at = row
        return Definition(name, version, text, created_at, self._documents.read_stored(text))


def _block_task_creation(connection: Connection) -> None:
    """Block the creation of tasks until the transaction ends; raise _CreationGoesOn when that would take long."""
    ((patience,),) = connection.execute("select current_setting('lock_timeout')").fetchall()
    connection.execute("select set_config('lock_timeout', %s, true)", [_BRIEFLY])
    try:
        fetch(connection, statement("definitions/block_task_creation"), {})
    except psycopg.errors.LockNotAvailable:
        raise _CreationGoesOn from None
    connection.execute("select set_config('lock_timeout', %s, true)", [patience])


def _settings(document: Document) -> dict[str, Any]:
    """Return the settings that statements need of a document; none for a document that declares no tasks."""
    work = document if isinstance(document, WorkDefinition) else None
    limited = document if isinstance(document, TaskDefinition) else None
    return {
        "requested_to_start_timeout": work and work.requested_to_start_timeout,
        "in_progress_timeout": work and work.in_progress_timeout,
        "allowed_retry_count": work and work.allowed_retry_count,
        "retry_delay": work and work.retry_delay,
        "attempt_timeout": (work and work.attempt_timeout) or None,
        "concurrency_limit": (limited and limited.concurrency_limit) or None,
        "concurrency_path": limited and _jsonpath(limited),
        "has_result_schema": work is not None and work.result is not msgspec.UNSET,
        "keep": (limited and limited.keep) or "all",
        "has_error_schema": work is not None and work.error is not msgspec.UNSET,
    }


def _jsonpath(task: TaskDefinition) -> str | None:
    """Return the path from the params to the limited value, as a jsonpath."""
    if task.concurrency_path is msgspec.UNSET:
        return None
    steps = (f"[{step}]" if isinstance(step, int) else f".{_quoted(step)}" for step in task.concurrency_path[1:])
    # Strict: a member of every object in an array would otherwise be found under the array's own name.
    return "strict $" + "".join(steps)


def _quoted(name: str) -> str:
    return msgspec.json.encode(name).decode()
