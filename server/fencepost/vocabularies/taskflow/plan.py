"""The plan of a run: the flow with the ids of its stages and tasks, and the tasks that a retry keeps."""

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
    """The end of a task in an earlier run."""

    status: Literal["SUCCESS", "FAILED"]
    attempt: int = 0
    response: Raw = Raw(b"null")
    nested: tuple[str, ...] = ()


class RetryDetails(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename="camel"):
    """A retry: the id and creation time (ms since 1970) of the flow, the tasks that it keeps, the tasks named by id.

    `requests` are the keys of the newest retries of the flow, the newest last: a repeated request is found there.
    """

    taskflow_id: str
    created_at: int
    retry_attempt: int
    kept: dict[str, KeptTask] = {}
    named: tuple[str, ...] = ()
    requests: tuple[str, ...] = ()


class FlowParams(Flow, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """The params of a run of the built-in document: a whole flow, and the details of a retry."""

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
    """A task with its ids; `options` are those of the flow, overridden by its own."""

    id: str
    stage_id: str
    task: FlowTask
    options: FlowOptions

    @property
    def label(self) -> str:
        """The label of the task's activity."""
        return f"{self.stage_id}/{self.id}"


class PlannedStage(NamedTuple):
    """A stage with its id."""

    id: str
    name: str
    tasks: Sequence[PlannedTask]


class Plan(NamedTuple):
    """A run of a flow: `id` is the flow's id, the same in each run; `created_at` is in ms since 1970."""

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
        """The meta that the producer sent, as JSON text."""
        return Raw(b"{}") if self.flow.meta is UNSET else self.flow.meta

    @property
    def parent(self) -> FlowParent | None:
        """The task whose handler produced the flow, None for a top-level flow."""
        return read_parent(bytes(self.meta))


def make_plan(params: FlowParams, *, id: str, created_at: str) -> Plan:
    """Return the plan of a run; `id` and `created_at` are those of its workflow."""
    run = RetryDetails(id, milliseconds(created_at), 0)
    # Any caller can send `run` in the params, but only Flows.retry can choose the id of a retry.
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
    """Return the workflow id of a run."""
    return f"{taskflow_id}~{retry_attempt}" if retry_attempt else taskflow_id


def flow_params(flow: Flow, run: RetryDetails | UnsetType = UNSET) -> FlowParams:
    """Return the params of a run of the built-in document."""
    return FlowParams(
        name=flow.name, options=flow.options, context=flow.context, stages=flow.stages, meta=flow.meta, run=run
    )


def read_flow_params(params: bytes) -> FlowParams:
    """Parse the params of a run of the built-in document (JSON text); raise msgspec.ValidationError."""
    return _flow_params.decode(params)


def read_parent(meta: bytes) -> FlowParent | None:
    """Return the task that a meta (JSON text) belongs to, None when it names none."""
    try:
        found = _meta.decode(meta).taskflow_execution_context.taskflow
    except msgspec.ValidationError:
        return None
    return FlowParent(found.id, found.stage_id, found.task_id)


def milliseconds(time: str) -> int:
    """Convert an ISO-8601 time to ms since 1970."""
    return round(datetime.fromisoformat(time).timestamp() * 1000)


def _id(*place: object) -> str:
    return str(uuid.uuid5(_ID_NAMESPACE, "/".join(map(str, place))))


_meta: msgspec.json.Decoder[_Meta] = msgspec.json.Decoder(_Meta)
_flow_params: msgspec.json.Decoder[FlowParams] = msgspec.json.Decoder(FlowParams)
