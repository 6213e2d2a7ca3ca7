"""The dispatcher: matches the polls that wait on this server with ready tasks.

A `PendingPoll` is held in memory and costs no query while it waits. Polls for the same set of definitions form a group.
When a group may find something, it runs one claim for all its polls, in the order of their arrival, while later polls
gather for its next claim. The database decides which poll gets which task. A poll without a task waits on until work is
announced, its time is up, or its caller hangs up.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from fencepost.domain.polled import Polled
from fencepost.engine.outcomes import Outcomes
from fencepost.errors import REQUEST_ID_REUSED, UNAVAILABLE, Refusal
from fencepost.store.calls import ClaimAsk
from fencepost.store.handovers import Handover
from fencepost.store.leases import PollAnswer
from fencepost.store.tasks import TaskStore

Release = Callable[[Polled, str], Awaitable[None]]

# Tasks of one claim: a larger batch is no faster, and locks its rows for longer.
_MOST_SLOTS = 1000
# Below this, a claim waits one turn of the event loop for more polls.
_FEW = 100


@dataclass(slots=True, eq=False)
class PendingPoll:
    """A poll and the future of its answer."""

    definitions: tuple[str, ...]
    ask: ClaimAsk
    waits: bool
    answer: asyncio.Future[Polled] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    timer: asyncio.TimerHandle | None = None

    @property
    def request_key(self) -> tuple[str, str] | None:
        """The caller and its requestId. A claim has at most one poll of each key."""
        return None if self.ask.request_id is None else (self.ask.caller, self.ask.request_id)

    def outcome(self) -> Polled | Exception:
        """Return the answer, or the error that ended the poll."""
        error = self.answer.exception()
        if isinstance(error, Exception):
            return error
        return self.answer.result()


class _Group:
    """The polls for one set of definitions, in the order of their arrival.

    `unclaimed` polls have not been in a claim yet; `waiting` ones found nothing in theirs and wait for an announcement;
    `claimed` ones are in the running claim. `announced` counts the tasks announced since the last claim.
    """

    __slots__ = ("announced", "claimed", "claiming", "definitions", "unclaimed", "waiting")

    def __init__(self, definitions: tuple[str, ...]) -> None:
        self.definitions = definitions
        self.unclaimed: dict[PendingPoll, None] = {}
        self.waiting: dict[PendingPoll, None] = {}
        self.claimed: dict[PendingPoll, None] = {}
        self.claiming = False
        self.announced = 0

    def __len__(self) -> int:
        return len(self.unclaimed) + len(self.waiting) + len(self.claimed)

    @property
    def has_demand(self) -> bool:
        """Whether a claim may find a task for one of the polls."""
        return bool(self.unclaimed or (self.announced and self.waiting))

    def remove(self, poll: PendingPoll) -> None:
        """Remove a poll."""
        self.unclaimed.pop(poll, None)
        self.waiting.pop(poll, None)
        self.claimed.pop(poll, None)

    def take(self) -> list[PendingPoll]:
        """Move the polls of the next claim to `claimed`: the unclaimed ones, and waiting ones for announced tasks."""
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
                        # A repetition, from a client that gave up on the first poll: it goes into a later claim, and
                        # finds there the leases of the first.
                        continue
                    request_keys.add(poll.request_key)
                chosen.append(poll)
                slots += poll.ask.size
                taken += poll.ask.size
        for poll in chosen:
            self.remove(poll)
            self.claimed[poll] = None
        self.announced = 0
        return chosen


class Dispatcher:
    """The polls that wait on this server."""

    def __init__(self, store: TaskStore, release: Release, built_in: Collection[str]) -> None:
        """`built_in` has the names of all built-in definitions, which internal workers poll."""
        self._store = store
        self._built_in = frozenset(built_in)
        self._release = release
        self._groups: dict[tuple[str, ...], _Group] = {}
        # Sets of groups, not of their names: the hash of a thousand names takes as long as to read them.
        self._by_definition: dict[str, set[_Group]] = {}
        self._rounds: set[asyncio.Future[None]] = set()
        self._draining = False
        self._hanging_up = 0

    @property
    def waiting(self) -> int:
        """The number of waiting polls of clients; the internal workers' polls do not count."""
        return sum(len(group) for names, group in self._groups.items() if self._built_in.isdisjoint(names))

    @property
    def hanging_up(self) -> int:
        """The number of callers that hung up while their poll was in a running claim."""
        return self._hanging_up

    @property
    def definitions(self) -> Collection[str]:
        """The definitions for which polls wait."""
        return self._by_definition.keys()

    def enter(self, poll: PendingPoll, seconds: float) -> None:
        """Enter a poll, which has its answer as soon as there are tasks, or an empty one after `seconds`.

        Its answer is a Refusal under load (`unavailable`; polls are refused before any other call), and for a
        `request-id-reused`.
        """
        if self._draining:
            poll.answer.set_result([])
            return
        if self._store.pressed:
            reason = "the server is busy: calls about leased tasks come first"
            _fail(poll, Refusal(UNAVAILABLE, retry_after=1, reason=reason))
            return
        if poll.waits:
            poll.timer = asyncio.get_running_loop().call_later(seconds, self._expire, poll)
        self._claim(self._add(poll))

    async def answers(self, polls: Sequence[PendingPoll]) -> Outcomes[Polled]:
        """Return the answers of polls that were entered, once all have one.

        When the caller is cancelled (a client hung up), their leases are released, except those of polls with a
        requestId: these wait for the repetition, or for their timeout.
        """
        try:
            for poll in polls:
                if not poll.answer.done():
                    await _end_of(poll.answer)
        except asyncio.CancelledError:
            await asyncio.shield(asyncio.gather(*map(self._hang_up, polls)))
            raise
        finally:
            for poll in polls:
                if poll.timer is not None:
                    poll.timer.cancel()
        return [poll.outcome() for poll in polls]

    def ready(self, definition: str, count: int) -> None:
        """Claim for the polls that wait for a definition, since `count` of its tasks became ready."""
        for group in tuple(self._by_definition.get(definition, ())):
            group.announced = min(group.announced + count, _MOST_SLOTS)
            self._claim(group)

    def hand_over(self, created: Mapping[str, int]) -> Handover | None:
        """Return polls that wait for tasks that are about to be created, by definition; None when there are none.

        The create leases the tasks in its own transaction. One group of polls takes part; others wait for the
        announcement.
        """
        for group in (group for definition in created for group in self._by_definition.get(definition, ())):
            is_idle = not (group.unclaimed or group.claiming)
            if group.waiting and is_idle and self._store.claims_plainly(group.definitions):
                break
        else:
            return None
        group.announced = min(sum(created.get(definition, 0) for definition in group.definitions), _MOST_SLOTS)
        group.claiming = True
        chosen = group.take()
        # As long as it runs, `drain` waits.
        over = asyncio.get_running_loop().create_future()
        self._rounds.add(over)

        def end() -> None:
            self._rounds.discard(over)
            over.set_result(None)
            group.claiming = False
            self._claim(group)
            self._leave_if_empty(group)

        def settle(answers: Mapping[int, PollAnswer]) -> None:
            self._settle(group, chosen, answers, more=False)
            end()

        def abandon() -> None:
            for poll in chosen:
                self._put_back(group, poll)
            group.announced = _MOST_SLOTS
            end()

        return Handover(group.definitions, _numbered(chosen), settle, abandon)

    async def drain(self) -> None:
        """Answer every waiting poll with an empty list, and accept no more."""
        self._draining = True
        while self._rounds:
            await asyncio.wait(self._rounds)
        for group in self._groups.values():
            for poll in (*group.waiting, *group.unclaimed):
                self._resolve(group, poll, [])
        self._groups.clear()
        self._by_definition.clear()

    def _add(self, poll: PendingPoll) -> _Group:
        group = self._groups.get(poll.definitions)
        if group is None:
            group = self._groups[poll.definitions] = _Group(poll.definitions)
            for definition in poll.definitions:
                self._by_definition.setdefault(definition, set()).add(group)
        group.unclaimed[poll] = None
        return group

    def _leave_if_empty(self, group: _Group) -> None:
        if len(group) or group.claiming or self._groups.get(group.definitions) is not group:
            return
        del self._groups[group.definitions]
        for definition in group.definitions:
            self._by_definition[definition].discard(group)
            if not self._by_definition[definition]:
                del self._by_definition[definition]

    def _claim(self, group: _Group) -> None:
        if group.claiming or not group.has_demand:
            return
        group.claiming = True
        task = asyncio.create_task(self._claims(group))
        self._rounds.add(task)
        task.add_done_callback(self._rounds.discard)

    async def _claims(self, group: _Group) -> None:
        """Run claims for a group until no poll is unclaimed and no task is announced."""
        try:
            while group.has_demand:
                if 0 < sum(poll.ask.size for poll in group.unclaimed) < _FEW:
                    # As between batches: clients that were just answered poll again within one turn of the loop.
                    await asyncio.sleep(0)
                await self._round(group, group.take())
        finally:
            group.claiming = False
            self._leave_if_empty(group)

    async def _round(self, group: _Group, chosen: list[PendingPoll]) -> None:
        try:
            answers, more = await self._store.claim(group.definitions, _numbered(chosen))
        except BaseException as error:  # noqa: BLE001 every poll of this claim gets it; the next claim must run
            for poll in chosen:
                group.remove(poll)
                _fail(poll, error)
            return
        self._settle(group, chosen, answers, more=more)

    def _settle(
        self, group: _Group, chosen: Sequence[PendingPoll], answers: Mapping[int, PollAnswer], *, more: bool
    ) -> None:
        """Answer the polls of a claim; those without a task wait on."""
        # A claim that ended at the size limit of answers may have left tasks behind.
        more = more or self._is_cut(answers)
        answered: set[tuple[str, str]] = set()
        for number, poll in enumerate(chosen):
            answer = answers[number]
            if answer.conflict:
                group.remove(poll)
                _fail(poll, Refusal(REQUEST_ID_REUSED, field="requestId", request_id=poll.ask.request_id))
            elif answer.number or not (poll.waits or more):
                self._resolve(group, poll, answer.tasks)
                if answer.number and poll.request_key is not None:
                    answered.add(poll.request_key)
            else:
                self._put_back(group, poll)
        self._requeue_repeats(group, answered)
        leased = sum(answer.number for answer in answers.values())
        has_lost = any(answer.has_lost for answer in answers.values())
        if more or has_lost or leased >= sum(poll.ask.size for poll in chosen):
            # Not all was read, every requested task was found, or a suspect filled a poll alone: there may be more.
            group.announced = _MOST_SLOTS

    def _put_back(self, group: _Group, poll: PendingPoll) -> None:
        group.remove(poll)
        # A poll that does not wait stays in claims until all was read: its empty answer must be true.
        (group.waiting if poll.waits else group.unclaimed)[poll] = None

    def _is_cut(self, answers: Mapping[int, PollAnswer]) -> bool:
        """Return whether a claim ended at the size limit of answers."""
        return sum(answer.size for answer in answers.values()) >= self._store.answer_bytes

    def _requeue_repeats(self, group: _Group, answered: set[tuple[str, str]]) -> None:
        """Put repetitions of polls that were just answered into the next claim, which finds the same leases."""
        if answered:
            for poll in [poll for poll in group.waiting if poll.request_key in answered]:
                del group.waiting[poll]
                group.unclaimed[poll] = None

    def _resolve(self, group: _Group, poll: PendingPoll, tasks: Polled) -> None:
        group.remove(poll)
        if not poll.answer.done():
            poll.answer.set_result(tasks)

    def _expire(self, poll: PendingPoll) -> None:
        """End a poll's wait: it gets an empty list, unless a running claim has it and finds something."""
        poll.waits = False
        group = self._groups.get(poll.definitions)
        if group is not None and poll in group.waiting:
            self._resolve(group, poll, [])
            self._leave_if_empty(group)

    async def _hang_up(self, poll: PendingPoll) -> None:
        self._expire(poll)
        self._hanging_up += 1
        try:
            # A Refusal: of the claim, or of the release of tasks that were canceled or timed out meanwhile.
            with contextlib.suppress(Refusal):
                tasks = await poll.answer
                if poll.ask.request_id is None:
                    await self._release(tasks, poll.ask.caller)
        finally:
            self._hanging_up -= 1


def _numbered(chosen: Sequence[PendingPoll]) -> list[ClaimAsk]:
    return [replace(poll.ask, ask=number) for number, poll in enumerate(chosen)]


def _end_of(answer: asyncio.Future[Polled]) -> asyncio.Future[None]:
    """Return a future that ends with the answer. A caller that is cancelled cancels this one, not the answer.

    `asyncio.wait` would do, and takes a kilobyte more for each waiting poll.
    """
    end = asyncio.get_running_loop().create_future()

    def finish(_: asyncio.Future[Polled]) -> None:
        if not end.done():
            end.set_result(None)

    answer.add_done_callback(finish)
    return end


def _fail(poll: PendingPoll, error: BaseException) -> None:
    if not poll.answer.done():
        poll.answer.set_exception(error)
