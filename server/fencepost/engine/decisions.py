"""Decisions: the actions of deciders, checked first, then applied in the transaction that ends the decision task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple
from uuid import uuid4

from msgspec.structs import replace

from fencepost.domain.actions import (
    AnyAction,
    CompleteWorkflow,
    Fail,
    ScheduleTask,
    ScheduleWorkflow,
    UnknownError,
    digest_of,
    read_actions,
    request_of,
)
from fencepost.domain.definition import Decided, Declared
from fencepost.domain.payload import object_text
from fencepost.domain.task import ChangedTask, ShortTask, Task
from fencepost.engine.conflicts import diagnose
from fencepost.engine.definitions import Definitions
from fencepost.engine.leases import Lease
from fencepost.engine.outcomes import TRIES, Outcomes, sequentially, too_contended
from fencepost.engine.start_requests import ResolvedRequest, parse, resolve
from fencepost.errors import INVALID_ACTION, TASK_NOT_FOUND, UNAVAILABLE, Refusal
from fencepost.store.calls import FinishCall, raw
from fencepost.store.decisions import Begin, DecideCall
from fencepost.store.tasks import TaskStore
from fencepost.store.workflow_tree import Ending
from fencepost.store.workflows import WorkflowStore

_REASONS: Mapping[type[AnyAction], tuple[str, str] | tuple[None, None]] = {
    CompleteWorkflow: (None, None),
    Fail: ("awf.workflow/failed-by-executor", "Failed by executor"),
    UnknownError: ("awf.executor/unknown-error", "Unknown error"),
}


class Decisions:
    """Applies decisions to workflows."""

    def __init__(self, workflows: WorkflowStore, tasks: TaskStore, definitions: Definitions) -> None:
        self._workflows = workflows
        self._tasks = tasks
        self._definitions = definitions

    async def decide(self, leases: Sequence[Lease], *, short: bool = False) -> Outcomes[ChangedTask]:
        """Complete decision tasks and apply the actions of each: all of them, or none and an exception."""
        calls = await sequentially(map(self._call, leases))
        good = [call for call in calls if not isinstance(call, Exception)]
        decided = iter(await self._workflows.decide(good, short=short))
        outcomes = [call if isinstance(call, Exception) else next(decided) for call in calls]
        return await sequentially(map(self._diagnosed, leases, calls, outcomes))

    async def _diagnosed(
        self, lease: Lease, call: DecideCall | Exception, outcome: Task | ShortTask | Exception | None
    ) -> ChangedTask:
        """Diagnose a failed guard: return the task of an earlier equal call, raise the Refusal, or try again."""
        for _ in range(TRIES):
            if isinstance(outcome, Exception):
                raise outcome
            if outcome is not None:
                return await self._definitions.changed(outcome)
            if task := await diagnose(self._tasks, "success", lease.id, str(lease.exec_id), lease.content):
                return await self._definitions.changed(task)
            assert not isinstance(call, Exception), "that was its outcome"
            call = replace(call, finish=replace(call.finish, checked=await self._check(lease)))
            (outcome,) = await self._workflows.decide([call])
        raise too_contended(f"task {lease.id!r}")

    async def _check(self, lease: Lease) -> int:
        """Check the result or error of a workflow against the schema of its definition version; return that version."""
        task = await self._tasks.find(lease.id)
        if task is None:
            raise Refusal(TASK_NOT_FOUND, field="id", id=lease.id)
        if (said := _final_content(read_actions(lease.content), lease)) is not None:
            settings = await self._definitions.work(task.definition, task.definition_version)
            assert isinstance(settings, Declared | Decided)
            schema, text = settings.result_schema if said.member == "result" else settings.error_schema, said.text
            if schema is not None:
                try:
                    await self._definitions.checks.made(partial(schema.check, text, field=""))
                except Refusal as refusal:
                    if refusal.kind is UNAVAILABLE:
                        raise
                    raise _of_action(refusal, said.place) from None
        return task.definition_version

    async def _call(self, lease: Lease) -> DecideCall:
        actions = read_actions(lease.content)
        begins = []
        for index, action in enumerate(actions):
            if isinstance(action, ScheduleTask | ScheduleWorkflow):
                begins.append(await self._begun(action, index, lease))
        finish = FinishCall(*lease.guard, raw(lease.content))
        return DecideCall(lease.id, finish, tuple(begins), _ending(actions, lease))

    async def _begun(self, action: ScheduleTask | ScheduleWorkflow, index: int, lease: Lease) -> Begin:
        """Return the activity of an action, under the newest version of its definition.

        A refusal goes into it: it counts only if no earlier decision has started this label, since definitions
        may have changed since then.
        """
        member, request = request_of(action)
        name, is_workflow, place = request.definition, isinstance(action, ScheduleWorkflow), _place(lease, index)
        try:
            parsed = parse(request, is_workflow=is_workflow)
        except Refusal as refusal:
            raise _of_action(refusal, f"{place}.{member}") from None
        resolved, refused = ResolvedRequest(0), None
        try:
            resolved = await resolve(self._definitions, name, parsed, is_workflow=is_workflow)
        except Refusal as refusal:
            if refusal.kind is UNAVAILABLE:
                raise
            refused = _of_action(refusal, f"{place}.{member}")
        return Begin(
            is_workflow=is_workflow,
            id=str(uuid4()) if is_workflow else None,
            label=request.label or f"{lease.id}/{index}",
            digest=digest_of(is_workflow=is_workflow, definition=name, **parsed._asdict()),
            definition=name,
            version=resolved.version,
            params=parsed.params,
            execute_at=parsed.execute_at,
            settings=parsed.settings,
            key=resolved.key,
            about=resolved.about,
            timer=resolved.timer,
            place=place,
            refusal=refused,
        )


class FinalContent(NamedTuple):
    """The result or error of a workflow: the `member`, its text, and its field in the call's params."""

    member: str
    text: bytes | None
    place: str


def _final_content(actions: Sequence[AnyAction], lease: Lease) -> FinalContent | None:
    """Return the result or error of the last action, if that ends the workflow; raise Refusal (`invalid-action`)."""
    match actions[-1] if actions else None:
        case CompleteWorkflow(result=said):
            member = "result"
        case Fail(error=said) | UnknownError(error=said):
            member = "error"
        case _:
            return None
    place = f"{_place(lease, len(actions) - 1)}.{member}"
    try:
        return FinalContent(member, object_text(said, ""), place)
    except Refusal as refusal:
        raise _of_action(refusal, place) from None


def _ending(actions: Sequence[AnyAction], lease: Lease) -> Ending | None:
    """Return the end of the workflow, if the last action ends it."""
    said = _final_content(actions, lease)
    if said is None:
        return None
    reason_type, reason_message = _REASONS[type(actions[-1])]
    succeeds = said.member == "result"
    return Ending(
        "succeeded" if succeeds else "failed",
        str(actions[-1].__struct_config__.tag),
        lease.caller,
        reason_type,
        reason_message,
        result=raw(said.text) if succeeds else None,
        error=None if succeeds else raw(said.text),
    )


def _place(lease: Lease, index: int) -> str:
    """Return the field of an action in the call's params."""
    return f"result[{index}]" if (lease.content or b"").lstrip()[:1] == b"[" else "result"


def _of_action(refusal: Refusal, place: str) -> Refusal:
    """Return a refusal about a part of an action as the refusal of the decision (`invalid-action`)."""
    moved = refusal.within(place)
    return Refusal(INVALID_ACTION, field=moved.field, errors=moved.errors, reason=refusal.message)
