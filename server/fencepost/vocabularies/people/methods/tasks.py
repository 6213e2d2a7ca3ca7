"""Methods that read tasks, and those that write notes to a task without a change of status."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from fencepost.domain.listing import Portion
from fencepost.engine.context import Context
from fencepost.rpc.registry import Registry
from fencepost.vocabularies.people.html import history_html
from fencepost.vocabularies.people.methods.params import (
    TASK,
    After,
    Limit,
    TaskId,
    TaskParams,
    TaskResult,
    TasksPage,
    UserParams,
    actor_of,
    page_of,
    read_page_key,
    user_of,
)
from fencepost.vocabularies.people.resources import (
    AnyEvent,
    WFProcessStep,
    event_resource,
    step_resource,
    task_resource,
)
from fencepost.vocabularies.people.statuses import Key
from fencepost.vocabularies.people.task import Notes
from fencepost.vocabularies.people.tasks import PeopleTasks

task_methods = Registry()

_ID = {"id": TASK}
_MAX_MAILS = 1000


class IdParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The task."""

    id: TaskId


class PendingParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The page of the pending tasks."""

    limit: Limit = 1000
    after: After | None = None


class MineParams(UserParams, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """The user, and the page of their tasks."""

    include_over: Annotated[bool, Meta(description="include completed and canceled tasks of live lists")] = False
    limit: Limit = 1000
    after: After | None = None


class ProgressParams(TaskParams, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """The task, and the message."""

    progress_message: Annotated[str, Meta(max_length=30)]


class ErrorParams(TaskParams, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """The task, and the error message."""

    exception_message: Annotated[str, Meta(min_length=1, max_length=10_000)]


class ReferenceParams(TaskParams, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """The task, and the object that it refers to."""

    domain_object_key: Key | None = None
    domain_object_code: Key | None = None


class MailParams(TaskParams, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """The task, and the mail message."""

    mail_message: Key


class MailsParams(IdParams, frozen=True, forbid_unknown_fields=True):
    """The task, and the page of its mail messages."""

    limit: Limit = _MAX_MAILS
    after: After | None = None


class MailsResult(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Mail messages that are linked to a task (`WFTaskMail`); `next` is present while there are more."""

    wf_task: str
    mail_messages: list[str]
    next: str | UnsetType = UNSET


class PageResult(msgspec.Struct, frozen=True):
    """The page of a task's step, null when the step has none; and the step."""

    page: str | None
    step: WFProcessStep


class EventsResult(msgspec.Struct, frozen=True):
    """The events of a task, oldest first, as data and as HTML."""

    html: str
    resources: list[AnyEvent]


@task_methods.method("awf.people/get-by-id", example=_ID)
async def get_by_id(context: Context, params: IdParams) -> TaskResult:
    """Return a task."""
    return TaskResult(task_resource(await context.of(PeopleTasks).get(params.id)))


@task_methods.method("awf.people/find-all-pending-tasks-order-by-team-and-due-date", example={"limit": 100})
async def find_all_pending_tasks_order_by_team_and_due_date(context: Context, params: PendingParams) -> TasksPage:
    """Return the pending tasks of all live lists by team and due date, page by page."""
    return page_of(await context.of(PeopleTasks).pending(after=read_page_key(params.after), size=params.limit))


@task_methods.method("awf.people/my-tasks", example={"user": "ann"})
async def my_tasks(context: Context, params: MineParams) -> TasksPage:
    """Return the tasks that are assigned to a user, by team and due date, page by page."""
    user, after = user_of(context, params), read_page_key(params.after)
    tasks = context.of(PeopleTasks)
    return page_of(await tasks.assigned_to(user, with_closed=params.include_over, after=after, size=params.limit))


@task_methods.method("awf.people/open-page", example=_ID)
async def open_page(context: Context, params: TaskParams) -> PageResult:
    """Return the page of a task's step."""
    task, step = await context.of(PeopleTasks).step_of(params.id)
    return PageResult(step.page, step_resource(task.process, step))


