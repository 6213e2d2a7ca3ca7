"""Use cases of workflows, one a method. Creates and signals come in batches."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import uuid4

import msgspec
from msgspec import UNSET, Raw, UnsetType
from msgspec.structs import replace

from fencepost.domain.actions import digest_of
from fencepost.domain.definition import Beginning
from fencepost.domain.listing import Direction, Filter, Sort
from fencepost.domain.payload import same_payload
from fencepost.domain.task import Task, TaskWithSettings, client_requester
from fencepost.domain.workflow import Workflow
from fencepost.engine.definitions import Definitions
from fencepost.engine.outcomes import TRIES, Outcomes, gather, sequentially, too_contended
from fencepost.engine.wakeups import Wakeups
from fencepost.errors import (
    KEY_TAKEN,
    SIGNAL_REUSED,
    WORKFLOW_EXISTS,
    WORKFLOW_HAS_BEEN_DONE,
    WORKFLOW_NOT_FOUND,
    Refusal,
)
from fencepost.store.calls import CreateWorkflow, raw
from fencepost.store.workflows import Found, LabelledEntry, Page, Shown, SignalCall, WorkflowStore


class NewWorkflow(NamedTuple):
    """A workflow to create; JSON members are text, `execute_at` is ISO-8601 with a zone.

    `checked` is the answer of the definition's `begin` when the caller has checked the params; with None, `create`
    checks them.
    """

    definition: str
    id: str | None
    label: str | None
    params: bytes | None
    execute_at: str | None
    caller: str
    checked: Beginning | None = None


class Signal(NamedTuple):
    """A signal to a workflow; one with a `signal_id` is delivered once."""

    id: str
    name: str
    payload: bytes | None
    signal_id: str | None


class _SignalEvent(
    msgspec.Struct, frozen=True, omit_defaults=True, rename="kebab", tag_field="event", tag="awf.workflow.event/signal"
):
    """The event of a signal, as the decider of the workflow gets it."""

    name: str
    payload: Raw | None
    signal_id: str | UnsetType = UNSET


class Workflows:
    """The workflows of a database."""

    def __init__(self, store: WorkflowStore, definitions: Definitions, wakeups: Wakeups) -> None:
        self._store = store
        self._definitions = definitions
        self._wakeups = wakeups

    async def create(self, news: Sequence[NewWorkflow]) -> Outcomes[Workflow]:
        """Create workflows under the newest versions of their definitions; idempotent for equal ids and contents."""
        calls = await sequentially(map(self._call, news))
        created = iter(await self._store.create([call for call in calls if not isinstance(call, Exception)]))
        outcomes = [call if isinstance(call, Exception) else next(created) for call in calls]
        return await sequentially(map(self._retry_on_conflict, news, calls, outcomes))

    async def cancel(self, id: str, *, caller: str) -> Workflow:
        """Cancel a live workflow with its tasks and children, to any depth.

        Raises Refusal (`workflow-not-found`, `workflow-has-been-done`).
        """
        found = await self.get(id)
        if found.workflow.status == "done" or not await self._store.cancel(found.seq, caller=caller):
            raise await self._over(id)
        self._wakeups.ended(found.workflow.definition, [id])
        return (await self.get(id)).workflow

    async def signal(self, signals: Sequence[Signal]) -> Outcomes[Workflow]:
        """Deliver signals to live workflows."""
        return await gather(map(self._signaled, signals))

    async def get(self, id: str) -> Found:
        """Return a workflow; raise Refusal (`workflow-not-found`)."""
        found = await self._store.find(id)
        if found is None:
            raise Refusal(WORKFLOW_NOT_FOUND, field="id", id=id)
        return found

    async def activities(
        self, seq: int, *, size: int, looks: bool = False
    ) -> tuple[Sequence[TaskWithSettings], Sequence[Workflow]]:
        """Return the tasks and the child workflows of a workflow, the oldest first.

        With `looks`, the query runs on the connections of reads.
        """
        tasks = await self._store.list_tasks(seq, decides=False, size=size, looks=looks)
        return await self._definitions.all_with_settings(tasks), await self._store.list_children(
            seq, size=size, looks=looks
        )

    async def decisions(self, seq: int, *, size: int) -> Sequence[TaskWithSettings]:
        """Return the decision tasks of a workflow, the oldest first."""
        return await self._definitions.all_with_settings(await self._store.list_tasks(seq, decides=True, size=size))

    async def show_begun(self, seq: int, *, after: int | None) -> Shown[TaskWithSettings | Workflow]:
        """Return a page of the tasks and children of a workflow, in the order of their creation."""
        page = await self._store.begun(seq, after=after)
        found = iter(await self._definitions.all_with_settings([one for one in page.items if isinstance(one, Task)]))
        return Shown([next(found) if isinstance(one, Task) else one for one in page.items], page.following)

    async def show_decisions(self, seq: int, *, after: int | None) -> Shown[TaskWithSettings]:
        """Return a page of the decision tasks of a workflow, the oldest first."""
        page = await self._store.decisions(seq, after=after)
        return Shown(await self._definitions.all_with_settings(page.items), page.following)

    async def decision(self, id: str) -> tuple[str, str, int] | None:
        """Return the id, status and number of lost attempts of the pending decision task of a live workflow."""
        return await self._store.find_decision(id)

    async def entries(self, seq: int, *, decides: bool = False, size: int = 1_000_000) -> Sequence[LabelledEntry]:
        """Return the log entries of a workflow's tasks, or of its decision tasks."""
        return await self._store.entries(seq, decides=decides, size=size)

    async def list(
        self, wanted: Filter, *, sort: Sort, direction: Direction, position: tuple[str, int] | None, size: int
    ) -> Page:
        """Return one page of workflows."""
        return await self._store.list(wanted, sort=sort, direction=direction, position=position, size=size)

    async def count(self, wanted: Filter, *, seconds: float) -> int | None:
        """Return the number of workflows; None when the count exceeds `seconds`."""
        return await self._store.count(wanted, seconds=seconds)

    async def holder(self, key: str) -> str | None:
        """Return the id of the live workflow that has a key."""
        return await self._store.holder(key)

    async def _call(self, new: NewWorkflow) -> CreateWorkflow:
        version, definition = await self._definitions.newest_workflow(new.definition)
        if new.id is not None:
            definition.check_id(new.id)
        beginning = new.checked
        if beginning is None:
            beginning = await self._definitions.checks.made(lambda: definition.begin(new.params))
        return CreateWorkflow(
            # The id is made here: after a lost reply, the repeated create finds the workflow by it.
            new.id or str(uuid4()),
            new.definition,
            version,
            new.label,
            raw(new.params),
            new.execute_at,
            Raw(client_requester(new.caller)),
            new.caller,
            beginning.key,
            beginning.about,
        )

    async def _retry_on_conflict(
        self, new: NewWorkflow, call: CreateWorkflow | Exception, outcome: Workflow | Exception | None
    ) -> Workflow:
        """Handle a create that changed nothing: its id exists, or its definition is stale; then try again."""
        for _ in range(TRIES):
            key_taken = isinstance(outcome, Refusal) and outcome.kind is KEY_TAKEN
            if isinstance(outcome, Exception) and not (key_taken and new.id is not None):
                raise outcome
            if isinstance(outcome, Workflow):
                return outcome
            assert not isinstance(call, Exception), "that was its outcome"
            if existing := await self._store.find(call.id):
                return _existing(existing.workflow, new)
            if isinstance(outcome, Exception):
                raise outcome
            self._definitions.forget(new.definition)
            call = replace(await self._call(new), id=call.id)
            (outcome,) = await self._store.create([call])
        raise too_contended(f"workflow {new.id!r}")

    async def _signaled(self, signal: Signal) -> Workflow:
        found = await self.get(signal.id)
        event = _SignalEvent(signal.name, raw(signal.payload), UNSET if signal.signal_id is None else signal.signal_id)
        call = SignalCall(
            signal.id,
            found.seq,
            # A signal without an id needs one too: after a lost reply of the database, the statement is repeated.
            signal.signal_id or f":{uuid4()}",
            digest_of(is_workflow=True, definition=signal.name, params=signal.payload, execute_at=None),
            Raw(msgspec.json.encode(event)),
        )
        (taken,) = await self._store.signal([call]) if found.workflow.status != "done" else (None,)
        if isinstance(taken, Exception):
            raise taken
        if taken is None:
            # The workflow is done; this may repeat a signal that was delivered before its end.
            taken = await self._store.find_signal(call)
        if taken is None:
            raise await self._over(signal.id)
        if not taken:
            raise Refusal(SIGNAL_REUSED, field="signal-id", id=signal.id, signal_id=signal.signal_id)
        return found.workflow

    async def _over(self, id: str) -> Refusal:
        workflow = (await self.get(id)).workflow
        return Refusal(WORKFLOW_HAS_BEEN_DONE, field="id", id=id, outcome=workflow.outcome)


def _existing(workflow: Workflow, new: NewWorkflow) -> Workflow:
    same = (
        workflow.definition == new.definition
        and workflow.label == new.label
        and same_payload(workflow.params, new.params)
        and _moment(workflow.execute_at) == _moment(new.execute_at)
    )
    if not same:
        raise Refusal(WORKFLOW_EXISTS, field="id", id=workflow.id)
    return workflow


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
