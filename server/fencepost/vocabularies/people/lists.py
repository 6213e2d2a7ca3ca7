"""Task lists. A list is a workflow of its process, and its code is the id of the workflow."""

from __future__ import annotations

from typing import NamedTuple
from uuid import uuid4

import msgspec
from msgspec import UNSET

from fencepost.domain.suggestions import hint, shortened
from fencepost.engine.deciders import Deciders
from fencepost.engine.definitions import Definitions
from fencepost.engine.workflows import NewWorkflow, Workflows
from fencepost.errors import UNAVAILABLE, WORKFLOW_HAS_BEEN_DONE, Refusal, invalid_params
from fencepost.vocabularies.people.directory import Directory
from fencepost.vocabularies.people.errors import PROCESS_STEP_NOT_FOUND, TASK_LIST_NOT_FOUND
from fencepost.vocabularies.people.process import ProcessDefinition, ProcessStep, TaskFields, TaskListFields
from fencepost.vocabularies.people.statuses import MANUAL_TASK, Assignment
from fencepost.vocabularies.people.store.task_lists import NewLine
from fencepost.vocabularies.people.store.tasks import PeopleStore
from fencepost.vocabularies.people.task import PeopleTask, TaskList


class TaskRequest(NamedTuple):
    """A task to add to a list. A member that is None has the value of the step or the list."""

    task_list: str
    process_step: str
    assignment: Assignment
    line_number: int | None = None
    team: str | None = None
    user: str | None = None
    department: str | None = None
    description: str | None = None
    reference_code: str | None = None
    partner: str | None = None
    partner_contact: str | None = None
    priority: str | None = None
    due_date_time: str | None = None


