"""Waits for the end of tasks or workflows, in the memory of this server.

A caller that waits costs no query. It is woken when this server ends what it waits for, or when another server
announces the end (ends.py). The loop `end-finder` finds the ends that no one announced: once a second, one query asks
which of all awaited ids are not live; without waiting callers it asks nothing. Callers that are woken together read
together: one statement for many ids.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Generic, Protocol, TypeVar

from fencepost.domain.task import Task
from fencepost.errors import UNAVAILABLE, Refusal
from fencepost.store.workflows import Found

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

# Ids that one statement reads.
_TOGETHER = 200


class EndReader(Protocol[T_co]):
    """Reads tasks or workflows by their ids."""

    async def find_ended(self, ids: Sequence[str]) -> Collection[str]:
        """Return those of the ids that are not live."""

    async def read(self, ids: Sequence[str]) -> Mapping[str, T_co]:
        """Return what exists, by its id."""


class Waits(Generic[T]):
    """The callers that wait on this server for tasks, or for workflows.

    `definition_of` returns the definition of a live one, and None for one that is done. `on_definition` is called with
    the definition of each one that a caller begins to wait for.
    """

    def __init__(self, reader: EndReader[T], definition_of: Callable[[T], str | None], *, most: int) -> None:
        self._reader = reader
        self._definition_of = definition_of
        self._most = most
        self._reads = SharedReads(reader.read)
        self._woken: dict[str, set[asyncio.Event]] = {}
        self._definitions: dict[str, int] = {}
        self._count = 0
        self._closing = False
        self.on_definition: Callable[[str], None] = lambda _: None
        # Called with the first caller.
        self.on_first: Callable[[], None] = lambda: None

    @property
    def waiting(self) -> int:
        """The number of callers that wait."""
        return self._count

    @property
    def definitions(self) -> Collection[str]:
        """The definitions of what is awaited."""
        return self._definitions.keys()

    async def wait(self, id: str, seconds: float) -> T | None:
        """Return the task or workflow as soon as it is done, as it is after `seconds`, or None if it does not exist.

        A server that stops returns it as it is then. Raises Refusal (`unavailable`).
        """
        if self._count >= self._most:
            raise Refusal(UNAVAILABLE, retry_after=1, reason="the server is busy: too many calls wait already")
        woken = asyncio.Event()
        # Before the first read: an end that commits after that read wakes this caller.
        self._woken.setdefault(id, set()).add(woken)
        self._count += 1
        if self._count == 1:
            self.on_first()
        try:
            return await self._wait(id, woken, seconds)
        finally:
            self._count -= 1
            self._woken[id].discard(woken)
            if not self._woken[id]:
                del self._woken[id]

    async def _wait(self, id: str, woken: asyncio.Event, seconds: float) -> T | None:
        found = await self._reads.get(id)
        definition = None if found is None else self._definition_of(found)
        if definition is None or seconds <= 0 or self._closing:
            return found
        self._definitions[definition] = self._definitions.get(definition, 0) + 1
        self.on_definition(definition)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    while not self._closing:
                        await woken.wait()
                        woken.clear()
                        found = await self._reads.get(id)
                        if found is None or self._definition_of(found) is None:
                            return found
            return await self._reads.get(id)
        finally:
            self._definitions[definition] -= 1
            if not self._definitions[definition]:
                del self._definitions[definition]

    def ended(self, ids: Iterable[str]) -> None:
        """Wake the callers that wait for these."""
        for id in ids:
            for woken in self._woken.get(id, ()):
                woken.set()

    async def look(self) -> None:
        """Wake the callers whose task or workflow is not live any more; one query for all of them."""
        if self._woken:
            self.ended(await self._reader.find_ended(list(self._woken)))

    def close(self) -> None:
        """Answer all callers that wait, and let no other wait."""
        self._closing = True
        self.ended(list(self._woken))


class SharedReads(Generic[T]):
    """Reads by id: what is asked for while a read runs is read by the next one, together, and each id once."""

    def __init__(self, read: Callable[[Sequence[str]], Awaitable[Mapping[str, T]]]) -> None:
        self._read = read
        self._asked: dict[str, asyncio.Future[T | None]] = {}
        self._running: asyncio.Task[None] | None = None

    async def get(self, id: str) -> T | None:
        """Return what a read that begins after this call finds; None for nothing."""
        answer = self._asked.get(id)
        if answer is None:
            answer = self._asked[id] = asyncio.get_running_loop().create_future()
            if self._running is None:
                self._running = asyncio.create_task(self._run())
        # Shared: the caller that is cancelled must not take the answer from the others.
        return await asyncio.shield(answer)

    async def _run(self) -> None:
        try:
            # One turn of the loop, in which others may ask.
            await asyncio.sleep(0)
            while self._asked:
                ids = list(self._asked)[:_TOGETHER]
                answers = {id: self._asked.pop(id) for id in ids}
                await self._answer(answers)
        finally:
            self._running = None

    async def _answer(self, answers: Mapping[str, asyncio.Future[T | None]]) -> None:
        try:
            found = await self._read(list(answers))
        except BaseException as error:
            for answer in answers.values():
                answer.set_exception(error)
                # A caller that went away does not retrieve it.
                answer.exception()
            if not isinstance(error, Exception):
                raise
            return
        for id, answer in answers.items():
            answer.set_result(found.get(id))


def live_task(task: Task) -> str | None:
    """Return the definition of a live task, None for a done one."""
    return None if task.status == "done" else task.definition


def live_workflow(found: Found) -> str | None:
    """Return the definition of a live workflow, None for a done one."""
    return None if found.workflow.status == "done" else found.workflow.definition
