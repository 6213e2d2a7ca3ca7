"""A run of a flow as it is planned: with the ids of its stages and tasks, and what a retry keeps of the run before."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from fencepost.vocabularies.taskflow.flow import Flow, FlowOptions, FlowTask

MAX_AGE_LABEL = "maxAge"
_ID_NAMESPACE = uuid.UUID("5f0d0c5e-8f0b-5b1e-9d0a-0e6f1c2b7a43")


class KeptTask(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """How a task ended in a run before."""

    status: Literal["SUCCESS", "FAILED"]
    attempt: int = 0
    response: Raw = Raw(b"null")
    nested: tuple[str, ...] = ()


class RetryDetails(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename="camel"):
    """What a retry is a retry of: the flow's own id and age, what is kept, and what was asked for by name.

    `requests` tell one that was made before, for this run or for one before it; the newest is the last.
    """

    taskflow_id: str
    created_at: int
    retry_attempt: int
    kept: dict[str, KeptTask] = {}
    named: tuple[str, ...] = ()
    requests: tuple[str, ...] = ()


class FlowParams(Flow, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """The params of a workflow that takes its whole flow from there."""

    run: Annotated[RetryDetails, Meta(description="of a retry")] | UnsetType = UNSET


class FlowParent(msgspec.Struct, frozen=True, rename="camel"):
    """The task whose handler produced a flow."""

    taskflow_id: str
    stage_id: str
    task_id: str


class _ParentTask(msgspec.Struct, frozen=True, rename="camel"):
    id: str
    stage_id: str
    task_id: str


class _Context(msgspec.Struct, frozen=True):
    taskflow: _ParentTask


class _Meta(msgspec.Struct, frozen=True, rename="camel"):
    taskflow_execution_context: _Context


class PlannedTask(NamedTuple):
    """A task in its place; `options` are the flow's overlaid by its own."""

    id: str
    stage_id: str
    task: FlowTask
    options: FlowOptions

    @property
    def label(self) -> str:
        """What the activity is called that it becomes."""
        return f"{self.stage_id}/{self.id}"


class PlannedStage(NamedTuple):
    """A stage in its place."""

    id: str
    name: str
    tasks: Sequence[PlannedTask]


class Plan(NamedTuple):
    """A run of a flow: `id` is the flow's, whichever run it is; `created_at` is in ms since 1970."""

    id: str
    created_at: int
    retry_attempt: int
    flow: Flow
    stages: Sequence[PlannedStage]
    kept: Mapping[str, KeptTask]
    named: frozenset[str]
    requests: Sequence[str]

    @property
    def meta(self) -> Raw:
        """What its producer was called with."""
        return Raw(b"{}") if self.flow.meta is UNSET else self.flow.meta

    @property
    def parent(self) -> FlowParent | None:
        """The task whose handler produced it."""
        return read_parent(bytes(self.meta))


def make_plan(params: FlowParams, *, id: str, created_at: str) -> Plan:
    """Return the plan of a run; `id` and `created_at` are those of its workflow."""
    run = RetryDetails(id, milliseconds(created_at), 0)
    # Callers can write such params too, but not choose such an id.
    if params.run is not UNSET and id == run_id(params.run.taskflow_id, params.run.retry_attempt):
        run = params.run
    stages = []
    for number, stage in enumerate(params.stages):
        stage_id = _id(run.taskflow_id, number)
        tasks = [
            PlannedTask(_id(run.taskflow_id, number, index), stage_id, task, params.options.under(task.options))
            for index, task in enumerate(stage.tasks)
        ]
        stages.append(PlannedStage(stage_id, stage.name, tasks))
    flow = Flow(
        name=params.name, options=params.options, context=params.context, stages=params.stages, meta=params.meta
    )
    return Plan(
        run.taskflow_id, run.created_at, run.retry_attempt, flow, stages, run.kept, frozenset(run.named), run.requests
    )


def run_id(taskflow_id: str, retry_attempt: int) -> str:
    """Return the id of the workflow that a run of a flow is."""
    return f"{taskflow_id}~{retry_attempt}" if retry_attempt else taskflow_id


def flow_params(flow: Flow, run: RetryDetails | UnsetType = UNSET) -> FlowParams:
    """Return the params of a workflow that takes its whole flow from there."""
    return FlowParams(
        name=flow.name, options=flow.options, context=flow.context, stages=flow.stages, meta=flow.meta, run=run
    )


def read_flow_params(params: bytes) -> FlowParams:
    """Return the flow that params are; raise msgspec.ValidationError."""
    return _flow_params.decode(params)


def read_parent(meta: bytes) -> FlowParent | None:
    """Return which task a call's meta is of, None when it is of no task of a flow."""
    try:
        found = _meta.decode(meta).taskflow_execution_context.taskflow
    except msgspec.ValidationError:
        return None
    return FlowParent(found.id, found.stage_id, found.task_id)


def milliseconds(time: str) -> int:
    """Return a time in ISO-8601 in ms since 1970."""
    return round(datetime.fromisoformat(time).timestamp() * 1000)


def _id(*place: object) -> str:
    return str(uuid.uuid5(_ID_NAMESPACE, "/".join(map(str, place))))


_meta: msgspec.json.Decoder[_Meta] = msgspec.json.Decoder(_Meta)
_flow_params: msgspec.json.Decoder[FlowParams] = msgspec.json.Decoder(FlowParams)
