# ruff: noqa: N802  # the methods are called as the published service calls them
"""The workflow service of the old package: workflows, their events and their data."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
from msgspec import Raw

from fencepost.vocabularies.machines.grpc.json_text import LONGEST_HARDWARE, checked_json
from fencepost.vocabularies.machines.grpc.messages import context_message, event_message, workflow_message
from fencepost.vocabularies.machines.grpc.status_codes import refuse, streaming_method, unary_method
from fencepost.vocabularies.machines.grpc.workers import CALLER, Workers, required
from fencepost.vocabularies.machines.plan import hardware_of
from fencepost.vocabularies.machines.workflows import MachineWorkflow

_PAGE = 200


class Workflows(Workers):
    """`github.com.tinkerbell.tink.protos.workflow.WorkflowService`."""

    @unary_method
    async def CreateWorkflow(self, request: Any, context: Any) -> Any:
        """Create a workflow from a template and hardware, a JSON object."""
        template = await self.workflows.templates.get(required(request.template, "invalid template id"))
        params = await _params(request.hardware)
        found = await self.workflows.create(template.definition, params, caller=CALLER)
        return self.package.messages.CreateResponse(id=found.workflow.id)

    @unary_method
    async def GetWorkflow(self, request: Any, context: Any) -> Any:
        """Return a workflow with its rendered template."""
        return self._workflow(await self._get(request), with_data=True)

    @unary_method
    async def DeleteWorkflow(self, request: Any, context: Any) -> Any:
        """Cancel a workflow and hide it."""
        await self.workflows.delete(required(request.id, "invalid workflow id"), caller=CALLER)
        return self.package.messages.Empty()

    @streaming_method
    async def ListWorkflows(self, request: Any, context: Any) -> AsyncIterator[Any]:
        """Yield all workflows, oldest first."""
        async for found in self.workflows.iterate():
            yield self._workflow(found, with_data=False)

    @unary_method
    async def GetWorkflowContext(self, request: Any, context: Any) -> Any:
        """Return the context of a workflow."""
        found = await self._get(request)
        return context_message(self.package.messages, found, await self.ids([found]))

    @streaming_method
    async def ShowWorkflowEvents(self, request: Any, context: Any) -> AsyncIterator[Any]:
        """Yield the reports of a workflow, oldest first."""
        id, after, more = required(request.id, "invalid workflow id"), 0, True
        while more:
            page, more = await self.workflows.list_reports(id, after=after, size=_PAGE)
            for reported in page:
                yield event_message(self.package.messages, reported)
                after = reported.seq

    @unary_method
    async def GetWorkflowContextList(self, request: Any, context: Any) -> Any:
        """Return the contexts of all workflows with an action for a worker, ended ones too."""
        worker = required(request.worker_id, self.package.missing_worker_message)
        several = await self.workflows.list_of_worker(worker)
        ids = await self.ids(several)
        names = self.package.messages
        return names.WorkflowContextList(workflow_contexts=[context_message(names, one, ids) for one in several])

    @unary_method
    async def GetWorkflowData(self, request: Any, context: Any) -> Any:
        """Return a version of the data of a workflow; empty if there is none."""
        id = required(request.workflow_id, "invalid workflow id")
        found = await self.workflows.data.find(id, request.version)
        return self.package.messages.GetWorkflowDataResponse(data=(found and found.data) or b"")

    @unary_method
    async def GetWorkflowMetadata(self, request: Any, context: Any) -> Any:
        """Return the metadata of a version, in the field `data`."""
        found = await self._data(request)
        return self.package.messages.GetWorkflowDataResponse(data=(found and found.metadata) or b"")

    @unary_method
    async def GetWorkflowDataVersion(self, request: Any, context: Any) -> Any:
        """Return the number of the newest version, 0 if there is none."""
        found = await self.workflows.data.find(_without_nul(request.workflow_id), 0)
        return self.package.messages.GetWorkflowDataResponse(version=0 if found is None else found.version)

    @unary_method
    async def UpdateWorkflowData(self, request: Any, context: Any) -> Any:
        """Store a new version of the data."""
        id = required(request.workflow_id, "invalid workflow id")
        metadata, data = await checked_json(request.metadata, "metadata"), await checked_json(request.data, "data")
        await self.workflows.data.put(id, metadata, data)
        return self.package.messages.Empty()

    async def _data(self, request: Any) -> Any:
        return await self.workflows.data.find(_without_nul(request.workflow_id), request.version)

    async def _get(self, request: Any) -> MachineWorkflow:
        return await self.workflows.get(required(request.id, "invalid workflow id"))

    def _workflow(self, found: MachineWorkflow, *, with_data: bool) -> Any:
        hardware = hardware_of(found.workflow.params).decode()
        return workflow_message(self.package.messages, found, hardware, with_data=with_data)


def _without_nul(id: str) -> str:
    """Return an id that Postgres accepts; the published methods accept any id."""
    return id.replace("\0", "")


async def _params(hardware: str) -> bytes:
    """Return the params of a workflow with this hardware."""
    text = await checked_json(hardware.encode(), "hardware", max_bytes=LONGEST_HARDWARE)
    if text[:1] != b"{":
        refuse("invalid hardware: a JSON object is expected")
    return msgspec.json.encode({"hardware": Raw(text)})
