"""`awf.task/*` for executors: starting, notifying, finishing. For polls see polls.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, Protocol
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from fencepost.domain.ids import ExecId, IdKind
from fencepost.domain.payload import object_text, payload_text, require_object
from fencepost.domain.task import ChangedTask
from fencepost.engine.context import Context
from fencepost.engine.leases import Lease
from fencepost.engine.outcomes import Outcomes
from fencepost.errors import invalid_params
from fencepost.resources.tasks import AidboxTask, task_resource
from fencepost.resources.values import JsonObject, Time
from fencepost.rpc.registry import Registry

executor_methods = Registry()

TaskId = Annotated[str, Meta(min_length=1, max_length=64, description="id of a task")]
Result = Annotated[Raw, Meta(extra_json_schema={"type": ["object", "array"]})]
IncludeResource = Annotated[bool, Meta(description="answer with the resource of the task; false: with its id only")]
_EXEC_ID = "aac4c869-daa4-45fb-917a-46fe14359ed4"
_LEASE = {"id": "c578a224-c1fa-44c1-bc7a-9d2e624b872b", "execId": _EXEC_ID}


class LeaseParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """An execution of a task."""

    id: TaskId
    exec_id: Annotated[UUID, Meta(description="fencing token from the poll")]


class ChangeParams(LeaseParams, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An execution of a task, and the form of the answer."""

    include_resource: IncludeResource = msgspec.field(name="include-resource?", default=True)


class NotifyParams(LeaseParams, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """A heartbeat, with an optional message and progress."""

    notification: Annotated[
        Literal["heartbeat", "progress", "awf.task/heartbeat", "awf.task/progress"], Meta(description="its kind")
    ]
    message: Annotated[str, Meta(max_length=10_000, description="text of the heartbeat, for the log")] | None = None
    progress_current: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = msgspec.field(
        name="progress-current", default=None
    )
    progress_total: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = msgspec.field(
        name="progress-total", default=None
    )
    progress_unit: Annotated[str, Meta(max_length=200)] | None = msgspec.field(name="progress-unit", default=None)

    def __post_init__(self) -> None:
        """Raise Refusal for progress without `progress-current`."""
        if self.notification.endswith("progress") and self.progress_current is None:
            raise invalid_params("'progress-current' is missing", "progress-current")


class SuccessParams(ChangeParams, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The result of a succeeded execution; for a decision task, an action or an array of actions."""

    result: Result | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Raise Refusal unless the result is an object, or for a decision an array."""
        text = payload_text(self.result)
        # Only an array needs a look at the execId.
        if text is None or text[:1] != b"[" or ExecId.of(self.exec_id).kind is not IdKind.DECISION:
            require_object(text, "result")


class FailParams(ChangeParams, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The error of a failed execution; `result` is another name for `error`, used by a vendor's SDK."""

    error: JsonObject | UnsetType = UNSET
    result: JsonObject | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Raise Refusal unless the error is an object."""
        object_text(self.error, "error")
        object_text(self.result, "result")


class TaskResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """One task; only its id if the call asked for a short answer."""

    resource: AidboxTask | UnsetType = UNSET
    id: str | UnsetType = UNSET


class NotifyResult(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The new deadline (null after a cancel), and whether the task is canceled."""

    in_progress_timeout_at: Time | None
    cancel_requested: bool = False


@executor_methods.batched("awf.task/start", example=_LEASE, gathered=lambda _: None)
async def start(context: Context, calls: Sequence[ChangeParams]) -> Outcomes[TaskResult]:
    """Start a leased task: requested → in-progress; counts as an attempt."""
    leases = [Lease(call.id, ExecId.of(call.exec_id), context.caller) for call in calls]
    return changed_tasks(calls, await context.engine.executions.start(leases, short=all_short(calls)))


@executor_methods.batched(
    "awf.task/notify",
    example={**_LEASE, "notification": "heartbeat", "message": "task is alive"},
    small=lambda _: True,
    gathered=lambda _: None,
)
async def notify(context: Context, calls: Sequence[NotifyParams]) -> Outcomes[NotifyResult]:
    """Heartbeat: extend the lease of a running task, and log a message or its progress."""
    leases = [Lease(call.id, ExecId.of(call.exec_id), context.caller, _notification(call)) for call in calls]
    return [
        renewal if isinstance(renewal, Exception) else NotifyResult(renewal.deadline_at, renewal.cancel_requested)
        for renewal in await context.engine.executions.notify(leases)
    ]


def _is_decision(params: SuccessParams) -> bool:
    # Decisions take longer: no other success waits for them.
    return ExecId.of(params.exec_id).kind is IdKind.DECISION


@executor_methods.batched(
    "awf.task/success", example={**_LEASE, "result": {"imported-resources": 42}}, gathered=_is_decision
)
async def success(context: Context, calls: Sequence[SuccessParams]) -> Outcomes[TaskResult]:
    """Complete an execution: in-progress → done, outcome succeeded."""
    leases = [Lease(call.id, ExecId.of(call.exec_id), context.caller, payload_text(call.result)) for call in calls]
    return changed_tasks(calls, await context.engine.executions.success(leases, short=all_short(calls)))


@executor_methods.batched(
    "awf.task/fail", example={**_LEASE, "error": {"reason": "no such file"}}, gathered=lambda _: None
)
async def fail(context: Context, calls: Sequence[FailParams]) -> Outcomes[TaskResult]:
    """Fail an execution: in-progress → waiting while retries are left, else done, outcome failed."""
    leases = [
        Lease(
            call.id,
            ExecId.of(call.exec_id),
            context.caller,
            payload_text(call.error) or payload_text(call.result),
        )
        for call in calls
    ]
    return changed_tasks(calls, await context.engine.executions.fail(leases, short=all_short(calls)))


@executor_methods.batched("awf.task/release", example=_LEASE, gathered=lambda _: None)
async def release(context: Context, calls: Sequence[ChangeParams]) -> Outcomes[TaskResult]:
    """Release a leased task: requested or in-progress → ready at once; the attempt is not counted."""
    leases = [Lease(call.id, ExecId.of(call.exec_id), context.caller) for call in calls]
    return changed_tasks(calls, await context.engine.executions.release(leases, short=all_short(calls)))


class _MayBeShort(Protocol):
    @property
    def include_resource(self) -> bool: ...


def all_short(calls: Sequence[_MayBeShort]) -> bool:
    """Return whether all calls ask for a short answer."""
    return not any(call.include_resource for call in calls)


def changed_tasks(calls: Sequence[_MayBeShort], outcomes: Outcomes[ChangedTask]) -> Outcomes[TaskResult]:
    """Convert outcomes of changes for the wire, each in the form that its call asks for."""
    return [
        outcome
        if isinstance(outcome, Exception)
        else TaskResult(resource=task_resource(outcome))
        if call.include_resource
        else TaskResult(id=outcome.task.id)
        for call, outcome in zip(calls, outcomes, strict=True)
    ]


def _notification(call: NotifyParams) -> bytes:
    members = {
        "notification": call.notification.removeprefix("awf.task/"),
        "message": call.message,
        "progress-current": call.progress_current,
        "progress-total": call.progress_total,
        "progress-unit": call.progress_unit,
    }
    return msgspec.json.encode({name: value for name, value in members.items() if value is not None})
