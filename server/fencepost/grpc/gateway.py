"""The gateway of machines: a gRPC server with the published services, over the engine."""

from __future__ import annotations

from typing import Any

import grpc
from grpc_reflection.v1alpha import reflection

from fencepost.engine.engine import Engine
from fencepost.errors import StartRefused
from fencepost.grpc.proto import (
    template_2021_pb2,
    template_2021_pb2_grpc,
    workflow_2021_pb2,
    workflow_2021_pb2_grpc,
    workflow_pb2,
    workflow_pb2_grpc,
)
from fencepost.grpc.templates import Templates
from fencepost.grpc.workers import Package, Workers
from fencepost.grpc.workflows import Workflows

# Workers send files of up to 10 MiB with what workflows carry along.
_LONGEST_MESSAGE = 12 << 20


class Gateway:
    """A server that has been made; `start` and `stop` it on the loop that serves it."""

    def __init__(self, engine: Engine, host: str, port: int, *, shared: bool = False) -> None:
        """Listen on an address, which other workers of this server may share; raise StartRefused if it is not free."""
        # Never without need: a second server on the port would take half of the calls in silence.
        options = [("grpc.so_reuseport", int(shared)), ("grpc.max_receive_message_length", _LONGEST_MESSAGE)]
        self._server: Any = grpc.aio.server(options=options)
        # What is generated has no types.
        add_new: Any = workflow_pb2_grpc.add_WorkflowServiceServicer_to_server
        add_old: Any = workflow_2021_pb2_grpc.add_WorkflowServiceServicer_to_server
        add_templates: Any = template_2021_pb2_grpc.add_TemplateServiceServicer_to_server
        add_new(Workers(engine, Package(workflow_pb2, is_old=False)), self._server)
        add_old(Workflows(engine, Package(workflow_2021_pb2, is_old=True)), self._server)
        add_templates(Templates(engine), self._server)
        names = [
            names.DESCRIPTOR.services_by_name[service].full_name
            for names, service in (
                (workflow_pb2, "WorkflowService"),
                (workflow_2021_pb2, "WorkflowService"),
                (template_2021_pb2, "TemplateService"),
            )
        ]
        reflection.enable_server_reflection((*names, reflection.SERVICE_NAME), self._server)
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            self.port: int = self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise StartRefused(f"cannot listen on {address} for --grpc-port: {error}") from None

    async def start(self) -> None:
        """Take calls."""
        await self._server.start()

    async def stop(self, grace_seconds: float) -> None:
        """Take no more calls, and let those that are under way end in a time."""
        await self._server.stop(grace_seconds)
