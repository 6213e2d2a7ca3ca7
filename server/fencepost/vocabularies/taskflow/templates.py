"""Templates: stored flows, as documents of `kind: taskflow` under names that the server gives."""

from __future__ import annotations

from uuid import uuid4

import msgspec
from msgspec import UNSET, UnsetType

from fencepost.domain.listing import Portion
from fencepost.engine.definitions import Definitions
from fencepost.errors import Refusal
from fencepost.vocabularies.taskflow.document import TaskflowDefinition
from fencepost.vocabularies.taskflow.errors import TEMPLATE_NOT_FOUND
from fencepost.vocabularies.taskflow.flow import FlowOptions, FlowStage, JsonObject, Title
from fencepost.vocabularies.taskflow.plan import milliseconds
from fencepost.vocabularies.taskflow.store import TaskflowStore, TemplateRow

_NAME_PREFIX = "taskflow.template"


class TemplateContent(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The members of a template that a caller can set; an absent member is left unchanged."""

    name: Title | UnsetType = UNSET
    options: FlowOptions | UnsetType = UNSET
    context: JsonObject | UnsetType = UNSET
    stages: tuple[FlowStage, ...] | UnsetType = UNSET


class FlowTemplate(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel", kw_only=True):
    """A template. `id` and `templateId` are both the name of its document; `createdAt` is in ms since 1970."""

    id: str
    template_id: str
    name: str
    created_at: int
    options: FlowOptions | UnsetType = UNSET
    context: JsonObject | UnsetType = UNSET
    stages: tuple[FlowStage, ...]


class Templates:
    """The templates of a database."""

    def __init__(self, store: TaskflowStore, definitions: Definitions) -> None:
        self._store = store
        self._definitions = definitions

    async def add(self, content: TemplateContent, *, caller: str) -> FlowTemplate:
        """Store a flow as a template under a new id; raise Refusal (`invalid-params`)."""
        document = _with_content(TaskflowDefinition(name=f"{_NAME_PREFIX}/{uuid4()}"), content)
        return await self._put(document, caller)

    async def update(self, id: str, content: TemplateContent, *, field: str, caller: str) -> FlowTemplate:
        """Change a template; runs that have begun keep the old version. `field` is the field of its id.

        Raises Refusal: `template-not-found` and `invalid-params`.
        """
        return await self._put(_with_content((await self._get(id, field)).document, content), caller)

    async def delete(self, id: str) -> FlowTemplate:
        """Delete a template and return it; raise Refusal for an unknown one, and while a live run needs it."""
        row = await self._get(id)
        try:
            await self._definitions.delete(id)
        except Refusal as refusal:
            raise refusal.about("templateId") from None
        return _template(row)

    async def list(self, *, after: str | None, size: int) -> Portion[FlowTemplate]:
        """Return templates in the order of their ids, after the id `after`."""
        page = await self._store.list_templates(after=after, size=size)
        return Portion([_template(row) for row in page.items], page.more)

    async def check(self, id: str) -> None:
        """Raise Refusal (`template-not-found`) for an unknown template."""
        await self._get(id)

    async def _get(self, id: str, field: str = "templateId") -> TemplateRow:
        row = await self._store.find_template(id)
        if row is None:
            raise Refusal(TEMPLATE_NOT_FOUND, field=field, id=id)
        return row

    async def _put(self, document: TaskflowDefinition, caller: str) -> FlowTemplate:
        try:
            await self._definitions.put(document, msgspec.json.encode(document), caller=caller)
        except Refusal as refusal:
            raise refusal.within("template") from None
        return _template(await self._get(document.name))


def _with_content(document: TaskflowDefinition, content: TemplateContent) -> TaskflowDefinition:
    members = {
        name: value for name in TemplateContent.__struct_fields__ if (value := getattr(content, name)) is not UNSET
    }
    if "name" in members:
        members["title"] = members.pop("name")
    return msgspec.structs.replace(document, **members)


def _template(row: TemplateRow) -> FlowTemplate:
    document = row.document
    return FlowTemplate(
        id=row.name,
        template_id=row.name,
        name=row.name if document.title is UNSET else document.title,
        created_at=milliseconds(row.created_at),
        options=document.options,
        context=document.context,
        stages=document.stages,
    )