class TaskLists:
    """The use cases of task lists."""

    def __init__(
        self,
        store: PeopleStore,
        workflows: Workflows,
        deciders: Deciders,
        definitions: Definitions,
        directory: Directory,
    ) -> None:
        self._store = store
        self._workflows = workflows
        self._deciders = deciders
        self._definitions = definitions
        self._directory = directory

    async def create(self, process: str, code: str | None, fields: TaskListFields, *, caller: str) -> TaskList:
        """Create a list, with a task for each initial step. Idempotent for the same code and content."""
        await self._process(process)
        id = code or str(uuid4())
        new = NewWorkflow(process, id, None, msgspec.json.encode(fields), None, caller)
        (outcome,) = await self._workflows.create([new])
        if isinstance(outcome, Refusal):
            raise _in_call(outcome)
        if isinstance(outcome, Exception):
            raise outcome
        await self._deciders.run_pending_decisions(id)
        return await self.get(id)

    async def get(self, code: str, field: str = "code") -> TaskList:
        """Return a list; raise Refusal (`task-list-not-found`)."""
        found = await self._store.task_list(code)
        if found is None:
            raise Refusal(TASK_LIST_NOT_FOUND, field=field, code=code)
        return found

    async def close(self, code: str, result: bytes | None, *, caller: str) -> TaskList:
        """Close a list that has no open task, with a result that matches the output schema. Idempotent.

        Raises Refusal: `task-list-not-found`, `tasks-not-over`, `workflow-has-been-done`, `invalid-params`.
        """
        found = await self.get(code)
        if found.status == "done":
            if found.outcome != "succeeded":
                raise Refusal(WORKFLOW_HAS_BEEN_DONE, field="code", id=code, outcome=found.outcome)
            return found
        document = await self._process(found.process, found.process_version)
        await self._definitions.checks.made(lambda: document.check_output(result))
        await self._deciders.run_pending_decisions(code)
        await self._store.close(found, result, caller=caller)
        return await self.get(code)

    async def step(
        self, process: str, code: str, version: int | None = None, *, field: str = "processStep"
    ) -> ProcessStep:
        """Return a step of a process, by default of its newest version.

        Raises Refusal: `definition-not-found`, `process-step-not-found`.
        """
        return _step(await self._process(process, version), code, field)

    async def add(self, new: TaskRequest, *, caller: str) -> PeopleTask:
        """Add a task to a live list. Idempotent for the same line and content."""
        found = await self.get(new.task_list, "taskList")
        process = await self._process(found.process, found.process_version)
        step = _step(process, new.process_step, "processStep")
        if step.skip_in_process_step:
            raise invalid_params(f"step {step.code!r} is skipped: it has no tasks", "processStep")
        fields = await self._task_fields(new, found, process, step)
        definition = MANUAL_TASK if step.flow == "M" else process.definition_of(step)
        version = await self._version(definition, fields)
        line = NewLine(
            line_number=new.line_number,
            first_free=len(process.initial_steps) + 1,
            idempotency_key=str(uuid4()),
            definition=definition,
            version=version,
            fields=fields,
            caller=caller,
        )
        return await self._store.add(found, line)

    async def _task_fields(
        self, new: TaskRequest, task_list: TaskList, process: ProcessDefinition, step: ProcessStep
    ) -> TaskFields:
        list_fields = await self._definitions.checks.made(lambda: process.list_fields(task_list.params))
        department = new.department or step.department or list_fields.department
        process.check_department(department, list_fields, "department")
        team = new.team or step.assign_to_team
        if team is None:
            raise invalid_params(f"step {step.code!r} names no team, and the call names none", "team")
        await self._directory.get_team(team, "team")
        await self._directory.check_contact(new.partner, new.partner_contact)
        user = step.assign_to_user if new.assignment == "PROCESS_STEP_USER" else new.user
        return TaskFields(
            task_list=task_list.code,
            line_number=0,
            process_step=step.code,
            flow=step.flow,
            department=department or "",
            description=new.description,
            reference_code=new.reference_code,
            partner=new.partner,
            partner_contact=new.partner_contact,
            initial_assigned_to_team=team,
            initial_assigned_to_user=user,
            initial_task_status=step.status_for(user),
            initial_priority=new.priority or step.priority,
            initial_due_date_time=new.due_date_time,
            due_days=step.due_days if new.due_date_time is None else 0,
            handler_class_name=step.handler_class_name,
            input=list_fields.input if step.flow == "A" else UNSET,
        )

    async def _version(self, definition: str, fields: TaskFields) -> int:
        """Return the newest version of a definition; raise Refusal when it does not accept these fields as params."""
        await self._definitions.ensure(definition)
        try:
            version, document = await self._definitions.newest_task(definition)
            await self._definitions.checks.made(lambda: document.begin(msgspec.json.encode(fields)))
        except Refusal as refusal:
            if refusal.kind is UNAVAILABLE:
                raise
            reason = f"its definition {definition!r} refuses the task: {refusal.message}"
            raise invalid_params(reason, "processStep") from None
        return version

    async def _process(self, name: str, version: int | None = None) -> ProcessDefinition:
        """Return a process, by default its newest version; raise Refusal (`definition-not-found`, `invalid-params`)."""
        finding = self._definitions.newest(name) if version is None else self._definitions.get(name, version)
        try:
            document = (await finding).document
        except Refusal as refusal:
            raise refusal.about("process") from None
        if not isinstance(document, ProcessDefinition):
            raise invalid_params(f"{name!r} is not a process but a {document.kind}", "process")
        return document


def _step(process: ProcessDefinition, code: str, field: str) -> ProcessStep:
    step = process.step(code)
    if step is None:
        near = hint(code, [one.code for one in process.steps])
        raise Refusal(PROCESS_STEP_NOT_FOUND, field=field, process=process.name, code=shortened(code), hint=near)
    return step


def _in_call(refusal: Refusal) -> Refusal:
    """Return a refusal of the workflow with the fields of the call that creates the list."""
    return refusal.renamed("definition", "process").renamed("id", "code").renamed("params", "")
