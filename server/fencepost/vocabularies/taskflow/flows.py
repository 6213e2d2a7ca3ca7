"""The use cases of flows: produce, execute a template, read, list, cancel, retry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID, uuid4, uuid5

import msgspec
import orjson
from msgspec import UNSET

from fencepost.domain.definition import Beginning
from fencepost.engine.definitions import Definitions
from fencepost.engine.workflows import NewWorkflow, Workflows
from fencepost.errors import REQUEST_ID_REUSED, WORKFLOW_EXISTS, WORKFLOW_HAS_BEEN_DONE, Refusal, invalid_params
from fencepost.vocabularies.taskflow.document import FLOW
from fencepost.vocabularies.taskflow.errors import TASKFLOW_HAS_BEEN_DONE, TASKFLOW_NOT_DONE
from fencepost.vocabularies.taskflow.flow import Flow
from fencepost.vocabularies.taskflow.nesting import CONTEXT_MEMBER, NestedRequest, Nesting
from fencepost.vocabularies.taskflow.plan import FlowParent, flow_params, read_parent, run_id
from fencepost.vocabularies.taskflow.record import FlowRecord
from fencepost.vocabularies.taskflow.retry import StageRetry, retry_params
from fencepost.vocabularies.taskflow.runs import ListPosition, Runs

_REQUEST_NAMESPACE = UUID("0d6d3c52-6c0e-5b0c-a7a4-3f0f5f3f6a11")
# The answer of `TaskflowDefinition.begin` for a flow that was checked here: its params are encoded from the checked
# flow, so that decoding and checking them again could find nothing.
_CHECKED = Beginning()
# A retry appends `~` and its number; ids of workflows have at most 64 characters.
_MAX_ID_LENGTH = 54


class ProduceRequest(NamedTuple):
    """A flow to produce, once for each `request_id` of a caller.

    `exec_id` is the execution of the task that produces a nested flow, None when the producer does not name it.
    """

    flow: Flow
    request_id: str | None
    exec_id: UUID | None
    caller: str


class Flows:
    """The flows of a database. Ids are text; `caller` is the client's id."""

    def __init__(self, runs: Runs, nesting: Nesting, workflows: Workflows, definitions: Definitions) -> None:
        self._runs = runs
        self._nesting = nesting
        self._workflows = workflows
        self._definitions = definitions

    async def produce(self, wanted: ProduceRequest) -> str:
        """Begin a flow and return its id; a flow with a task's execution context in its meta is nested in that task.

        Raises Refusal: `invalid-params`, `definition-not-found` for a task that is a workflow, `request-id-reused`, and
        those of `Nesting.begin` for a nested flow.
        """
        wanted.flow.check()
        await self._check_workflows(wanted.flow)
        params, id = flow_params(wanted.flow), _id(wanted.request_id, wanted.caller)
        if (parent := _parent(wanted.flow)) is not None:
            return await self._nesting.begin(NestedRequest(params, parent, id, wanted.request_id, wanted.exec_id))
        try:
            await self._create(id, FLOW, msgspec.json.encode(params), wanted.caller, checked=_CHECKED)
        except Refusal as refusal:
            if refusal.kind is not WORKFLOW_EXISTS:
                raise
            raise Refusal(REQUEST_ID_REUSED, field="requestId", request_id=wanted.request_id) from None
        return id

    async def execute(self, template: str, context: bytes | None, request_id: str | None, caller: str) -> FlowRecord:
        """Begin a flow by name, with `context` (JSON text) over its own context; return its record.

        Raises Refusal: `definition-not-found` and `request-id-reused`.
        """
        id = _id(request_id, caller)
        try:
            await self._create(id, template, context, caller)
        except Refusal as refusal:
            if refusal.kind is WORKFLOW_EXISTS:
                raise Refusal(REQUEST_ID_REUSED, field="requestId", request_id=request_id) from None
            raise (refusal.about("templateId") if refusal.field in (None, "definition") else refusal) from None
        return await self.details(id)

    async def details(self, id: str) -> FlowRecord:
        """Return the record of a flow with all nested flows; raise Refusal (`taskflow-not-found`)."""
        return await self._runs.record(await self._runs.get(id))

    async def list(
        self, *, position: ListPosition | None, size: int
    ) -> tuple[Sequence[FlowRecord], ListPosition | None]:
        """Return one page of flows, the newest first, and the position of the next page, None after the last."""
        return await self._runs.list(position=position, size=size)

    async def cancel(self, id: str, *, caller: str) -> FlowRecord:
        """Cancel a live flow with all nested flows; idempotent. Return its record.

        Raises Refusal: `taskflow-not-found`, and `taskflow-has-been-done` for a flow that ended otherwise.
        """
        run = await self._runs.get(id)
        if not run.is_over:
            try:
                await self._workflows.cancel(run.row.workflow.id, caller=caller)
            except Refusal as refusal:
                if refusal.kind is not WORKFLOW_HAS_BEEN_DONE:
                    raise
            run = await self._runs.get(id)
        if run.row.workflow.outcome != "canceled":
            raise Refusal(TASKFLOW_HAS_BEEN_DONE, field="taskflowId", id=id, status=run.progress.status)
        return await self._runs.record(run)

    async def retry(
        self, id: str, stages: Sequence[StageRetry] | None, request_id: str | None, *, caller: str
    ) -> FlowRecord:
        """Run a flow that has ended again, all of it or the given stages and tasks; return its record.

        The id of the new run can be taken once. Of two concurrent retries, one begins the run; the other one returns
        that run when its content is the same, and is refused otherwise.

        Raises Refusal: `taskflow-not-found`, `taskflow-not-done`, `nothing-to-retry`, and `invalid-params` for an
        unknown stage or task.
        """
        run = await self._runs.get(id)
        request = None if request_id is None else _id(request_id, caller)
        if request in run.plan.requests:
            return await self._runs.record(run)
        if not run.is_over:
            raise Refusal(TASKFLOW_NOT_DONE, field="taskflowId", id=id, status=run.progress.status)
        if len(id) > _MAX_ID_LENGTH:
            raise invalid_params(f"an id of more than {_MAX_ID_LENGTH} characters cannot be retried", "taskflowId")
        params = msgspec.json.encode(retry_params(run.plan, run.progress, stages, request))
        try:
            await self._create(run_id(id, run.plan.retry_attempt + 1), FLOW, params, caller)
        except Refusal as refusal:
            if refusal.kind is not WORKFLOW_EXISTS:
                raise
            raise Refusal(TASKFLOW_NOT_DONE, field="taskflowId", id=id, status="RUNNING") from None
        return await self.details(id)

    async def _check_workflows(self, flow: Flow) -> None:
        """Raise Refusal (`definition-not-found`) for a task of type WORKFLOW that names no definition."""
        for number, stage in enumerate(flow.stages):
            for index, task in enumerate(stage.tasks):
                if task.type == "WORKFLOW":
                    try:
                        await self._definitions.newest_workflow(task.definition)
                    except Refusal as refusal:
                        field = f"stages[{number}].tasks[{index}].taskDetails.definition"
                        raise refusal.about(field) from None

    async def _create(
        self, id: str, definition: str, params: bytes | None, caller: str, *, checked: Beginning | None = None
    ) -> None:
        new = NewWorkflow(definition, id, None, params, None, caller, checked)
        (outcome,) = await self._workflows.create([new])
        if isinstance(outcome, Exception):
            raise outcome


def _parent(flow: Flow) -> FlowParent | None:
    """Return the task that a flow is nested in, None for a top-level flow; raise Refusal for incomplete ids."""
    if flow.meta is UNSET or CONTEXT_MEMBER not in orjson.loads(bytes(flow.meta)):
        return None
    if (parent := read_parent(bytes(flow.meta))) is None:
        raise invalid_params("'id', 'stageId' and 'taskId' of a task are needed", f"meta.{CONTEXT_MEMBER}.taskflow")
    return parent


def _id(request_id: str | None, caller: str) -> str:
    """Return the id of a flow: derived from caller and request id, random without a request id."""
    return str(uuid4() if request_id is None else uuid5(_REQUEST_NAMESPACE, f"{caller}\0{request_id}"))
