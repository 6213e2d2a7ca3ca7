"""Matches the polls that wait on this server with the work that is ready.

A waiting poll is an `PendingPoll` in memory and costs no query. Polls for the same set of definitions form a group; a group
with something to find claims once for all its polls, in the order in which they came, while further polls gather for
its next claim. The database decides who gets what: a claim leases at most what it finds, and an poll without a task
goes on waiting until work is announced, its time is over, or its caller hangs up.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fencepost.domain.builtin import BUILT_IN
from fencepost.domain.task import LeasedTask, Task
from fencepost.errors import REQUEST_ID_REUSED, UNAVAILABLE, Refusal
from fencepost.store.leases import PollAnswer
from fencepost.store.tasks import TaskStore

Release = Callable[[Sequence[Task], str], Awaitable[None]]

_OWN = frozenset(definition.name for definition in BUILT_IN)
# Slots of one claim; more than a batch of this size gains nothing and holds its rows longer.
_MOST_SLOTS = 1000
# A claim for fewer is worth a turn of the loop.
_FEW = 100


@dataclass(slots=True, eq=False)
class PendingPoll:
    """One poll: what it wants, in whose name, and the future of its answer."""

    definitions: tuple[str, ...]
    size: int
    start: bool
    action: str
    caller: str
    worker: str | None
    request_id: str | None
    request_hash: str | None
    waits: bool
    answer: asyncio.Future[list[LeasedTask]] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @property
    def request_key(self) -> tuple[str, str] | None:
        """The key that may only be in one claim at a time."""
        return None if self.request_id is None else (self.caller, self.request_id)


class _Group:
    """The polls for one set of definitions, in the order of their arrival.

    `unclaimed` polls have not been in a claim yet; `waiting` ones found nothing in theirs and stay for what is announced;
    `claimed` ones are in the claim that is under way. `announced` is how many tasks were announced since the last claim.
    """

    __slots__ = ("claimed", "claiming", "unclaimed", "waiting", "announced")

    def __init__(self) -> None:
        self.unclaimed: dict[PendingPoll, None] = {}
        self.waiting: dict[PendingPoll, None] = {}
        self.claimed: dict[PendingPoll, None] = {}
        self.claiming = False
        self.announced = 0

    def __len__(self) -> int:
        return len(self.unclaimed) + len(self.waiting) + len(self.claimed)

    @property
    def has_demand(self) -> bool:
        """Whether a claim might find something for somebody."""
        return bool(self.unclaimed or (self.announced and self.waiting))

    def remove(self, poll: PendingPoll) -> None:
        """Forget an poll."""
        self.unclaimed.pop(poll, None)
        self.waiting.pop(poll, None)
        self.claimed.pop(poll, None)

    def take(self) -> list[PendingPoll]:
        """Move the polls of the next claim to `claimed`: every unclaimed one, and waiting ones for what is announced."""
        chosen: list[PendingPoll] = []
        request_keys: set[tuple[str, str]] = set()
        slots = 0
        for polls, most in ((self.waiting, self.announced), (self.unclaimed, _MOST_SLOTS)):
            taken = 0
            for poll in polls:
                if taken >= most or slots >= _MOST_SLOTS:
                    break
                if poll.request_key is not None:
                    if poll.request_key in request_keys:
                        # The same poll again, from a client that gave up on the first: it goes into a later claim and
                        # finds there what the first was given.
                        continue
                    request_keys.add(poll.request_key)
                chosen.append(poll)
                slots += poll.size
                taken += poll.size
        for poll in chosen:
            self.remove(poll)
            self.claimed[poll] = None
        self.announced = 0
        return chosen


class Dispatcher:
    """The polls that wait on this server."""

    def __init__(self, store: TaskStore, give_back: Release) -> None:
        self._store = store
        self._release = give_back
        self._groups: dict[tuple[str, ...], _Group] = {}
        self._by_definition: dict[str, set[tuple[str, ...]]] = {}
        self._rounds: set[asyncio.Task[None]] = set()
        self._draining = False
        self._hanging_up = 0

    @property
    def waiting(self) -> int:
        """How many polls of others wait; one of the server's own always does."""
        return sum(len(group) for key, group in self._groups.items() if not _OWN & set(key))

    @property
    def hanging_up(self) -> int:
        """How many callers have gone away while a claim was under way that may bring them something."""
        return self._hanging_up

    @property
    def definitions(self) -> Collection[str]:
        """The definitions that some poll waits for."""
        return self._by_definition.keys()

    async def poll(self, poll: PendingPoll, seconds: float) -> list[LeasedTask]:
        """Return tasks for `poll` as soon as there are some, or an empty list after `seconds`.

        Raises Refusal (`unavailable`) when other calls pile up: polls are the first to be turned away.
        When the caller is cancelled (a client hung up), what had been claimed for it goes back to the queue, unless it
        carries a requestId: then the repeat will come for it, or the timeout.
        """
        if self._draining:
            return []
        if self._store.pressed:
            raise Refusal(UNAVAILABLE, retry_after=1, reason="the server is busy: what was begun is finished first")
        group = self._enter(poll)
        timer = asyncio.get_running_loop().call_later(seconds, self._expire, poll) if poll.waits else None
        self._claim(poll.definitions, group)
        try:
            return await asyncio.shield(poll.answer)
        except asyncio.CancelledError:
            await asyncio.shield(self._hang_up(poll))
            raise
        finally:
            if timer is not None:
                timer.cancel()

    def ready(self, definition: str, count: int) -> None:
        """Let the polls that wait for a definition look for `count` tasks."""
        for key in tuple(self._by_definition.get(definition, ())):
            group = self._groups[key]
            group.announced = min(group.announced + count, _MOST_SLOTS)
            self._claim(key, group)

    async def drain(self) -> None:
        """Answer every waiting poll with what it has, and take no more."""
        self._draining = True
        while self._rounds:
            await asyncio.wait(self._rounds)
        for group in self._groups.values():
            for poll in (*group.waiting, *group.unclaimed):
                self._resolve(group, poll, [])
        self._groups.clear()
        self._by_definition.clear()

    def _enter(self, poll: PendingPoll) -> _Group:
        group = self._groups.get(poll.definitions)
        if group is None:
            group = self._groups[poll.definitions] = _Group()
            for definition in poll.definitions:
                self._by_definition.setdefault(definition, set()).add(poll.definitions)
        group.unclaimed[poll] = None
        return group

    def _leave_if_empty(self, key: tuple[str, ...], group: _Group) -> None:
        if len(group) or group.claiming or self._groups.get(key) is not group:
            return
        del self._groups[key]
        for definition in key:
            self._by_definition[definition].discard(key)
            if not self._by_definition[definition]:
                del self._by_definition[definition]

    def _claim(self, key: tuple[str, ...], group: _Group) -> None:
        if group.claiming or not group.has_demand:
            return
        group.claiming = True
        task = asyncio.create_task(self._claims(key, group))
        self._rounds.add(task)
        task.add_done_callback(self._rounds.discard)

    async def _claims(self, key: tuple[str, ...], group: _Group) -> None:
        """Claim for a group until no poll is unclaimed and nothing is announced."""
        try:
            while group.has_demand:
                if 0 < sum(poll.size for poll in group.unclaimed) < _FEW:
                    # As between batches: who was answered just now has asked again when the loop has turned.
                    await asyncio.sleep(0)
                await self._round(key, group, group.take())
        finally:
            group.claiming = False
            self._leave_if_empty(key, group)

    async def _round(self, key: tuple[str, ...], group: _Group, chosen: list[PendingPoll]) -> None:
        try:
            answers, more = await self._store.claim(key, [_as_json(number, poll) for number, poll in enumerate(chosen)])
        except BaseException as error:  # noqa: BLE001 every caller of this claim gets it; the next claim must run
            for poll in chosen:
                group.remove(poll)
                _fail(poll, error)
            return
        # A claim that filled an answer may have left tasks behind.
        more = more or self._is_cut(answers)
        answered: set[tuple[str, str]] = set()
        for number, poll in enumerate(chosen):
            answer = answers[number]
            if answer.conflict:
                group.remove(poll)
                _fail(poll, Refusal(REQUEST_ID_REUSED, at="$.requestId", request_id=poll.request_id))
            elif answer.tasks or not (poll.waits or more):
                self._resolve(group, poll, answer.tasks)
                if answer.tasks and poll.request_key is not None:
                    answered.add(poll.request_key)
            else:
                group.remove(poll)
                # One that does not wait goes on until all was looked at: nothing means that there is nothing.
                (group.waiting if poll.waits else group.unclaimed)[poll] = None
        self._requeue_repeats(group, answered)
        leased = [task for answer in answers.values() for task in answer.tasks]
        if more or len(leased) >= sum(poll.size for poll in chosen) or any(task.lost_attempts for task in leased):
            # Not all was looked at, all that was asked for was there, or a suspect took a whole poll: there may be more.
            group.announced = _MOST_SLOTS

    def _is_cut(self, answers: Mapping[int, PollAnswer]) -> bool:
        """Return whether a claim ended because what it gave fills an answer."""
        params = (leased.task.params for answer in answers.values() for leased in answer.tasks)
        return sum(len(one) for one in params if one is not None) >= self._store.answer_bytes

    def _requeue_repeats(self, group: _Group, answered: set[tuple[str, str]]) -> None:
        """Let polls that repeat one which was just answered find what it was given."""
        if answered:
            for poll in [poll for poll in group.waiting if poll.request_key in answered]:
                del group.waiting[poll]
                group.unclaimed[poll] = None

    def _resolve(self, group: _Group, poll: PendingPoll, tasks: list[LeasedTask]) -> None:
        group.remove(poll)
        if not poll.answer.done():
            poll.answer.set_result(tasks)

    def _expire(self, poll: PendingPoll) -> None:
        """The time of a poll is over: a claim that it is in may still bring it something, else it gets nothing."""
        poll.waits = False
        group = self._groups.get(poll.definitions)
        if group is not None and poll in group.waiting:
            self._resolve(group, poll, [])
            self._leave_if_empty(poll.definitions, group)

    async def _hang_up(self, poll: PendingPoll) -> None:
        self._expire(poll)
        self._hanging_up += 1
        try:
            # Refused: the claim was, or its tasks went another way meanwhile (canceled, timed out).
            with contextlib.suppress(Refusal):
                tasks = await poll.answer
                if poll.request_id is None:
                    await self._release([leased.task for leased in tasks], poll.caller)
        finally:
            self._hanging_up -= 1


def _as_json(number: int, poll: PendingPoll) -> Mapping[str, Any]:
    return {
        "ask": number,
        "size": poll.size,
        "start": poll.start,
        "action": poll.action,
        "worker": poll.worker,
        "caller": poll.caller,
        "request_id": poll.request_id,
        "request_hash": poll.request_hash,
    }


def _fail(poll: PendingPoll, error: BaseException) -> None:
    if not poll.answer.done():
        poll.answer.set_exception(error)
