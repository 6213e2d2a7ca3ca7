"""Definitions: put, read and delete them, and a cache of those in use.

A version never changes, so it is cached for ever. The newest version of a name is cached until a change is announced.
The statement that creates a task checks the version again, so a stale cache costs one more try.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec
from msgspec import UNSET

from fencepost.domain.builtin import DECISION, ENGINE
from fencepost.domain.definition import AnyWorkflow, Declared, TaskDefinition, WorkDefinition
from fencepost.domain.document import Definition, Document, Documents
from fencepost.domain.listing import Portion
from fencepost.domain.schedule import ScheduleDefinition
from fencepost.domain.suggestions import hint, shortened
from fencepost.domain.task import ChangedTask, ShortTask, Task, TaskWithSettings
from fencepost.domain.task_overrides import OVERRIDABLE, read_overrides
from fencepost.domain.trigger import TriggerDefinition
from fencepost.engine.checks import Checks
from fencepost.engine.outcomes import TRIES, too_contended
from fencepost.engine.start_requests import prepare, within
from fencepost.engine.wakeups import Wakeups
from fencepost.errors import (
    DEFINITION_IN_USE,
    DEFINITION_NOT_FOUND,
    DEFINITION_OF_OTHER_KIND,
    Refusal,
    invalid_params,
)
from fencepost.store.definitions import DefinitionStore, Put
from fencepost.store.start_requests import StaleDefinition, StartRequest

# More tasks than any poll may wait for.
_MANY = 1000


class Definitions:
    """The declared definitions."""

    def __init__(self, store: DefinitionStore, wakeups: Wakeups, documents: Documents) -> None:
        self.checks = Checks()
        self.documents = documents
        self._store = store
        self._wakeups = wakeups
        self._newest: dict[str, Definition] = {}
        self._versions: dict[tuple[str, int], WorkDefinition] = {}

    async def put(self, document: Document, text: bytes, *, caller: str) -> Definition:
        """Declare a document: a new version, unless it equals the newest.

        Raises Refusal: `invalid-params`, `definition-of-other-kind`, `definition-not-found` for what it starts.
        """
        if document.name in self.documents.built_in or document.name == DECISION:
            raise invalid_params(f"{document.name!r} is built in", "name")
        await self.checks.made(document.compile)
        if isinstance(document, TriggerDefinition):
            await self._check_request(document)
        definition, wakeups = await self._put(document, text, caller)
        self._wakeups.publish(wakeups)
        self._wakeups.definition(document.name)
        # A higher limit, or none, may free tasks that were ready before.
        self._wakeups.ready(document.name, _MANY)
        return definition

    async def put_built_in(self) -> None:
        """Declare the built-in definitions that the database does not have, or has with other content."""
        texts = {name: msgspec.json.encode(document) for name, document in self.documents.built_in.items()}
        for name in await self._store.list_outdated(texts):
            document = self.documents.built_in[name]
            await self.checks.made(document.compile)
            await self._store.put(document, texts[name], caller=ENGINE)

    async def get(self, name: str, version: int | None = None) -> Definition:
        """Return a version of a definition, or its newest; raise Refusal (`definition-not-found`)."""
        definition = await self._store.find(name, version)
        if definition is None:
            raise await self._unknown(name)
        return definition

    async def list(self, *, after: str | None, size: int) -> Portion[Definition]:
        """Return the newest versions, by name."""
        return await self._store.list(after=after, size=size)

    async def names_of(self, kinds: Iterable[str]) -> Sequence[str]:
        """Return the names of the definitions of some kinds."""
        return await self._store.list_names_of_kinds([*kinds])

    async def delete(self, name: str) -> Definition:
        """Delete a definition and return it.

        Raises Refusal: `definition-not-found`, `definition-in-use` while tasks need it, `invalid-params` if built in.
        """
        if name in self.documents.built_in:
            raise invalid_params(f"{name!r} is built in", "name")
        definition = await self.get(name)
        deletion = await self._store.delete(name)
        if deletion.version is None:
            raise await self._unknown(name)
        if deletion.live:
            raise Refusal(DEFINITION_IN_USE, field="name", name=name, live=deletion.live)
        self._wakeups.definition(name)
        return definition

    async def newest(self, name: str) -> Definition:
        """Return the newest version, from the cache if possible; raise Refusal (`definition-not-found`)."""
        definition = self._newest.get(name)
        if definition is None:
            definition = self._newest[name] = await self.get(name)
            if isinstance(definition.document, WorkDefinition):
                self._versions[name, definition.version] = definition.document
        return definition

    async def newest_task(self, name: str) -> tuple[int, TaskDefinition]:
        """Return the newest version of a definition of tasks.

        Raises Refusal: `definition-not-found`, or `invalid-params` for a definition of another kind.
        """
        definition = await self._asked_for(name)
        if not isinstance(definition.document, TaskDefinition):
            raise _no_such(definition)
        return definition.version, definition.document

    async def newest_workflow(self, name: str) -> tuple[int, AnyWorkflow]:
        """Return the newest version of a definition of workflows; raises as `newest_task` does."""
        definition = await self._asked_for(name)
        if not isinstance(definition.document, AnyWorkflow):
            raise _no_such(definition)
        return definition.version, definition.document

    async def _asked_for(self, name: str) -> Definition:
        """Return the newest version; a Refusal is about the field `definition`."""
        try:
            return await self.newest(name)
        except Refusal as refusal:
            raise refusal.about("definition") from None

    async def ensure(self, name: str) -> None:
        """Declare tasks with default settings under this name, unless the name is declared."""
        try:
            await self.newest(name)
        except Refusal as refusal:
            if refusal.kind is not DEFINITION_NOT_FOUND:
                raise
            document = TaskDefinition(name=name)
            await self._store.put(document, msgspec.json.encode(document), caller=ENGINE, only_first=True)
            self.forget(name)
            self._wakeups.definition(name)

    async def freed(self, name: str, count: int = 1) -> None:
        """Wake polls, since `count` leases have ended, if the newest version has a concurrency limit."""
        with contextlib.suppress(Refusal):
            if (await self.newest_task(name))[1].concurrency_limit is not UNSET:
                self._wakeups.ready(name, count)

    def forget(self, name: str) -> None:
        """Drop the cached newest version of a name."""
        self._newest.pop(name, None)

    def forget_all(self) -> None:
        """Drop all cached newest versions: changes may have been missed."""
        self._newest.clear()

    async def with_settings(self, task: Task) -> TaskWithSettings:
        """Return a task with its effective settings: its own override those of its definition."""
        return TaskWithSettings(self._shown(task), await self._settings(task))

    async def all_with_settings(self, tasks: Iterable[Task]) -> Sequence[TaskWithSettings]:
        """Return tasks with their effective settings."""
        return [await self.with_settings(task) for task in tasks]

    async def changed(self, task: Task | ShortTask) -> ChangedTask:
        """Return a changed task with its effective settings."""
        shown = task if isinstance(task, ShortTask) else self._shown(task)
        return ChangedTask(shown, await self._settings(task))

    async def work(self, name: str, version: int) -> WorkDefinition:
        """Return the document of a version that declares tasks or workflows."""
        settings = self._versions.get((name, version))
        if settings is None:
            document = (await self.get(name, version)).document
            assert isinstance(document, WorkDefinition), "only definitions of tasks and workflows have tasks"
            settings = self._versions[name, version] = document
        return settings

    async def check_end(self, task: Task, verb: Literal["success", "fail"], content: bytes | None) -> None:
        """Check a result or error against the schema of the task's version; raise Refusal."""
        work = await self.work(task.definition, task.definition_version)
        await self.checks.made(lambda: work.check_end(verb, content))

    def _shown(self, task: Task) -> Task:
        """Return a task without its execId when calls change it by id."""
        return task._replace(exec_id=None) if task.definition in self.documents.moved_by_id else task

    async def _settings(self, task: Task | ShortTask) -> WorkDefinition:
        settings = await self.work(task.definition, task.definition_version)
        if isinstance(task, ShortTask) or task.settings is None or not isinstance(settings, Declared):
            return settings
        own = msgspec.structs.asdict(read_overrides(task.settings))
        return msgspec.structs.replace(settings, **{name: own[name] for name in OVERRIDABLE if own[name] is not None})

    async def _check_request(self, document: TriggerDefinition) -> None:
        """Raise Refusal (`definition-not-found`, `invalid-params`) unless a trigger's request has a definition."""
        name = document.request.definition
        self.forget(name)
        try:
            await (self.newest_workflow(name) if document.is_for_workflows else self.newest_task(name))
        except Refusal as refusal:
            raise within(refusal, document.request_member) from None

    async def _put(self, document: Document, text: bytes, caller: str) -> Put:
        for _ in range(TRIES):
            start = await self._start(document) if isinstance(document, ScheduleDefinition) else None
            try:
                put = await self._store.put(document, text, caller=caller, setup=start)
            except StaleDefinition:
                assert isinstance(document, ScheduleDefinition), "only the put of a schedule starts a task or workflow"
                self.forget(document.request.definition)
            else:
                if put is None:
                    raise await self._of_other_kind(document)
                return put
        raise too_contended(f"the definition that {document.name!r} starts")

    async def _start(self, schedule: ScheduleDefinition) -> StartRequest | None:
        """Check the request of a schedule; return it when the put starts it (`execute-on-setup`)."""
        try:
            start = await prepare(
                self,
                schedule.request,
                is_workflow=schedule.is_for_workflows,
                requester=schedule.requester,
                caller=ENGINE,
            )
        except Refusal as refusal:
            raise within(refusal, schedule.request_member) from None
        return start if schedule.execute_on_setup else None

    async def _of_other_kind(self, document: Document) -> Refusal:
        first = await self._store.find(document.name, 1)
        declared = document.kind if first is None else first.document.kind
        return Refusal(DEFINITION_OF_OTHER_KIND, field="kind", name=document.name, declared=declared)

    async def _unknown(self, name: str) -> Refusal:
        near = hint(name, await self._store.list_names())
        return Refusal(DEFINITION_NOT_FOUND, field="name", name=shortened(name), hint=near)


def _no_such(definition: Definition) -> Refusal:
    return invalid_params(f"{definition.name!r} is the definition of a {definition.document.kind}", "definition")
