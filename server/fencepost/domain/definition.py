"""Definitions of tasks and workflows: their settings and their schemas."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import msgspec
from msgspec import UNSET, Meta, UnsetType

from fencepost.domain.limits import LONGEST_MS, MOST_RETRIES
from fencepost.domain.schema import Schema
from fencepost.errors import invalid_params

# Error messages show the description in place of the pattern.
Name = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9_.-]{1,100}(/[A-Za-z0-9_.-]{1,100}){0,5}\Z",
        description="a name of up to six parts with `/` between them, each 1 to 100 letters, digits, `_`, `.` or `-`",
    ),
]
Milliseconds = Annotated[int, Meta(ge=0, le=LONGEST_MS)]
Step = Annotated[str, Meta(max_length=200)] | Annotated[int, Meta(ge=0, le=2**31 - 1)]
SchemaDocument = dict[str, Any] | bool

# Prefixes of the names of built-in definitions.
OWN = ("awf.", "aidbox.task/")


class Beginning(NamedTuple):
    """The keys of a new workflow, from its definition.

    Only one live workflow can have a `key`. Live and finished workflows are found by the members of `about`.
    """

    key: str | None = None
    about: tuple[str, ...] = ()


class Work(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", dict=True, kw_only=True):
    """The definition of tasks for workers, or of the decision tasks of workflows."""

    kind: ClassVar[str]
    name: Name

    def begin(self, params: bytes | None) -> Beginning:
        """Check the params of a new task or workflow, JSON text; raise Refusal with fields of `params`.

        May raise Deferred.
        """
        return Beginning()

    def check_id(self, id: str) -> None:
        """Check the id that a caller chose for a new workflow; raise Refusal."""

    def check_end(self, verb: Literal["success", "fail"], content: bytes | None) -> None:
        """Check the result or error of a task, JSON text; raise Refusal with fields of `result` or `error`.

        May raise Deferred. The schemas of a workflow apply to its own end and not to the failure of a decision task.
        """

    def compile(self) -> None:
        """Check the parts that types cannot check, when the document is put; raise Refusal (`invalid-params`)."""


class Declared(Work, frozen=True, forbid_unknown_fields=True, rename="camel", dict=True, kw_only=True):
    """A definition for workers: the settings of its tasks and the JSON Schemas of its payloads."""

    requested_to_start_timeout: Annotated[
        int, Meta(ge=1, le=LONGEST_MS, description="maximum ms between the poll that leases a task and its start")
    ] = 10_000
    in_progress_timeout: Annotated[
        int, Meta(ge=1, le=LONGEST_MS, description="maximum ms between two heartbeats of a started task")
    ] = 120_000
    allowed_retry_count: Annotated[
        int, Meta(ge=0, le=MOST_RETRIES, description="retries after the first attempt; 2 means three attempts")
    ] = 2
    retry_delay: Annotated[Milliseconds, Meta(description="ms between a failed attempt and the next")] = 10_000
    attempt_timeout: (
        Annotated[int, Meta(ge=1, le=LONGEST_MS, description="maximum ms of an attempt, regardless of heartbeats")]
        | UnsetType
    ) = UNSET
    params: Annotated[SchemaDocument, Meta(description="JSON Schema 2020-12 of the params")] | UnsetType = UNSET
    result: Annotated[SchemaDocument, Meta(description="JSON Schema 2020-12 of the result")] | UnsetType = UNSET
    error: Annotated[SchemaDocument, Meta(description="JSON Schema 2020-12 of the error")] | UnsetType = UNSET

    @cached_property
    def params_schema(self) -> Schema | None:
        """The schema of the params."""
        return _schema(self.params, "params")

    @cached_property
    def result_schema(self) -> Schema | None:
        """The schema of the result."""
        return _schema(self.result, "result")

    @cached_property
    def error_schema(self) -> Schema | None:
        """The schema of the error."""
        return _schema(self.error, "error")

    def begin(self, params: bytes | None) -> Beginning:
        """Check params against their schema."""
        if schema := self.params_schema:
            schema.check(params, field="params")
        return Beginning()

    def compile(self) -> None:
        """Check the schemas when the document is put and not when a task is created; may raise Deferred."""
        for schema in (self.params_schema, self.result_schema, self.error_schema):
            if schema is not None:
                schema.declare()


class TaskDefinition(Declared, frozen=True, forbid_unknown_fields=True, rename="camel", tag_field="kind", tag="task"):
    """A document of `kind: task`: one kind of task."""

    kind: ClassVar[str] = "task"
    concurrency_limit: (
        Annotated[int, Meta(ge=1, le=1_000_000, description="maximum number of its tasks that may be leased at once")]
        | UnsetType
    ) = UNSET
    concurrency_path: (
        Annotated[
            tuple[Step, ...],
            Meta(
                min_length=1,
                max_length=32,
                description="the limit applies to each value at this path, such as `[params, resourceType]`",
            ),
        ]
        | UnsetType
    ) = UNSET
    keep: (
        Annotated[
            Literal["all", "failures", "none"],
            Meta(description="the done tasks to keep: `all` (default), `failures`, `none`; not for tasks of workflows"),
        ]
        | UnsetType
    ) = UNSET

    def check_end(self, verb: Literal["success", "fail"], content: bytes | None) -> None:
        """Check a result or error against its schema."""
        schema, field = (self.result_schema, "result") if verb == "success" else (self.error_schema, "error")
        if schema:
            schema.check(content, field=field)

    def compile(self) -> None:
        """Check the schemas, and that a concurrencyPath leads into the params and has a limit."""
        if self.concurrency_path is not UNSET:
            if self.concurrency_path[0] != "params":
                raise invalid_params(
                    "a path begins with `params`, such as [params, resourceType]", "concurrencyPath[0]"
                )
            if self.concurrency_limit is UNSET:
                raise invalid_params("a path needs a concurrencyLimit, which is then per value", "concurrencyPath")
        super().compile()


class WorkflowDefinition(
    Declared, frozen=True, forbid_unknown_fields=True, rename="camel", tag_field="kind", tag="workflow"
):
    """A document of `kind: workflow`: the settings of its decision tasks, and the schemas of its payloads."""

    kind: ClassVar[str] = "workflow"
    concurrency_limit: ClassVar[UnsetType] = UNSET
    concurrency_path: ClassVar[UnsetType] = UNSET


class Decided(Work, frozen=True, forbid_unknown_fields=True, rename="camel", dict=True, kw_only=True):
    """A document for workflows that the server itself decides: each kind has a decider.

    All documents have the same settings for decision tasks. With `fails_what_cannot_begin`, an activity that cannot
    start (no definition, invalid params) becomes a task that fails with the reason; otherwise the decision is refused,
    and the workflow fails.
    """

    fails_what_cannot_begin: ClassVar[bool] = False
    requested_to_start_timeout: ClassVar[int] = 10_000
    in_progress_timeout: ClassVar[int] = 10_000
    allowed_retry_count: ClassVar[int] = 5
    retry_delay: ClassVar[int] = 1_000
    attempt_timeout: ClassVar[UnsetType] = UNSET
    params: ClassVar[UnsetType] = UNSET
    result: ClassVar[UnsetType] = UNSET
    error: ClassVar[UnsetType] = UNSET
    params_schema: ClassVar[None] = None
    result_schema: ClassVar[None] = None
    error_schema: ClassVar[None] = None
    concurrency_limit: ClassVar[UnsetType] = UNSET
    concurrency_path: ClassVar[UnsetType] = UNSET


# The definition of a task, or of a decision task.
WorkDefinition = TaskDefinition | WorkflowDefinition | Decided
# The definition of a workflow.
AnyWorkflow = WorkflowDefinition | Decided


def _schema(document: SchemaDocument | UnsetType, field: str) -> Schema | None:
    return None if document is UNSET else Schema(document, field=field)
