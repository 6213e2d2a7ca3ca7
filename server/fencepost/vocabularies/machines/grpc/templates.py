# ruff: noqa: N802  # the methods are called as the published service calls them
"""Templates as clients of the old package keep them: by ids and short names."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from fencepost.engine.engine import Engine
from fencepost.vocabularies.machines.grpc.answers import answered, refuse, streamed
from fencepost.vocabularies.machines.grpc.messages import template_message
from fencepost.vocabularies.machines.grpc.proto import template_2021_pb2 as names
from fencepost.vocabularies.machines.grpc.workers import CALLER, checked
from fencepost.vocabularies.machines.templates import FoundTemplate

_MESSAGES: Any = names


class Templates:
    """The service of templates."""

    def __init__(self, engine: Engine) -> None:
        self._templates = engine.machines.templates

    @answered
    async def CreateTemplate(self, request: Any, context: Any) -> Any:
        """Declare a template under a name that is free."""
        name, text = checked(request.name, "invalid template name"), checked(request.data, "invalid template data")
        found = await self._templates.create(name, text, caller=CALLER)
        return _MESSAGES.CreateResponse(id=found.id)

    @answered
    async def GetTemplate(self, request: Any, context: Any) -> Any:
        """Return a template with its text."""
        return template_message(_MESSAGES, await self._get(request), with_data=True)

    @answered
    async def DeleteTemplate(self, request: Any, context: Any) -> Any:
        """Delete a template that no live workflow needs."""
        await self._templates.delete((await self._get(request)).definition)
        return _MESSAGES.Empty()

    @streamed
    async def ListTemplates(self, request: Any, context: Any) -> AsyncIterator[Any]:
        """Yield the templates whose names fit, without their texts."""
        for found in await self._templates.list(request.name or "*"):
            yield template_message(_MESSAGES, found, with_data=False)

    @answered
    async def UpdateTemplate(self, request: Any, context: Any) -> Any:
        """Declare a new version of a template."""
        if "\0" in request.data:
            refuse("invalid template data")
        id = checked(request.id, "invalid template id")
        await self._templates.update(id, request.name, request.data, caller=CALLER)
        return _MESSAGES.Empty()

    async def _get(self, request: Any) -> FoundTemplate:
        if request.WhichOneof("get_by") == "name":
            return await self._templates.get_named(checked(request.name, "invalid template name"))
        return await self._templates.get(checked(request.id, "invalid template id"))
