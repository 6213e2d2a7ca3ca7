"""`awf.task/*` for executors: polling, starting, notifying, finishing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from fencepost.domain.definition import Name
from fencepost.domain.task import HeldTask
from fencepost.engine.polls import Wanted
from fencepost.engine.tasks import Lease
from fencepost.errors import invalid_params
from fencepost.rpc.params import object_text
from fencepost.rpc.registry import Context, Registry
from fencepost.wire.resources import AidboxTask, JsonObject, Time, task_resource

executor_methods = Registry()

TaskId = Annotated[str, Meta(min_length=1, max_length=64, description="id of a task")]
ExecId = Annotated[UUID, Meta(description="the fence that the poll gave out")]
_EXEC_ID = "aac4c869-daa4-45fb-917a-46fe14359ed4"
_LEASE = {"id": "c578a224-c1fa-44c1-bc7a-9d2e624b872b", "execId": _EXEC_ID}


class PollParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """What a worker asks for."""

    task_definitions: Annotated[list[Name], Meta(max_length=1000, description="tasks of these definitions")] = []
    workflow_definitions: Annotated[
        list[Name], Meta(max_length=1000, description="decision tasks of these workflows")
    ] = []
    max_batch_size: Annotated[int, Meta(ge=1, le=1_000_000, description="how many tasks at most")] = 1
    request_id: (
        Annotated[
            str, Meta(min_length=1, max_length=200, description="repeat it and get the same tasks while they are held")
        ]
        | None
    ) = None
    start: Annotated[bool, Meta(description="hand the tasks out in progress already")] = False
    worker: (
        Annotated[str, Meta(max_length=200, description="name of who asks, kept with the task and in its log")] | None
    ) = None


class LongPollParams(PollParams, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """What a worker asks for, and how long it waits."""

    timeout: Annotated[int, Meta(ge=0, le=2**53, description="ms to wait for work at most")] = 60_000


class LeaseParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Which execution of which task."""

    id: TaskId
    exec_id: ExecId


class NotifyParams(LeaseParams, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """A sign of life, and what there is to say."""

    notification: Annotated[
        Literal["heartbeat", "progress", "awf.task/heartbeat", "awf.task/progress"], Meta(description="its kind")
    ]
    message: Annotated[str, Meta(max_length=10_000, description="of a heartbeat")] | None = None
    progress_current: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = msgspec.field(
        name="progress-current", default=None
    )
    progress_total: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = msgspec.field(
        name="progress-total", default=None
    )
    progress_unit: Annotated[str, Meta(max_length=200)] | None = msgspec.field(name="progress-unit", default=None)


class SuccessParams(LeaseParams, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """How an execution ended well."""

    result: JsonObject | UnsetType = UNSET


class FailParams(LeaseParams, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """How an execution failed; `result` is what a vendor's SDK calls `error`."""

    error: JsonObject | UnsetType = UNSET
    result: JsonObject | UnsetType = UNSET


class TaskResult(msgspec.Struct, frozen=True):
    """One task."""

    resource: AidboxTask


class TasksResult(msgspec.Struct, frozen=True):
    """The tasks that were leased."""

    resources: list[AidboxTask]


class NotifyResult(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The new deadline (null after a cancel), and whether the task was canceled."""

    in_progress_timeout_at: Time | None
    cancel_requested: bool = False


@executor_methods.method(
    "awf.task/poll", example={"taskDefinitions": ["aidbox.bulk/import-resource-task"], "maxBatchSize": 10}
)
async def poll(context: Context, params: PollParams) -> TasksResult:
    """Lease ready tasks: ready → requested, or with `start` → in-progress. Answers at once, perhaps with none."""
    return _leased(await context.engine.polls.poll(_wanted(context, params), caller=context.caller))


@executor_methods.method(
    "awf.task/long-poll", example={"timeout": 50000, "taskDefinitions": ["aidbox.bulk/import-resource-task"]}
)
async def long_poll(context: Context, params: LongPollParams) -> TasksResult:
    """Lease ready tasks, waiting up to `timeout` for the first; after that the answer is an empty array."""
    seconds = params.timeout / 1000
    if seconds > context.limits.wait_seconds:
        raise invalid_params(f"Expected at most {context.limits.wait_seconds * 1000:.0f} ms", "$.timeout")
    wanted = _wanted(context, params)
    return _leased(await context.engine.polls.long_poll(wanted, caller=context.caller, seconds=seconds))


@executor_methods.method("awf.task/start", batched=True, example=_LEASE)
async def start(context: Context, params: LeaseParams) -> TaskResult:
    """Begin the execution of a leased task: requested → in-progress; counts as an attempt."""
    return _one(await context.engine.tasks.start(_lease(context, params)))


@executor_methods.method(
    "awf.task/notify", batched=True, example={**_LEASE, "notification": "heartbeat", "message": "task is alive"}
)
async def notify(context: Context, params: NotifyParams) -> NotifyResult:
    """Renew the deadline of a running task, and log a message or its progress."""
    kind = params.notification.removeprefix("awf.task/")
    if kind == "progress" and params.progress_current is None:
        raise invalid_params("'progress-current' is missing", "$.progress-current")
    said = {
        "notification": kind,
        "message": params.message,
        "progress-current": params.progress_current,
        "progress-total": params.progress_total,
        "progress-unit": params.progress_unit,
    }
    notification = msgspec.json.encode({name: value for name, value in said.items() if value is not None})
    renewal = await context.engine.tasks.notify(_lease(context, params), notification)
    return NotifyResult(renewal.deadline_at, renewal.cancel_requested)


@executor_methods.method("awf.task/success", batched=True, example={**_LEASE, "result": {"imported-resources": 42}})
async def success(context: Context, params: SuccessParams) -> TaskResult:
    """End an execution well: in-progress → done, outcome succeeded."""
    return _one(await context.engine.tasks.success(_lease(context, params), object_text(params.result, "$.result")))


@executor_methods.method("awf.task/fail", batched=True, example={**_LEASE, "error": {"reason": "no such file"}})
async def fail(context: Context, params: FailParams) -> TaskResult:
    """End an execution as failed: in-progress → waiting while retries are left, else done, outcome failed."""
    error = object_text(params.error, "$.error") or object_text(params.result, "$.result")
    return _one(await context.engine.tasks.fail(_lease(context, params), error))


@executor_methods.method("awf.task/release", batched=True, example=_LEASE)
async def release(context: Context, params: LeaseParams) -> TaskResult:
    """Give a leased task back: requested or in-progress → ready at once; the attempt is not counted."""
    return _one(await context.engine.tasks.release(_lease(context, params)))


def _wanted(context: Context, params: PollParams) -> Wanted:
    if not params.task_definitions and not params.workflow_definitions:
        raise invalid_params("either 'taskDefinitions' or 'workflowDefinitions' is needed", "$.taskDefinitions")
    if params.max_batch_size > context.limits.poll:
        raise invalid_params(f"Expected at most {context.limits.poll}", "$.maxBatchSize")
    return Wanted(
        params.task_definitions,
        params.workflow_definitions,
        params.max_batch_size,
        params.start,
        params.worker,
        params.request_id,
    )


def _lease(context: Context, params: LeaseParams) -> Lease:
    return Lease(params.id, str(params.exec_id), context.caller)


def _one(held: HeldTask) -> TaskResult:
    return TaskResult(task_resource(held))


def _leased(tasks: Sequence[HeldTask]) -> TasksResult:
    return TasksResult([task_resource(held) for held in tasks])
