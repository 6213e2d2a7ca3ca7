"""Methods that change a task: each records its events and processes them at once."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from fencepost.domain.payload import object_text
from fencepost.engine.context import Context
from fencepost.resources.values import JsonObject
from fencepost.rpc.registry import Registry
from fencepost.vocabularies.people.commands import (
    Cancel,
    ChangeStatus,
    Claim,
    Command,
    Complete,
    Transfer,
    TransferIfRequired,
    Unclaim,
)
from fencepost.vocabularies.people.methods.params import (
    TASK,
    EventResult,
    TaskParams,
    TaskResult,
    actor_of,
    event_result,
    user_of,
)
from fencepost.vocabularies.people.resources import task_resource
from fencepost.vocabularies.people.statuses import Code8, Status, User
from fencepost.vocabularies.people.tasks import PeopleTasks

command_methods = Registry()

_ANN = {"id": TASK, "user": "ann"}


class TransferParams(TaskParams, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """The task, and the team or user to transfer it to."""

    transfer_to_team: Code8
    transfer_to_user: User | None = None


class ChangeParams(TaskParams, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """The task, and its new status."""

    status: Status


class CompleteParams(TaskParams, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """The task, and its result."""

    result: (
        Annotated[
            JsonObject,
            Meta(description="stored with the core task; a list that closes when done includes it in its own result"),
        ]
        | UnsetType
    ) = UNSET

    def __post_init__(self) -> None:
        """Refuse a result that is not an object."""
        object_text(self.result, "result")


class ExecutedByParams(TaskParams, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """The task, and the user who does it."""

    executed_by_user: User


@command_methods.method("awf.people/claim", example=_ANN)
async def claim(context: Context, params: TaskParams) -> TaskResult:
    """Assign a pending task to the user, a member of its team. If two users claim it at once, one of them gets it."""
    return await _execute(context, params, Claim())


@command_methods.method("awf.people/unclaim", example=_ANN)
async def unclaim(context: Context, params: TaskParams) -> TaskResult:
    """Return a task to its team: it becomes unassigned, and a manual task becomes pending."""
    return await _execute(context, params, Unclaim())


@command_methods.method("awf.people/transfer", example={**_ANN, "transferToTeam": "IT"})
async def transfer(context: Context, params: TransferParams) -> TaskResult:
    """Transfer a task to a team, or to a user of that team. A manual task that loses its user becomes pending."""
    return await _execute(context, params, Transfer(params.transfer_to_team, params.transfer_to_user))


@command_methods.method("awf.people/change-status", example={**_ANN, "status": "PE"})
async def change_status(context: Context, params: ChangeParams) -> EventResult:
    """Record any status, without a check of user and team. For developers who repair a stuck task."""
    tasks = context.of(PeopleTasks)
    return event_result(await tasks.execute(params.id, ChangeStatus(params.status), actor_of(context, params)))


@command_methods.method("awf.people/set-executed-by-user", example={**_ANN, "executedByUser": "bob"})
async def set_executed_by_user(context: Context, params: ExecutedByParams) -> TaskResult:
    """Assign a task to a user; its team stays the same."""
    return await _execute(context, params, TransferIfRequired(None, params.executed_by_user))


@command_methods.method("awf.people/set-task-completed", example={**_ANN, "result": {"signed": True}})
async def set_task_completed(context: Context, params: CompleteParams) -> TaskResult:
    """Complete a task; the user must be a member of its team. An unassigned task is first assigned to the user.

    Idempotent for the assignee, with the same result.
    """
    return await _execute(context, params, Complete(object_text(params.result, "result")))


@command_methods.method("awf.people/set-task-canceled", example=_ANN)
async def set_task_canceled(context: Context, params: TaskParams) -> TaskResult:
    """Cancel a task that is not completed."""
    return await _execute(context, params, Cancel())


@command_methods.method("awf.people/assert-task-is-not-completed", example={"id": TASK})
async def assert_task_is_not_completed(context: Context, params: TaskParams) -> TaskResult:
    """Return a task; refused when it is completed."""
    return TaskResult(task_resource(await context.of(PeopleTasks).assert_not_completed(params.id)))


@command_methods.method("awf.people/assert-task-user-is-valid", example=_ANN)
async def assert_task_user_is_valid(context: Context, params: TaskParams) -> TaskResult:
    """Return a task; refused unless the user is a member of its team."""
    task = await context.of(PeopleTasks).assert_user_is_valid(params.id, user_of(context, params))
    return TaskResult(task_resource(task))


@command_methods.method("awf.people/validate-after-task-completed", example={"id": TASK})
async def validate_after_task_completed(context: Context, params: TaskParams) -> TaskResult:
    """Return a task; refused unless it is completed, with a time and, for a manual task, a user."""
    return TaskResult(task_resource(await context.of(PeopleTasks).validate_after_completed(params.id)))


async def _execute(context: Context, params: TaskParams, command: Command) -> TaskResult:
    executed = await context.of(PeopleTasks).execute(params.id, command, actor_of(context, params))
    return TaskResult(task_resource(executed.task))
