# ruff: noqa: N802  # the methods are called as the published service calls them
"""The template service of the old package: templates by ids and short names."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from fencepost.vocabularies.machines.grpc.messages import template_message
from fencepost.vocabularies.machines.grpc.proto import template_2021_pb2
from fencepost.vocabularies.machines.grpc.status_codes import refuse, streaming_method, unary_method
from fencepost.vocabularies.machines.grpc.workers import CALLER, required
from fencepost.vocabularies.machines.templates import FoundTemplate
from fencepost.vocabularies.machines.workflows import MachineWorkflows

_MESSAGES: Any = template_2021_pb2


class Templates:
    """`github.com.tinkerbell.tink.protos.template.TemplateService`."""

    def __init__(self, workflows: MachineWorkflows) -> None:
        self._templates = workflows.templates

    @unary_method
    async def CreateTemplate(self, request: Any, context: Any) -> Any:
        """Declare a template under a new name."""
        name, text = required(request.name, "invalid template name"), required(request.data, "invalid template data")
        found = await self._templates.create(name, text, caller=CALLER)
        return _MESSAGES.CreateResponse(id=found.id)

    @unary_method
    async def GetTemplate(self, request: Any, context: Any) -> Any:
        """Return a template with its text."""
        return template_message(_MESSAGES, await self._get(request), with_data=True)

    @unary_method
    async def DeleteTemplate(self, request: Any, context: Any) -> Any:
        """Delete a template, unless a live workflow uses it."""
        await self._templates.delete((await self._get(request)).definition)
        return _MESSAGES.Empty()

    @streaming_method
    async def ListTemplates(self, request: Any, context: Any) -> AsyncIterator[Any]:
        """Yield the templates with matching names, without their texts."""
        for found in await self._templates.list(request.name or "*"):
            yield template_message(_MESSAGES, found, with_data=False)

    @unary_method
    async def UpdateTemplate(self, request: Any, context: Any) -> Any:
        """Declare a new version of a template."""
        if "\0" in request.data:
            refuse("invalid template data")
        id = required(request.id, "invalid template id")
        await self._templates.update(id, request.name, request.data, caller=CALLER)
        return _MESSAGES.Empty()

    async def _get(self, request: Any) -> FoundTemplate:
        if request.WhichOneof("get_by") == "name":
            return await self._templates.get_named(required(request.name, "invalid template name"))
        return await self._templates.get(required(request.id, "invalid template id"))
