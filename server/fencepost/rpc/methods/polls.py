"""`awf.task/poll` and `awf.task/long-poll`: leases of ready tasks."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw

from fencepost.domain.definition import Name
from fencepost.domain.polled import PolledField, PolledText
from fencepost.domain.task import TaskWithSettings
from fencepost.engine.context import Context
from fencepost.engine.dispatcher import PendingPoll
from fencepost.engine.outcomes import Outcomes
from fencepost.engine.polls import PollRequest
from fencepost.errors import Refusal, invalid_params
from fencepost.resources.tasks import AidboxTask, task_resource
from fencepost.rpc.registry import Registry

poll_methods = Registry()


class PollParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """A request for tasks."""

    task_definitions: Annotated[list[Name], Meta(max_length=1000, description="tasks of these definitions")] = []
    workflow_definitions: Annotated[
        list[Name], Meta(max_length=1000, description="decision tasks of these workflows")
    ] = []
    max_batch_size: Annotated[int, Meta(ge=1, le=1_000_000, description="maximum number of tasks")] = 1
    request_id: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=200,
                description="idempotency key: a repeated poll gets the same tasks while they are leased",
            ),
        ]
        | None
    ) = None
    start: Annotated[bool, Meta(description="start the tasks at once: lease them as in-progress")] = False
    worker: (
        Annotated[str, Meta(max_length=200, description="name of the worker, stored with the task and in its log")]
        | None
    ) = None
    fields: (
        Annotated[
            list[PolledField],
            Meta(max_length=100, description="the wanted members of each task, besides `id` and `execId`; faster"),
        ]
        | None
    ) = None


class LongPollParams(PollParams, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """A request for tasks, and the time to wait for one."""

    timeout: Annotated[int, Meta(ge=0, le=2**53, description="maximum wait in ms")] = 50_000


class TasksResult(msgspec.Struct, frozen=True):
    """The leased tasks."""

    resources: list[AidboxTask]


def _polled_names(params: PollParams) -> Hashable:
    return (*params.task_definitions, *params.workflow_definitions)


@poll_methods.batched(
    "awf.task/poll",
    example={"taskDefinitions": ["aidbox.bulk/import-resource-task"], "maxBatchSize": 10},
    gathered=_polled_names,
    in_arrays=False,
)
async def poll(context: Context, calls: Sequence[PollParams]) -> Outcomes[TasksResult]:
    """Lease ready tasks: ready → requested, or with `start` → in-progress. Answers at once, even without tasks."""
    return await _polled(context, calls)


@poll_methods.method(
    "awf.task/long-poll", example={"timeout": 50000, "taskDefinitions": ["aidbox.bulk/import-resource-task"]}
)
async def long_poll(context: Context, params: LongPollParams) -> TasksResult:
    """Lease ready tasks, waiting up to `timeout` for the first one; then the answer is an empty array."""
    (polled,) = await _polled(context, [params], wait_seconds(context, params.timeout, "timeout"))
    if isinstance(polled, Exception):
        raise polled
    return polled


def wait_seconds(context: Context, milliseconds: int, field: str) -> float:
    """Return the seconds that a call waits; raise Refusal (`invalid-params`) over the limit."""
    seconds = milliseconds / 1000
    if seconds > context.limits.wait_seconds:
        raise invalid_params(f"Expected at most {context.limits.wait_seconds * 1000:.0f} ms", field)
    return seconds


async def _polled(context: Context, calls: Sequence[PollParams], seconds: float | None = None) -> Outcomes[TasksResult]:
    """Lease ready tasks for each call, waiting up to `seconds` for the first one."""
    entered = [_entered(context, params, seconds) for params in calls]
    answers = iter(await context.engine.polls.answers([one for one in entered if not isinstance(one, Refusal)]))
    outcomes = [one if isinstance(one, Refusal) else next(answers) for one in entered]
    return [_leased(params, outcome) for params, outcome in zip(calls, outcomes, strict=True)]


def _entered(context: Context, params: PollParams, seconds: float | None) -> PendingPoll | Refusal:
    try:
        request = _poll_request(context, params)
    except Refusal as refusal:
        return refusal
    return context.engine.polls.enter(request, caller=context.caller, seconds=seconds, fields=params.fields)


def _leased(params: PollParams, polled: PolledText | Sequence[TaskWithSettings] | Exception) -> TasksResult | Exception:
    if isinstance(polled, Exception):
        return polled
    if isinstance(polled, PolledText):
        return TasksResult(Raw(b"[" + polled.text + b"]"))  # type: ignore[arg-type]  # the same JSON
    resources = [task_resource(found) for found in polled]
    return TasksResult(resources if params.fields is None else _with_fields(resources, params.fields))


def _poll_request(context: Context, params: PollParams) -> PollRequest:
    if not params.task_definitions and not params.workflow_definitions:
        raise invalid_params("either 'taskDefinitions' or 'workflowDefinitions' is needed", "taskDefinitions")
    not_polled = context.engine.definitions.documents.not_polled
    for place, name in enumerate(params.task_definitions):
        if name in not_polled:
            raise invalid_params(f"no worker is handed tasks of {name!r}", f"taskDefinitions[{place}]")
    if params.max_batch_size > context.limits.poll:
        raise invalid_params(f"Expected at most {context.limits.poll}", "maxBatchSize")
    return PollRequest(
        params.task_definitions,
        params.workflow_definitions,
        params.max_batch_size,
        params.start,
        params.worker,
        params.request_id,
    )


def _with_fields(resources: Iterable[AidboxTask], fields: Collection[PolledField]) -> Any:
    """Return tasks with some members only."""
    wanted = {"id", "execId", *fields}
    members = [msgspec.json.decode(msgspec.json.encode(resource), type=dict[str, Raw]) for resource in resources]
    return [{name: task[name] for name in task if name in wanted} for task in members]
