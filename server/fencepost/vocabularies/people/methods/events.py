"""Methods of the three event streams: an event is recorded as a draft, and takes effect when it is confirmed."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from fencepost.engine.context import Context
from fencepost.resources.values import Time
from fencepost.rpc.registry import Registry
from fencepost.vocabularies.people.commands import (
    ChangeStatusIfRequired,
    Command,
    PlanIfRequired,
    TransferIfRequired,
)
from fencepost.vocabularies.people.methods.params import (
    TASK,
    Confirm,
    EventResult,
    TaskParams,
    actor_of,
    event_result,
    normalized_time,
)
from fencepost.vocabularies.people.statuses import Code8, Priority, Status, User
from fencepost.vocabularies.people.streams import Stream
from fencepost.vocabularies.people.tasks import PeopleTasks

event_methods = Registry()

_ANN = {"id": TASK, "user": "ann"}


class StatusIfRequiredParams(TaskParams, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """The task, and its new status."""

    status: Status
    confirm: Confirm = False


class TransferIfRequiredParams(TaskParams, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """The task, its new team and its new user; without a user it becomes unassigned."""

    assigned_to_team: Code8
    assigned_to_user: User | None = None
    confirm: Confirm = False


class PlanIfRequiredParams(TaskParams, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """The task, and its new plan; a member that is not given keeps its value."""

    priority: Priority | None = None
    due_date_time: Time | None = None
    confirm: Confirm = False


class ConfirmParams(TaskParams, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """The task, and the event to confirm."""

    event: Annotated[int, Meta(ge=1, le=2**63 - 1, description="`id` of the event")]


@event_methods.method("awf.people/change-task-status-if-required", example={**_ANN, "status": "IN"})
async def change_task_status_if_required(context: Context, params: StatusIfRequiredParams) -> EventResult:
    """Record a status event if the status differs; otherwise `event` is null. An active status needs a user."""
    return await _record(context, params, ChangeStatusIfRequired(params.status), confirm=params.confirm)


@event_methods.method(
    "awf.people/transfer-task-if-required", example={**_ANN, "assignedToTeam": "IT", "assignedToUser": "bob"}
)
async def transfer_task_if_required(context: Context, params: TransferIfRequiredParams) -> EventResult:
    """Record a transfer event if team or user differ; otherwise `event` is null."""
    command = TransferIfRequired(params.assigned_to_team, params.assigned_to_user)
    return await _record(context, params, command, confirm=params.confirm)


@event_methods.method("awf.people/plan-task-if-required", example={**_ANN, "priority": "H"})
async def plan_task_if_required(context: Context, params: PlanIfRequiredParams) -> EventResult:
    """Record a plan event if priority or due date differ; otherwise `event` is null."""
    command = PlanIfRequired(params.priority, normalized_time(params.due_date_time, "dueDateTime"))
    return await _record(context, params, command, confirm=params.confirm)


@event_methods.method("awf.people/confirm-status-event", example={**_ANN, "event": 3})
async def confirm_status_event(context: Context, params: ConfirmParams) -> EventResult:
    """Process a status event and replay its task. Idempotent."""
    return await _confirm(context, params, "status")


@event_methods.method("awf.people/confirm-transfer-event", example={**_ANN, "event": 4})
async def confirm_transfer_event(context: Context, params: ConfirmParams) -> EventResult:
    """Process a transfer event and replay its task. Idempotent."""
    return await _confirm(context, params, "transfer")


@event_methods.method("awf.people/confirm-plan-event", example={**_ANN, "event": 5})
async def confirm_plan_event(context: Context, params: ConfirmParams) -> EventResult:
    """Process a plan event and replay its task. Idempotent."""
    return await _confirm(context, params, "plan")


async def _record(context: Context, params: TaskParams, command: Command, *, confirm: bool) -> EventResult:
    tasks = context.of(PeopleTasks)
    return event_result(await tasks.execute(params.id, command, actor_of(context, params), confirm=confirm))


async def _confirm(context: Context, params: ConfirmParams, stream: Stream) -> EventResult:
    tasks = context.of(PeopleTasks)
    return event_result(await tasks.confirm(params.id, stream, params.event, actor_of(context, params)))
