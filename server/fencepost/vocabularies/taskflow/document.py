"""Documents of `kind: taskflow`: flows that begin by name, and the built-in one that takes the flow from its params."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from fencepost.domain import lossless_json
from fencepost.domain.definition import Beginning, Decided
from fencepost.domain.payload import object_text
from fencepost.domain.validation import refusal_of_struct
from fencepost.domain.workflow import Workflow
from fencepost.errors import Refusal, invalid_params
from fencepost.vocabularies.taskflow.flow import (
    MAX_STAGES,
    FlowOptions,
    FlowStage,
    JsonObject,
    Title,
    check_stages,
    drop_nulls,
)
from fencepost.vocabularies.taskflow.plan import FlowParams, Plan, make_plan, read_flow_params

# The built-in document: a run of it has the whole flow in its params.
FLOW = "awf.taskflow/flow"


class TaskflowDefinition(
    Decided, frozen=True, forbid_unknown_fields=True, rename="camel", tag_field="kind", tag="taskflow", kw_only=True
):
    """A document of `kind: taskflow`: a flow that begins by name; params of a run override members of its context."""

    kind: ClassVar[str] = "taskflow"
    fails_what_cannot_begin: ClassVar[bool] = True
    title: Annotated[Title, Meta(description="display name")] | UnsetType = UNSET
    options: FlowOptions = FlowOptions()
    context: JsonObject | UnsetType = UNSET
    stages: Annotated[tuple[FlowStage, ...], Meta(max_length=MAX_STAGES)] = ()

    def __post_init__(self) -> None:
        """Treat null as absent."""
        drop_nulls(self, "context")

    def compile(self) -> None:
        """Check the flow; raise Refusal (`invalid-params`)."""
        super().compile()
        object_text(self.context, "context")
        if not self.stages and self.name != FLOW:
            raise invalid_params("a flow has at least one stage", "stages")
        check_stages(self.stages)

    def begin(self, params: bytes | None) -> Beginning:
        """Check the params of a run of the built-in document; raise Refusal (`invalid-params`)."""
        if self.name == FLOW:
            try:
                read_flow_params(params or b"{}").check()
            except msgspec.ValidationError as error:
                raise refusal_of_struct(str(error), FlowParams).within("params") from None
            except Refusal as refusal:
                raise refusal.within("params") from None
        return Beginning()

    def plan(self, workflow: Workflow) -> Plan:
        """Return the plan of a run."""
        return make_plan(self._flow_params(workflow.params), id=workflow.id, created_at=workflow.created_at)

    def _flow_params(self, params: bytes | None) -> FlowParams:
        if self.name == FLOW:
            return read_flow_params(params or b"{}")
        return FlowParams(
            name=self.name if self.title is UNSET else self.title,
            options=self.options,
            context=_merge_context(self.context, params),
            stages=self.stages,
        )


def _merge_context(context: Raw | UnsetType, params: bytes | None) -> Raw | UnsetType:
    """Return a context, overridden by the params of a run."""
    if params is None:
        return context
    under = {} if context is UNSET else lossless_json.read(bytes(context))
    return Raw(lossless_json.write({**under, **lossless_json.read(params)}))
