"""`awf.taskflow.template/*`: stored flows that are executed by id. Answers are `{success, data}`."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from fencepost.domain.definition import Name
from fencepost.domain.payload import object_text
from fencepost.engine.context import Context
from fencepost.rpc.registry import Registry
from fencepost.vocabularies.taskflow.flow import MAX_STAGES, FlowOptions, FlowStage, JsonObject, Title
from fencepost.vocabularies.taskflow.flows import Flows
from fencepost.vocabularies.taskflow.methods import RequestId, TaskflowResult
from fencepost.vocabularies.taskflow.templates import FlowTemplate, TemplateContent, Templates

template_methods = Registry()


class NewFlowTemplate(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A flow to store as a template; the server gives it an id and a creation time."""

    name: Title
    options: FlowOptions = FlowOptions()
    context: JsonObject | UnsetType = UNSET
    stages: Annotated[tuple[FlowStage, ...], Meta(min_length=1, max_length=MAX_STAGES)]


class AddParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The template to add."""

    template: NewFlowTemplate


class ChangedFlowTemplate(TemplateContent, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """A template, named by `id` or `templateId`, and the members to change."""

    id: Name | None = None
    template_id: Name | None = None
    created_at: Annotated[int, Meta(description="accepted and ignored")] | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Refuse a missing id, and two different ones."""
        if (self.id or self.template_id) is None:
            raise ValueError("'id' is missing")
        if self.id and self.template_id and self.id != self.template_id:
            raise ValueError("'id' and 'templateId' are two names of one thing")


class UpdateParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The template to change, and its new members."""

    template: ChangedFlowTemplate


class TemplateIdParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The id of a template."""

    template_id: Name


class ExecuteParams(TemplateIdParams, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """The id of a template, and members that override its context in this run."""

    context: JsonObject | UnsetType = UNSET
    request_id: RequestId | None = None


class TemplateListParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Page size and position."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    after: Annotated[str, Meta(max_length=700, description="`next` of the previous page")] | None = None


class TemplateResult(msgspec.Struct, frozen=True):
    """A template."""

    data: FlowTemplate
    success: Literal[True] = True


class TemplatesResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """One page of templates; `next` is present when there are more."""

    success: bool
    data: list[FlowTemplate]
    next: str | UnsetType = UNSET


_ID = {"templateId": "taskflow.template/7038abdc-4cc6-4026-8abf-316531b7e6c1"}
_STAGES = [
    {
        "name": "night",
        "tasks": [
            {"name": "lights", "type": "CHANNEL", "taskDetails": {"channelName": "lights"}, "params": {"on": False}}
        ],
    }
]


@template_methods.method("awf.taskflow.template/add", example={"template": {"name": "Good night", "stages": _STAGES}})
async def add(context: Context, params: AddParams) -> TemplateResult:
    """Store a flow as a template under an id that the server gives."""
    new = params.template
    content = TemplateContent(name=new.name, options=new.options, context=new.context, stages=new.stages)
    return TemplateResult(await context.of(Templates).add(content, caller=context.caller))


@template_methods.method("awf.taskflow.template/list", example={"limit": 10})
async def list_(context: Context, params: TemplateListParams) -> TemplatesResult:
    """List templates, and other flows declared as documents, page by page."""
    page, more = await context.of(Templates).list(after=params.after, size=params.limit)
    return TemplatesResult(True, [*page], page[-1].id if more else UNSET)


@template_methods.method(
    "awf.taskflow.template/update", example={"template": {"id": _ID["templateId"], "name": "Sleep well"}}
)
async def update(context: Context, params: UpdateParams) -> TemplateResult:
    """Change the given members of a template; runs that have begun keep the old version."""
    change = params.template
    id, field = change.id or change.template_id or "", "template.id" if change.id else "template.templateId"
    return TemplateResult(await context.of(Templates).update(id, change, field=field, caller=context.caller))


@template_methods.method("awf.taskflow.template/delete", example=_ID)
async def delete(context: Context, params: TemplateIdParams) -> TemplateResult:
    """Delete a template; refused while a live run needs it."""
    return TemplateResult(await context.of(Templates).delete(params.template_id))


@template_methods.method("awf.taskflow.template/execute", example=_ID)
async def execute(context: Context, params: ExecuteParams) -> TaskflowResult:
    """Begin a flow from a template; `context` overrides members of the template's context."""
    await context.of(Templates).check(params.template_id)
    over = object_text(params.context, "context")
    flow = await context.of(Flows).execute(params.template_id, over, params.request_id, context.caller)
    return TaskflowResult(flow)
