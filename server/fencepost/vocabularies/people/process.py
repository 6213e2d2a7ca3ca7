"""Process documents: the steps that people and workers do, and the fields of the task lists that run them."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, ClassVar

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from fencepost.domain.definition import OWN, Beginning, Decided, Name, SchemaDocument
from fencepost.domain.payload import object_text
from fencepost.domain.schema import Schema
from fencepost.domain.validation import refusal_of_struct
from fencepost.errors import invalid_params
from fencepost.vocabularies.people.statuses import (
    CLOSED,
    Code8,
    Department,
    Flow,
    HandlerType,
    Key,
    Priority,
    Status,
    Text,
    User,
    lacks_user,
)

_MAX_CODE_LENGTH = 16
# The definition of a step adds a part to the name of its process.
_MAX_NAME_PARTS = 5


class ProcessStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """A step (`WFProcessStep`), with the values that its tasks start with."""

    code: Code8
    description: Annotated[Text, Meta(description="its readable name")] = ""
    create_at_process_start: Annotated[bool, Meta(description="a new list has a task for it")] = False
    skip_in_process_step: Annotated[bool, Meta(description="only a place in the order: it has no tasks")] = False
    due_days: Annotated[
        int, Meta(ge=0, le=36_500, description="whole days from the creation of a task to its due date")
    ] = 0
    handler_type: Annotated[HandlerType, Meta(description="a page for people, or a batch job for workers")] = "PAGE"
    handler_class_name: Annotated[str, Meta(max_length=500)] | None = None
    parameter_value_types: Annotated[dict[str, str], Meta(max_length=100)] | None = None
    page: Annotated[str, Meta(max_length=2000, description="returned by `open-page`")] | None = None
    assign_to_team: Annotated[Code8, Meta(description="team of its tasks")] | None = None
    assign_to_user: User | None = None
    priority: Annotated[Priority, Meta(description="initial priority of its tasks")] = "M"
    initial_task_status: Annotated[Status, Meta(description="initial status of its tasks")] = "PE"
    notification_mail_group: Annotated[str, Meta(max_length=200)] | None = None
    department: (
        Annotated[Department, Meta(description="department of its tasks; by default that of the list")] | None
    ) = None
    definition: (
        Annotated[Name, Meta(description="definition of the tasks of a batch job; by default `<process>/<step>`")]
        | UnsetType
    ) = UNSET

    @property
    def flow(self) -> Flow:
        """`M` (manual) for a page, `A` (automatic) for a batch job."""
        return "M" if self.handler_type == "PAGE" else "A"

    def status_for(self, user: str | None) -> Status:
        """Return the initial status of a task: pending where the status of the step needs a user and there is none."""
        return "PE" if lacks_user(self.initial_task_status, user) else self.initial_task_status


class SpecSet(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """JSON Schemas of the input and the output of a process."""

    input: SchemaDocument | UnsetType = UNSET
    output: SchemaDocument | UnsetType = UNSET

    @cached_property
    def input_schema(self) -> Schema | None:
        """The schema of the `input` of a list."""
        return None if self.input is UNSET else Schema(self.input, field="specSet.input")

    @cached_property
    def output_schema(self) -> Schema | None:
        """The schema of the result that a list is closed with."""
        return None if self.output is UNSET else Schema(self.output, field="specSet.output")


class TaskListFields(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", omit_defaults=True):
    """The fields of a task list (`WFTaskList`): the params of its workflow."""

    department: Department | None = None
    source_document_line: Key | None = None
    domain_object_type: Key | None = None
    domain_object_key: Key | None = None
    domain_object_code: Key | None = None
    input: Raw | UnsetType = UNSET


class ProcessDefinition(
    Decided, frozen=True, forbid_unknown_fields=True, rename="camel", tag_field="kind", tag="process", kw_only=True
):
    """A document of `kind: process` (`WFProcess`): its steps in order."""

    kind: ClassVar[str] = "process"
    code: Annotated[str, Meta(max_length=_MAX_CODE_LENGTH, description="the last part of the name")] | UnsetType = UNSET
    description: Annotated[Text, Meta(description="its readable name")] = ""
    spec_set: SpecSet | UnsetType = UNSET
    department: Annotated[Department, Meta(description="department of lists that name none")] | None = None
    steps: Annotated[tuple[ProcessStep, ...], Meta(max_length=500)]
    cross_department: (
        Annotated[
            bool,
            Meta(
                description="the department of a task must differ from that of its list; by default when the process"
                " names a `department`"
            ),
        ]
        | UnsetType
    ) = UNSET
    close_when_done: (
        Annotated[
            bool,
            Meta(
                description="a list ends when all its tasks are completed or canceled; by default a child workflow does"
            ),
        ]
        | UnsetType
    ) = UNSET

    def compile(self) -> None:
        """Refuse a process that could never run; raise Refusal (`invalid-params`) with the field at fault."""
        parts = self.name.split("/")
        if len(parts[-1]) > _MAX_CODE_LENGTH or len(parts) > _MAX_NAME_PARTS:
            reason = (
                f"at most {_MAX_NAME_PARTS} parts, the last of at most {_MAX_CODE_LENGTH} characters: that is the code"
            )
            raise invalid_params(reason, "name")
        if self.code not in (UNSET, parts[-1]):
            raise invalid_params(f"the code of {self.name!r} is {parts[-1]!r}", "code")
        if self.spec_set is not UNSET:
            for schema in (self.spec_set.input_schema, self.spec_set.output_schema):
                if schema is not None:
                    schema.declare()
        seen: set[str] = set()
        for place, step in enumerate(self.steps):
            if step.code in seen:
                raise invalid_params(f"step {step.code!r} is declared twice", f"steps[{place}].code")
            seen.add(step.code)
            _check_step(step, f"steps[{place}]")

    def step(self, code: str) -> ProcessStep | None:
        """Return the step with a code."""
        return next((step for step in self.steps if step.code == code), None)

    def definition_of(self, step: ProcessStep) -> str:
        """Return the definition of the tasks of a batch job."""
        return f"{self.name}/{step.code}" if step.definition is UNSET else step.definition

    @property
    def initial_steps(self) -> list[ProcessStep]:
        """The steps that a new list has a task for."""
        return [step for step in self.steps if step.create_at_process_start and not step.skip_in_process_step]

    def begin(self, params: bytes | None) -> Beginning:
        """Check the params of a new list. A list has no key: any number of them may be live."""
        fields = self.list_fields(params)
        for step in self.initial_steps:
            self.check_department(step.department or fields.department, fields, "params.department")
        return Beginning()

    def list_fields(self, params: bytes | None) -> TaskListFields:
        """Return the fields of a list with its department.

        Raises Refusal (`invalid-params`) with fields of `params`; may raise Deferred.
        """
        try:
            fields = msgspec.json.decode(params or b"{}", type=TaskListFields)
        except msgspec.ValidationError as error:
            raise refusal_of_struct(str(error), TaskListFields).within("params") from None
        if fields.department is None:
            if self.department is None:
                raise invalid_params("'department' is missing", "params.department")
            fields = msgspec.structs.replace(fields, department=self.department)
        text = object_text(fields.input, "params.input")
        if self.spec_set is not UNSET and (schema := self.spec_set.input_schema) is not None:
            schema.check(text, field="params.input")
        return fields

    def check_department(self, department: str | None, fields: TaskListFields, field: str) -> None:
        """Raise Refusal (`invalid-params`) where the department of a task must differ from that of its list."""
        must_differ = self.department is not None if self.cross_department is UNSET else self.cross_department
        if must_differ and department == fields.department:
            reason = f"the department of a task must differ from that of its list, {department!r}"
            way_out = "name another one, or say `crossDepartment: false` in the process"
            raise invalid_params(f"{reason}: {way_out}", field)

    def check_output(self, result: bytes | None) -> None:
        """Raise Refusal unless a result matches the output schema; may raise Deferred."""
        if self.spec_set is not UNSET and (schema := self.spec_set.output_schema) is not None:
            schema.check(result, field="result")


class TaskFields(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """The fields of a task (`WFTask`) that never change: the params of its core task."""

    task_list: str
    line_number: int
    process_step: str
    flow: Flow
    department: str
    description: str | None = None
    reference_code: str | None = None
    partner: str | None = None
    partner_contact: str | None = None
    initial_assigned_to_team: str
    initial_assigned_to_user: str | None = None
    initial_task_status: Status
    initial_priority: str
    initial_due_date_time: str | None = None
    due_days: int = 0
    handler_class_name: str | None = None
    input: Raw | UnsetType = UNSET


def fields_for(
    process: ProcessDefinition, step: ProcessStep, fields: TaskListFields, *, task_list: str, line_number: int
) -> TaskFields:
    """Return the fields of a task that a new list has for a step: team and user are those of the step."""
    assert step.assign_to_team is not None, "`compile` has refused such a step"
    return TaskFields(
        task_list=task_list,
        line_number=line_number,
        process_step=step.code,
        flow=step.flow,
        department=step.department or fields.department or "",
        initial_assigned_to_team=step.assign_to_team,
        initial_assigned_to_user=step.assign_to_user,
        initial_task_status=step.status_for(step.assign_to_user),
        initial_priority=step.priority,
        due_days=step.due_days,
        handler_class_name=step.handler_class_name,
        # A worker sees only the params of its task; people see the list.
        input=fields.input if step.flow == "A" else UNSET,
    )


def _check_step(step: ProcessStep, field: str) -> None:
    if step.create_at_process_start and not step.skip_in_process_step and step.assign_to_team is None:
        raise invalid_params("a step with `createAtProcessStart` needs a team", f"{field}.assignToTeam")
    if step.initial_task_status in CLOSED:
        raise invalid_params("a task cannot start as completed or canceled", f"{field}.initialTaskStatus")
    if step.flow == "A" and step.initial_task_status != "PE":
        raise invalid_params(
            "an automatic task starts as pending: only a worker can start it", f"{field}.initialTaskStatus"
        )
    if step.definition is not UNSET and step.definition.startswith(OWN):
        raise invalid_params(f"{step.definition!r} is a built-in definition", f"{field}.definition")
    if step.flow == "M" and step.definition is not UNSET:
        raise invalid_params("only a step with `handlerType: BATCH_JOB` has a definition", f"{field}.definition")
