"""Methods that create, read, extend and close task lists."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from fencepost.domain.definition import Name
from fencepost.domain.listing import Portion
from fencepost.domain.payload import object_text
from fencepost.engine.context import Context
from fencepost.errors import invalid_params
from fencepost.resources.values import JsonObject, Time
from fencepost.rpc.registry import Registry
from fencepost.vocabularies.people.lists import TaskLists, TaskRequest
from fencepost.vocabularies.people.methods.params import After, Limit, ListCode, TaskResult, TasksPage, normalized_time
from fencepost.vocabularies.people.process import TaskListFields
from fencepost.vocabularies.people.resources import (
    WFProcessStep,
    WFTask,
    WFTaskList,
    list_resource,
    step_resource,
    task_resource,
)
from fencepost.vocabularies.people.statuses import Assignment, Code8, Department, Key, Priority, Text, User
from fencepost.vocabularies.people.task import PeopleTask
from fencepost.vocabularies.people.tasks import PeopleTasks

list_methods = Registry()

# Tasks in the answer to `create-task-list`: as many as a process can have steps, so that a new list is complete.
_FIRST_PAGE = 500


class CreateListParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """The process to start, and the fields of the list."""

    process: Name
    code: Annotated[ListCode, Meta(description="its key; the server generates one when it is not given")] | None = None
    department: Department | None = None
    source_document_line: Key | None = None
    domain_object_type: Key | None = None
    domain_object_key: Key | None = None
    domain_object_code: Key | None = None
    input: Annotated[JsonObject, Meta(description="input of the process")] | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Refuse an input that is not an object."""
        object_text(self.input, "input")

    def fields(self) -> TaskListFields:
        """Return the fields of the list."""
        return TaskListFields(
            self.department,
            self.source_document_line,
            self.domain_object_type,
            self.domain_object_key,
            self.domain_object_code,
            self.input,
        )


class AddTaskParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """The step to add a task for. A member that is not given has the value of the step."""

    task_list: ListCode
    process_step: Code8
    assignment: Annotated[Assignment, Meta(description="the assignee: the given `user`, or the user of the step")] = (
        "DEFAULT"
    )
    line_number: (
        Annotated[
            int, Meta(ge=1, le=1_000_000, description="the same line with the same content returns the same task")
        ]
        | None
    ) = None
    team: Code8 | None = None
    user: Annotated[User, Meta(description="the assignee, with the assignment `DEFAULT`")] | None = None
    department: Department | None = None
    description: Text | None = None
    reference_code: Key | None = None
    partner: Key | None = None
    partner_contact: Key | None = None
    priority: Priority | None = None
    due_date_time: Time | None = None


class ListParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The list."""

    code: ListCode


class CloseListParams(ListParams, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """The list, and its result."""

    result: Annotated[JsonObject, Meta(description="output of the process")] | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Refuse a result that is not an object."""
        object_text(self.result, "result")


class StepParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The process, and the code of the step."""

    process: Name
    code: Code8


class OfListParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The list, and the page of its tasks."""

    task_list: ListCode
    limit: Limit = 10_000
    after: After | None = None


class OfStepParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The list, and the code of the step."""

    task_list: ListCode
    process_step: Code8


class ListResult(msgspec.Struct, frozen=True):
    """A task list."""

    resource: WFTaskList


class CreateListResult(ListResult, frozen=True, omit_defaults=True):
    """A task list and its first tasks; `next` continues in `awf.people/find-all-tasks-by-task-list`."""

    tasks: list[WFTask]
    next: str | UnsetType = UNSET


class StepResult(msgspec.Struct, frozen=True):
    """A step."""

    resource: WFProcessStep


@list_methods.method(
    "awf.people/create-task-list", example={"process": "hr/onboard", "code": "onboard-ada", "department": "HR"}
)
async def create_task_list(context: Context, params: CreateListParams) -> CreateListResult:
    """Create a task list, with a task for each step that has `createAtProcessStart`.

    Idempotent for the same `code` and content.
    """
    lists = context.of(TaskLists)
    found = await lists.create(params.process, params.code, params.fields(), caller=context.caller)
    tasks = await context.of(PeopleTasks).first_tasks(found, size=_FIRST_PAGE)
    return CreateListResult(list_resource(found), [task_resource(task) for task in tasks.items], _next_line(tasks))


@list_methods.method("awf.people/get-task-list", example={"code": "onboard-ada"})
async def get_task_list(context: Context, params: ListParams) -> ListResult:
    """Return a task list."""
    return ListResult(list_resource(await context.of(TaskLists).get(params.code)))


@list_methods.method("awf.people/close-task-list", example={"code": "onboard-ada", "result": {"hired": True}})
async def close_task_list(context: Context, params: CloseListParams) -> ListResult:
    """Close a task list when all its tasks are completed or canceled; `awf.workflow/cancel` ends any list."""
    result = object_text(params.result, "result")
    return ListResult(list_resource(await context.of(TaskLists).close(params.code, result, caller=context.caller)))


@list_methods.method("awf.people/add-task", example={"taskList": "onboard-ada", "processStep": "BADGE", "team": "IT"})
async def add_task(context: Context, params: AddTaskParams) -> TaskResult:
    """Add a task for a step of the process to a live list."""
    new = TaskRequest(
        task_list=params.task_list,
        process_step=params.process_step,
        assignment=params.assignment,
        line_number=params.line_number,
        team=params.team,
        user=params.user,
        department=params.department,
        description=params.description,
        reference_code=params.reference_code,
        partner=params.partner,
        partner_contact=params.partner_contact,
        priority=params.priority,
        due_date_time=normalized_time(params.due_date_time, "dueDateTime"),
    )
    return TaskResult(task_resource(await context.of(TaskLists).add(new, caller=context.caller)))


@list_methods.method("awf.people/get-process-step-by-code", example={"process": "hr/onboard", "code": "BADGE"})
async def get_process_step_by_code(context: Context, params: StepParams) -> StepResult:
    """Return a step of a process."""
    step = await context.of(TaskLists).step(params.process, params.code, field="code")
    return StepResult(step_resource(params.process, step))


@list_methods.method("awf.people/find-all-tasks-by-task-list", example={"taskList": "onboard-ada"})
async def find_all_tasks_by_task_list(context: Context, params: OfListParams) -> TasksPage:
    """Return the tasks of a list by line number, page by page."""
    tasks = context.of(PeopleTasks)
    found = await tasks.of_list(params.task_list, after=_read_line(params.after), size=params.limit)
    return TasksPage([task_resource(task) for task in found.items], _next_line(found))


@list_methods.method(
    "awf.people/find-one-task-by-task-list-and-process-step-code",
    example={"taskList": "onboard-ada", "processStep": "BADGE"},
)
async def find_one_task_by_task_list_and_process_step_code(context: Context, params: OfStepParams) -> TaskResult:
    """Return the one task of a list for a step; refused when there is none or more than one."""
    return TaskResult(task_resource(await context.of(PeopleTasks).get_by_step(params.task_list, params.process_step)))


def _read_line(word: str | None) -> int | None:
    if word is None:
        return None
    if not (word.isascii() and word.isdigit() and int(word) < 2**31):
        raise invalid_params("Expected the `next` of a previous page", "after")
    return int(word)


def _next_line(found: Portion[PeopleTask]) -> str | UnsetType:
    return str(found.items[-1].line_number) if found.more else UNSET
