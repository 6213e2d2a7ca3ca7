"""Decisions: what deciders say, checked before it is done, and done together with the end of the decision task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple
from uuid import uuid4

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
from fencepost.engine.leases import Lease, fence, fragment
from fencepost.engine.outcomes import TRIES, Outcomes, sequentially, too_contended
from fencepost.engine.start_requests import ResolvedRequest, parse, resolve
from fencepost.errors import INVALID_ACTION, TASK_NOT_FOUND, UNAVAILABLE, Refusal
from fencepost.store.tasks import TaskStore
from fencepost.store.workflows import WorkflowStore

_REASONS: Mapping[type[AnyAction], tuple[str, str] | tuple[None, None]] = {
    CompleteWorkflow: (None, None),
    Fail: ("awf.workflow/failed-by-executor", "Failed by executor"),
    UnknownError: ("awf.executor/unknown-error", "Unknown error"),
}


class Decisions:
    """The decisions about a database's workflows."""

    def __init__(self, workflows: WorkflowStore, tasks: TaskStore, definitions: Definitions) -> None:
        self._workflows = workflows
        self._tasks = tasks
        self._definitions = definitions

    async def decide(self, leases: Sequence[Lease], *, short: bool = False) -> Outcomes[ChangedTask]:
        """End decision tasks as succeeded and do what each decides: all of it, or nothing and the reason."""
        calls = await sequentially(map(self._call, leases))
        good = [call for call in calls if not isinstance(call, Exception)]
        decided = iter(await self._workflows.decide(good, short=short))
        outcomes = [call if isinstance(call, Exception) else next(decided) for call in calls]
        return await sequentially(map(self._diagnosed, leases, calls, outcomes))

    async def _diagnosed(
        self, lease: Lease, call: dict[str, Any] | Exception, outcome: Task | ShortTask | Exception | None
    ) -> ChangedTask:
        """Find out why a guard failed: the same was said before, it is refused, or it is worth another try."""
        for _ in range(TRIES):
            if isinstance(outcome, Exception):
                raise outcome
            if outcome is not None:
                return await self._definitions.changed(outcome)
            if task := await diagnose(self._tasks, "success", lease.id, str(lease.exec_id), lease.content):
                return await self._definitions.changed(task)
            assert not isinstance(call, Exception), "that was its outcome"
            call["checked"] = await self._check(lease)
            (outcome,) = await self._workflows.decide([call])
        raise too_contended(f"task {lease.id!r}")

    async def _check(self, lease: Lease) -> int:
        """Check what ends a workflow against the schema that it lives under; return that version."""
        task = await self._tasks.find(lease.id)
        if task is None:
            raise Refusal(TASK_NOT_FOUND, at="$.id", id=lease.id)
        if (said := _said_at_the_end(read_actions(lease.content), lease)) is not None:
            settings = await self._definitions.work(task.definition, task.definition_version)
            assert isinstance(settings, Declared | Decided)
            schema, text = settings.result_schema if said.member == "result" else settings.error_schema, said.text
            if schema is not None:
                try:
                    await self._definitions.checks.made(partial(schema.check, text, at="$"))
                except Refusal as refusal:
                    if refusal.kind is UNAVAILABLE:
                        raise
                    raise _of_action(refusal, said.place) from None
        return task.definition_version

    async def _call(self, lease: Lease) -> dict[str, Any]:
        actions = read_actions(lease.content)
        begins = []
        for index, action in enumerate(actions):
            if isinstance(action, ScheduleTask | ScheduleWorkflow):
                begins.append(await self._begun(action, index, lease))
        return {
            **fence(lease),
            "result": fragment(lease.content),
            "checked": None,
            "begins": begins,
            "ending": _ending(actions, lease),
        }

    async def _begun(self, action: ScheduleTask | ScheduleWorkflow, index: int, lease: Lease) -> dict[str, Any]:
        """Write what shall begin as the statements take it, under the newest version of its definition.

        What cannot be begun is refused only if it is not begun already: definitions move on.
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
        return {
            "place": place,
            "refusal": refused,
            "is_workflow": is_workflow,
            "id": str(uuid4()) if is_workflow else None,
            "label": request.label or f"{lease.id}/{index}",
            "digest": digest_of(is_workflow=is_workflow, definition=name, **parsed._asdict()),
            "definition": name,
            "version": resolved.version,
            "params": fragment(parsed.params),
            "execute_at": parsed.execute_at,
            "settings": fragment(parsed.settings),
            "key": resolved.key,
            "about": resolved.about,
            "timer": resolved.timer,
        }


class Said(NamedTuple):
    """What ends a workflow says of it: a `member`, its text, and its JSON path in the call's params."""

    member: str
    text: bytes | None
    place: str


def _said_at_the_end(actions: Sequence[AnyAction], lease: Lease) -> Said | None:
    """Return what the last action says of the workflow, if it ends it; raise Refusal when that is not an object."""
    match actions[-1] if actions else None:
        case CompleteWorkflow(result=said):
            member = "result"
        case Fail(error=said) | UnknownError(error=said):
            member = "error"
        case _:
            return None
    place = f"{_place(lease, len(actions) - 1)}.{member}"
    try:
        return Said(member, object_text(said, "$"), place)
    except Refusal as refusal:
        raise _of_action(refusal, place) from None


def _ending(actions: Sequence[AnyAction], lease: Lease) -> dict[str, Any] | None:
    """Return how the workflow ends, if it does, as end.sql takes it."""
    said = _said_at_the_end(actions, lease)
    if said is None:
        return None
    reason_type, reason_message = _REASONS[type(actions[-1])]
    return {
        "outcome": "succeeded" if reason_type is None else "failed",
        "reason_type": reason_type,
        "reason_message": reason_message,
        said.member: fragment(said.text),
        "action": actions[-1].__struct_config__.tag,
        "caller": lease.caller,
    }


def _place(lease: Lease, index: int) -> str:
    """Return the JSON path of an action in the call's params."""
    return f"$.result[{index}]" if (lease.content or b"").lstrip()[:1] == b"[" else "$.result"


def _of_action(refusal: Refusal, place: str) -> Refusal:
    """Return a refusal of something in an action as that of the decision."""
    errors = refusal.errors and [{**error, "path": place + error["path"][1:]} for error in refusal.errors]
    return Refusal(INVALID_ACTION, at=place + (refusal.at or "$")[1:], errors=errors, reason=refusal.message)
