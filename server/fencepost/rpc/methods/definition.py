"""`awf.definition/*`: definitions of tasks, workflows, schedules and triggers."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from fencepost.domain.definition import Name
from fencepost.domain.document import Document, Documents
from fencepost.engine.context import Context
from fencepost.resources.definitions import definition_resource
from fencepost.rpc.registry import Registry

_others = Registry()


class GetParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The name of a definition, and a version; the newest by default."""

    name: Name
    version: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None


class DeleteParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The name of a definition."""

    name: Name


class ListParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A page of definitions."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    after: Annotated[str, Meta(max_length=700, description="`next` of the previous page")] | None = None


class DefinitionResult(msgspec.Struct, frozen=True):
    """A definition: its document with `version` and `meta`."""

    resource: dict[str, Any]


class DefinitionsResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """One page of definitions; `next` is present if there are more."""

    resources: list[dict[str, Any]]
    next: str | UnsetType = UNSET


async def put(context: Context, params: Document) -> DefinitionResult:
    """Declare a definition; the params are the document. Idempotent: an unchanged document makes no new version."""
    document = msgspec.json.encode(params)
    return DefinitionResult(
        definition_resource(await context.engine.definitions.put(params, document, caller=context.caller))
    )


@_others.method("awf.definition/get", example={"name": "demo/resize"})
async def get(context: Context, params: GetParams) -> DefinitionResult:
    """Get one version of a definition, by default the newest."""
    return DefinitionResult(definition_resource(await context.engine.definitions.get(params.name, params.version)))


@_others.method("awf.definition/list", example={"limit": 10})
async def list_(context: Context, params: ListParams) -> DefinitionsResult:
    """List the newest versions by name, page by page."""
    page, more = await context.engine.definitions.list(after=params.after, size=params.limit)
    return DefinitionsResult([definition_resource(definition) for definition in page], page[-1].name if more else UNSET)


@_others.method("awf.definition/delete", example={"name": "demo/resize"})
async def delete(context: Context, params: DeleteParams) -> DefinitionResult:
    """Delete a definition; refused while it has live tasks. Done tasks keep their version of it."""
    return DefinitionResult(definition_resource(await context.engine.definitions.delete(params.name)))


def definition_methods(documents: Documents) -> Registry:
    """Return the methods for the documents that a server knows."""
    methods = Registry()
    example = {"kind": "task", "name": "demo/resize", "inProgressTimeout": 60000}
    methods.method("awf.definition/put", example=example, params=documents.union)(put)
    methods.methods.update(_others.methods)
    return methods