@task_methods.method("awf.people/display-task-events", example=_ID)
async def display_task_events(context: Context, params: TaskParams) -> EventsResult:
    """Return all events of a task as data and as HTML, including drafts and the changes that workers made."""
    task, played = await context.of(PeopleTasks).history(params.id)
    events = [event_resource(task, event) for event in played.history]
    return EventsResult(history_html(task, played.history), events)


@task_methods.method("awf.people/set-task-progress", example={**_ID, "progressMessage": "half of it is there"})
async def set_task_progress(context: Context, params: ProgressParams) -> TaskResult:
    """Set the progress message of a task, up to 30 characters; its status stays the same."""
    return await _write(context, params, Notes(progress_message=params.progress_message))


@task_methods.method("awf.people/set-task-error", example={**_ID, "exceptionMessage": "the printer is out of paper"})
async def set_task_error(context: Context, params: ErrorParams) -> TaskResult:
    """Set the exception message of a task; its status stays the same."""
    return await _write(context, params, Notes(exception_message=params.exception_message))


@task_methods.method("awf.people/clear-workflow-task-error", example=_ID)
async def clear_workflow_task_error(context: Context, params: TaskParams) -> TaskResult:
    """Clear the exception message of a task; its status stays the same."""
    return await _write(context, params, Notes(exception_message=None))


@task_methods.method(
    "awf.people/set-task-reference-entity", example={**_ID, "domainObjectKey": "93", "domainObjectCode": "P-93"}
)
async def set_task_reference_entity(context: Context, params: ReferenceParams) -> TaskResult:
    """Set the key and the code of the object that a task refers to."""
    reference = (params.domain_object_key, params.domain_object_code)
    return await _write(context, params, Notes(domain_object=reference))


@task_methods.method("awf.people/lock-task", example={**_ID, "user": "ann"})
async def lock_task(context: Context, params: TaskParams) -> TaskResult:
    """Lock a task while a user edits it (`biLocked`); refused while another user holds the lock."""
    task = await context.of(PeopleTasks).lock(params.id, actor_of(context, params), locked=True)
    return TaskResult(task_resource(task))


@task_methods.method("awf.people/unlock-task", example={**_ID, "user": "ann"})
async def unlock_task(context: Context, params: TaskParams) -> TaskResult:
    """Release the lock of a task; refused when another user holds it."""
    task = await context.of(PeopleTasks).lock(params.id, actor_of(context, params), locked=False)
    return TaskResult(task_resource(task))


@task_methods.method("awf.people/add-task-mail", example={**_ID, "mailMessage": "<93@mail.example>"})
async def add_task_mail(context: Context, params: MailParams) -> MailsResult:
    """Link a mail message to a task. Idempotent."""
    tasks = context.of(PeopleTasks)
    mails = await tasks.link_mail(params.id, params.mail_message, actor_of(context, params), size=_MAX_MAILS)
    return _mails(params.id, mails)


@task_methods.method("awf.people/find-all-task-mails", example=_ID)
async def find_all_task_mails(context: Context, params: MailsParams) -> MailsResult:
    """Return the mail messages that are linked to a task, page by page."""
    found = await context.of(PeopleTasks).mails(params.id, after=params.after, size=params.limit)
    return _mails(params.id, found)


@task_methods.method("awf.people/remove-task", example=_ID)
async def remove_task(context: Context, params: TaskParams) -> TaskResult:
    """Always refused: the history of a workflow is kept."""
    return TaskResult(task_resource(await context.of(PeopleTasks).remove(params.id)))


def _mails(id: str, found: Portion[str]) -> MailsResult:
    return MailsResult(id, [*found.items], found.items[-1] if found.more else UNSET)


async def _write(context: Context, params: TaskParams, notes: Notes) -> TaskResult:
    return TaskResult(
        task_resource(await context.of(PeopleTasks).write_notes(params.id, notes, actor_of(context, params)))
    )
