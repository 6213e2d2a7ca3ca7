"""Resources of the people vocabulary. A member without a value is null."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from fencepost.resources.values import JsonObject, Time, raw
from fencepost.vocabularies.people.process import ProcessStep
from fencepost.vocabularies.people.statuses import Flow, HandlerType, Status
from fencepost.vocabularies.people.streams import TaskEvent
from fencepost.vocabularies.people.task import PeopleTask, TaskList


class WFTaskList(msgspec.Struct, frozen=True, rename="camel", tag_field="resourceType", tag="WFTaskList"):
    """A task list: one run of a process."""

    code: Annotated[str, Meta(description="its key: the id of its workflow")]
    process: str
    department: str
    source_document_line: str | None
    domain_object_type: str | None
    domain_object_key: str | None
    domain_object_code: str | None
    input: JsonObject | None
    status: Annotated[Literal["created", "in-progress", "done"], Meta(description="status of its workflow")]
    outcome: Literal["succeeded", "failed", "canceled"] | None
    result: JsonObject | None
    start_date_time: Time


class WFTask(msgspec.Struct, frozen=True, rename="camel", tag_field="resourceType", tag="WFTask"):
    """A task with its current values."""

    id: str
    task_list: str
    line_number: int
    process: str
    process_step: str
    flow: Annotated[Flow, Meta(description="`M`: people do it; `A`: a worker does it")]
    department: str
    start_date_time: Time
    description: str | None
    reference_code: str | None
    partner: str | None
    partner_contact: str | None
    initial_assigned_to_team: str
    initial_assigned_to_user: str | None
    initial_task_status: Status
    initial_priority: str
    initial_due_date_time: Time
    progress_message: str | None
    exception_message: str | None
    domain_object_key: str | None
    domain_object_code: str | None
    bi_assigned_to_team: str
    bi_assigned_to_user: str | None
    bi_task_status: Status
    bi_priority: str
    bi_due_date_time: Time
    bi_completion_date_time: Time | None
    bi_locked: bool
    locked_by: str | None
    result: JsonObject | None
    core_task: Annotated[str, Meta(description="id of the queue's task behind it; a reopened task gets a new one")]


class WFTaskEvent(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, tag_field="resourceType"):
    """An event of one of the three streams; `id` is null for a change in the log of the core task."""

    id: int | None
    wf_task: str
    event_date_time: Time
    user: str
    processed: bool


class WFTaskStatusEvent(WFTaskEvent, frozen=True, rename="camel", tag="WFTaskStatusEvent", kw_only=True):
    """A status event."""

    bi_task_status: Status
    reason: str | UnsetType = UNSET


class WFTaskTransferEvent(WFTaskEvent, frozen=True, rename="camel", tag="WFTaskTransferEvent", kw_only=True):
    """A transfer event: a team, and a user of it or null."""

    assigned_to_team: str
    assigned_to_user: str | None


class WFTaskPlanEvent(WFTaskEvent, frozen=True, rename="camel", tag="WFTaskPlanEvent", kw_only=True):
    """A plan event: a priority and a due date."""

    priority: str
    due_date_time: Time


AnyEvent = WFTaskStatusEvent | WFTaskTransferEvent | WFTaskPlanEvent


class WFProcessStep(msgspec.Struct, frozen=True, rename="camel", tag_field="resourceType", tag="WFProcessStep"):
    """A step of a process."""

    wf_process: str
    code: str
    description: str
    create_at_process_start: bool
    skip_in_process_step: bool
    due_days: int
    handler_type: HandlerType
    handler_class_name: str | None
    parameter_value_types: dict[str, str] | None
    page: str | None
    assign_to_team: str | None
    assign_to_user: str | None
    priority: str
    initial_task_status: Status
    notification_mail_group: str | None


def list_resource(found: TaskList) -> WFTaskList:
    """Return the resource of a task list."""
    fields = found.fields
    return WFTaskList(
        code=found.code,
        process=found.process,
        department=found.department,
        source_document_line=fields.source_document_line,
        domain_object_type=fields.domain_object_type,
        domain_object_key=fields.domain_object_key,
        domain_object_code=fields.domain_object_code,
        input=_or_null(fields.input),
        status=found.status,  # type: ignore[arg-type]  # a view in the database guarantees it
        outcome=found.outcome,  # type: ignore[arg-type]  # a check in the database guarantees it
        result=_or_null(raw(found.result)),
        start_date_time=found.created_at,
    )


def task_resource(task: PeopleTask) -> WFTask:
    """Return the resource of a task."""
    fields, current = task.fields, task.current
    return WFTask(
        id=task.id,
        task_list=task.task_list,
        line_number=task.line_number,
        process=task.process,
        process_step=fields.process_step,
        flow=fields.flow,
        department=fields.department,
        start_date_time=task.start_date_time,
        description=fields.description,
        reference_code=fields.reference_code,
        partner=fields.partner,
        partner_contact=fields.partner_contact,
        initial_assigned_to_team=fields.initial_assigned_to_team,
        initial_assigned_to_user=fields.initial_assigned_to_user,
        initial_task_status=fields.initial_task_status,
        initial_priority=fields.initial_priority,
        initial_due_date_time=task.initial_due_date_time,
        progress_message=task.progress_message,
        exception_message=task.exception_message,
        domain_object_key=task.domain_object_key,
        domain_object_code=task.domain_object_code,
        bi_assigned_to_team=current.team,
        bi_assigned_to_user=current.user,
        bi_task_status=current.status,  # type: ignore[arg-type]  # a check in the database guarantees it
        bi_priority=current.priority,
        bi_due_date_time=current.due_date_time,
        bi_completion_date_time=current.completion_date_time,
        bi_locked=task.locked_by is not None,
        locked_by=task.locked_by,
        result=_or_null(raw(task.result)),
        core_task=task.core.id,
    )


def event_resource(task: PeopleTask, event: TaskEvent) -> AnyEvent:
    """Return the resource of an event."""
    members: dict[str, Any] = {
        "id": event.id,
        "wf_task": task.id,
        "event_date_time": event.event_date_time,
        "user": event.user,
        "processed": event.processed,
    }
    first, *second = event.values
    match event.stream:
        case "status":
            return WFTaskStatusEvent(**members, bi_task_status=first, reason=event.reason or UNSET)  # type: ignore[arg-type]
        case "transfer":
            return WFTaskTransferEvent(**members, assigned_to_team=first, assigned_to_user=second[0])  # type: ignore[arg-type]
        case "plan":
            return WFTaskPlanEvent(**members, priority=first, due_date_time=second[0])  # type: ignore[arg-type]


def step_resource(process: str, step: ProcessStep) -> WFProcessStep:
    """Return the resource of a step."""
    names = [field.name for field in msgspec.structs.fields(WFProcessStep) if field.name != "wf_process"]
    return WFProcessStep(wf_process=process, **{name: getattr(step, name) for name in names})


def _or_null(member: Raw | UnsetType) -> Raw | None:
    return None if member is UNSET else member
