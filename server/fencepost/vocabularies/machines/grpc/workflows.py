# ruff: noqa: N802  # the methods are called as the published service calls them
"""What else the old package has: taking workflows in, looking at them, and the data that they carry along."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import orjson
from msgspec import Raw

from fencepost.engine.workflows import NewWorkflow
from fencepost.vocabularies.machines.grpc.answers import answered, refuse, streamed
from fencepost.vocabularies.machines.grpc.messages import context_message, event_message, workflow_message
from fencepost.vocabularies.machines.grpc.texts import LONGEST_HARDWARE, json_text
from fencepost.vocabularies.machines.grpc.workers import CALLER, Workers, checked
from fencepost.vocabularies.machines.machines import MachineWorkflow
from fencepost.vocabularies.machines.plan import hardware_of

_PAGE = 200


class Workflows(Workers):
    """The service of the old package."""

    @answered
    async def CreateWorkflow(self, request: Any, context: Any) -> Any:
        """Begin a workflow of a template, for hardware that is given as a JSON object."""
        template = await self.engine.machines.templates.get(checked(request.template, "invalid template id"))
        found = await self.engine.machines.create(
            NewWorkflow(
                definition=template.definition,
                id=None,
                label=None,
                params=await _params(request.hardware),
                execute_at=None,
                requester=orjson.dumps({"resourceType": "Client", "id": CALLER}),
                caller=CALLER,
            )
        )
        return self.package.names.CreateResponse(id=found.workflow.id)

    @answered
    async def GetWorkflow(self, request: Any, context: Any) -> Any:
        """Return a workflow with its rendered template."""
        return self._workflow(await self._get(request), with_data=True)

    @answered
    async def DeleteWorkflow(self, request: Any, context: Any) -> Any:
        """Cancel a workflow and forget it."""
        await self.engine.machines.delete(checked(request.id, "invalid workflow id"), caller=CALLER)
        return self.package.names.Empty()

    @streamed
    async def ListWorkflows(self, request: Any, context: Any) -> AsyncIterator[Any]:
        """Yield all workflows, the oldest first."""
        async for found in self.engine.machines.each():
            yield self._workflow(found, with_data=False)

    @answered
    async def GetWorkflowContext(self, request: Any, context: Any) -> Any:
        """Return where a workflow stands."""
        found = await self._get(request)
        return context_message(self.package.names, found, await self.ids([found]))

    @streamed
    async def ShowWorkflowEvents(self, request: Any, context: Any) -> AsyncIterator[Any]:
        """Yield what was reported of a workflow, the oldest first."""
        id, after, more = checked(request.id, "invalid workflow id"), 0, True
        while more:
            page, more = await self.engine.machines.reports(id, after=after, size=_PAGE)
            for reported in page:
                yield event_message(self.package.names, reported)
                after = reported.seq

    @answered
    async def GetWorkflowContextList(self, request: Any, context: Any) -> Any:
        """Return where all workflows stand in which a worker has something to do, or had."""
        worker = checked(request.worker_id, self.package.unknown_worker)
        several = await self.engine.machines.all_of(worker)
        ids = await self.ids(several)
        names = self.package.names
        return names.WorkflowContextList(workflow_contexts=[context_message(names, one, ids) for one in several])

    @answered
    async def GetWorkflowData(self, request: Any, context: Any) -> Any:
        """Return a version of the data that a workflow carries along; empty when there is none."""
        id = checked(request.workflow_id, "invalid workflow id")
        found = await self.engine.machines.carried.find(id, request.version)
        return self.package.names.GetWorkflowDataResponse(data=(found and found.data) or b"")

    @answered
    async def GetWorkflowMetadata(self, request: Any, context: Any) -> Any:
        """Return what was said about a version of the data, as `data`."""
        found = await self._data(request)
        return self.package.names.GetWorkflowDataResponse(data=(found and found.metadata) or b"")

    @answered
    async def GetWorkflowDataVersion(self, request: Any, context: Any) -> Any:
        """Return the number of the newest version, 0 when there is none."""
        found = await self.engine.machines.carried.find(_loose(request.workflow_id), 0)
        return self.package.names.GetWorkflowDataResponse(version=0 if found is None else found.version)

    @answered
    async def UpdateWorkflowData(self, request: Any, context: Any) -> Any:
        """Keep a further version of the data."""
        id = checked(request.workflow_id, "invalid workflow id")
        metadata, data = await json_text(request.metadata, "metadata"), await json_text(request.data, "data")
        await self.engine.machines.carried.put(id, metadata, data)
        return self.package.names.Empty()

    async def _data(self, request: Any) -> Any:
        return await self.engine.machines.carried.find(_loose(request.workflow_id), request.version)

    async def _get(self, request: Any) -> MachineWorkflow:
        return await self.engine.machines.get(checked(request.id, "invalid workflow id"))

    def _workflow(self, found: MachineWorkflow, *, with_data: bool) -> Any:
        hardware = hardware_of(found.workflow.params).decode()
        return workflow_message(self.package.names, found, hardware, with_data=with_data)


def _loose(id: str) -> str:
    """Return an id that need not be one of anything."""
    return id.replace("\0", "")


async def _params(hardware: str) -> bytes:
    """Return the params of a workflow for hardware."""
    said = await json_text(hardware.encode(), "hardware", most=LONGEST_HARDWARE)
    if said[:1] != b"{":
        refuse("invalid hardware: a JSON object is expected")
    return msgspec.json.encode({"hardware": Raw(said)})
