"""Calls of workers about the tasks that they hold: start, notify, success, fail, release. Calls come in batches.

Each call has its own outcome: a task, or an exception. One statement takes the content of a call together with its
fencing token; a call is examined further only if its guard failed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal, NamedTuple

from msgspec import UNSET
from msgspec.structs import replace

from fencepost.domain.ids import ExecId, IdKind, kind_of
from fencepost.domain.polled import Polled, leases_of
from fencepost.domain.task import ChangedTask, ShortTask, Task
from fencepost.engine.conflicts import diagnose
from fencepost.engine.decisions import Decisions
from fencepost.engine.definitions import Definitions
from fencepost.engine.leases import Lease
from fencepost.engine.outcomes import TRIES, Outcomes, gather, too_contended
from fencepost.engine.wakeups import Wakeups
from fencepost.errors import TASK_NOT_FOUND, Refusal
from fencepost.store.batches import merge, partition
from fencepost.store.calls import FinishCall, LeaseCall, NotifyCall, ReleaseCall, raw
from fencepost.store.tasks import TaskStore

Verb = Literal["start", "success", "fail", "release"]


class Renewal(NamedTuple):
    """The answer to a heartbeat: the new deadline, ISO-8601, or that the task was canceled."""

    deadline_at: str | None
    cancel_requested: bool


class Executions:
    """The executions of tasks. With `short`, the returned tasks may be in their short form.

    A call is refused with `task-not-found`, `exec-id-mismatch`, `task-has-been-done`, the name of the state that it
    needs, or `unavailable`.
    """

    def __init__(self, store: TaskStore, decisions: Decisions, definitions: Definitions, wakeups: Wakeups) -> None:
        self._store = store
        self._decisions = decisions
        self._definitions = definitions
        self._wakeups = wakeups

    async def start(self, leases: Sequence[Lease], *, short: bool = False) -> Outcomes[ChangedTask]:
        """Start the executions of leased tasks."""
        changed = await self._change("start", leases, [LeaseCall(*lease.guard) for lease in leases], short=short)
        if any(isinstance(one, ChangedTask) and _may_end_soon(one) for one in changed):
            self._wakeups.deadline(0.0)
        return changed

    async def success(self, leases: Sequence[Lease], *, short: bool = False) -> Outcomes[ChangedTask]:
        """Complete executions. A result that does not fit its definition's schema is refused and changes nothing.

        The result of a decision task is its actions, which are applied.
        """
        decides = [lease.exec_id.kind is IdKind.DECISION for lease in leases]
        if any(decides):
            ours, theirs = partition(leases, decides)
            finished, decided = await self.success(ours, short=short), await self._decisions.decide(theirs, short=short)
            for definition in _by_definition(decided):
                # The workflow of a decision may have ended, with its activities.
                self._wakeups.ended(definition)
            return merge(decides, finished, decided)
        calls = [FinishCall(*lease.guard, raw(lease.content)) for lease in leases]
        changed = await self._change("success", leases, calls, short=short)
        await self._freed(changed)
        return changed

    async def fail(self, leases: Sequence[Lease], *, short: bool = False) -> Outcomes[ChangedTask]:
        """Fail executions: a task waits for its next attempt, or is done when no attempt is left."""
        calls = [FinishCall(*lease.guard, raw(lease.content)) for lease in leases]
        changed = await self._change("fail", leases, calls, short=short)
        for one in changed:
            if isinstance(one, ChangedTask) and one.task.status == "waiting":
                self._wakeups.deadline(0.0 if _may_have_own(one.task) else one.settings.retry_delay / 1000)
        await self._freed(changed)
        return changed

    async def give_back(self, tasks: Polled, caller: str) -> None:
        """Release tasks that were leased for a poll whose client has gone away."""
        leases = [Lease(id, ExecId.of(exec_id), caller) for id, exec_id in leases_of(tasks)]
        await self.release(leases, short=True, action="awf.engine/give-back")

    async def release(
        self, leases: Sequence[Lease], *, short: bool = False, action: str = "awf.task/release"
    ) -> Outcomes[ChangedTask]:
        """Release leases: each task is ready at once, and the attempt does not count."""
        calls = [ReleaseCall(*lease.guard, action) for lease in leases]
        changed = await self._change("release", leases, calls, short=short)
        for definition, count in _by_definition(changed).items():
            self._wakeups.ready(definition, count)
        return changed

    async def notify(self, leases: Sequence[Lease]) -> Outcomes[Renewal]:
        """Renew leases (heartbeats), and report cancellations. The content of a call is the notification."""
        calls = [NotifyCall(*lease.guard, raw(lease.content)) for lease in leases]
        outcomes = await self._store.notify(calls)
        return await gather(map(self._renewed, leases, calls, outcomes))

    async def _change(
        self, verb: Verb, leases: Sequence[Lease], calls: Sequence[LeaseCall], *, short: bool
    ) -> Outcomes[ChangedTask]:
        outcomes = list(await self._store.change(verb, calls, short=short))
        late = [number for number, outcome in enumerate(outcomes) if outcome is None]
        if late:
            again = await gather(self._diagnosed(verb, leases[number], calls[number]) for number in late)
            for number, outcome in zip(late, again, strict=True):
                outcomes[number] = outcome
        return [
            outcome if isinstance(outcome, Exception) else await self._definitions.changed(outcome)
            for outcome in outcomes
            if outcome is not None
        ]

    async def _diagnosed(self, verb: Verb, lease: Lease, call: LeaseCall) -> Task | ShortTask | Exception:
        """Diagnose a failed guard: return the task of an earlier equal call, raise the Refusal, or try again."""
        for _ in range(TRIES):
            if task := await diagnose(self._store, verb, lease.id, str(lease.exec_id), lease.content):
                return task
            if isinstance(call, FinishCall):
                call = replace(call, checked=await self._check(verb, lease))
            (outcome,) = await self._store.change(verb, [call])
            if outcome is not None:
                return outcome
        raise too_contended(f"task {lease.id!r}")

    async def _check(self, verb: Verb, lease: Lease) -> int:
        """Check a result or error against the schema of the task's definition version; return that version."""
        task = await self._store.find(lease.id)
        if task is None:
            raise Refusal(TASK_NOT_FOUND, field="id", id=lease.id)
        if verb in ("success", "fail"):
            await self._definitions.check_end(task, verb, lease.content)
        return task.definition_version

    async def _renewed(self, lease: Lease, call: NotifyCall, outcome: str | Exception | None) -> Renewal:
        exec_id = str(lease.exec_id)
        for _ in range(TRIES):
            if isinstance(outcome, Exception):
                raise outcome
            if outcome is not None:
                return Renewal(outcome, cancel_requested=False)
            if await self._store.deliver_cancel(lease.id, exec_id, lease.content or b"{}", lease.caller):
                return Renewal(None, cancel_requested=True)
            await diagnose(self._store, "notify", lease.id, exec_id)
            (outcome,) = await self._store.notify([call])
        raise too_contended(f"task {lease.id!r}")

    async def _freed(self, changed: Outcomes[ChangedTask]) -> None:
        """Wake the polls that wait for places under concurrency limits, and the callers that wait for these tasks."""
        for definition, count in _by_definition(changed).items():
            await self._definitions.freed(definition, count)
            if self._wakeups.is_awaited(definition):
                self._wakeups.ended(definition, _ended(changed, definition))


def _may_end_soon(one: ChangedTask) -> bool:
    """Whether an attempt may have an earlier deadline than the in-progress timeout of its definition."""
    return _may_have_own(one.task) or one.settings.attempt_timeout is not UNSET


def _may_have_own(task: Task | ShortTask) -> bool:
    """Whether a task may have settings of its own, and with them an earlier deadline than its definition sets."""
    return kind_of(task.id) is IdKind.ACTIVITY if isinstance(task, ShortTask) else task.settings is not None


def _ended(changed: Outcomes[ChangedTask], definition: str) -> list[str]:
    """Return the ids of the tasks of a definition that are done."""
    tasks = [one.task for one in changed if isinstance(one, ChangedTask)]
    return [task.id for task in tasks if task.definition == definition and task.status == "done"]


def _by_definition(changed: Outcomes[ChangedTask]) -> Counter[str]:
    """Count the changed tasks by definition."""
    return Counter(one.task.definition for one in changed if isinstance(one, ChangedTask))
