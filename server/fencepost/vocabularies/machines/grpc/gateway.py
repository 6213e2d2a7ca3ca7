"""The gRPC server with the published Tinkerbell services."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import grpc
from grpc_reflection.v1alpha import reflection

from fencepost.errors import StartRefused
from fencepost.settings import GrpcTls
from fencepost.vocabularies.machines.grpc.agents import Agents, decode_report
from fencepost.vocabularies.machines.grpc.decoding import tolerant
from fencepost.vocabularies.machines.grpc.hardware import Hardware
from fencepost.vocabularies.machines.grpc.proto import (
    hardware_2021_pb2,
    hardware_2021_pb2_grpc,
    template_2021_pb2,
    template_2021_pb2_grpc,
    workflow_2021_pb2,
    workflow_2021_pb2_grpc,
    workflow_pb2,
    workflow_pb2_grpc,
)
from fencepost.vocabularies.machines.grpc.templates import Templates
from fencepost.vocabularies.machines.grpc.workers import Package
from fencepost.vocabularies.machines.grpc.workflows import Workflows
from fencepost.vocabularies.machines.workflows import MachineWorkflows

# Workers send workflow data of up to 10 MiB, and the same data again in base64 in its metadata.
_LONGEST_MESSAGE = 26 << 20
_SERVICES = (
    (workflow_pb2, "WorkflowService"),
    (workflow_2021_pb2, "WorkflowService"),
    (template_2021_pb2, "TemplateService"),
    (hardware_2021_pb2, "HardwareService"),
)


class Gateway:
    """A gRPC server that is bound to its port; `start` and `stop` run on the event loop that serves it."""

    def __init__(
        self, workflows: MachineWorkflows, host: str, port: int, *, shared: bool = False, tls: GrpcTls | None = None
    ) -> None:
        """Bind an address, which processes of this server can share; raise StartRefused if it is in use."""
        # Not shared by default: a second server on the port would silently take half of the calls.
        options = [("grpc.so_reuseport", int(shared)), ("grpc.max_receive_message_length", _LONGEST_MESSAGE)]
        self._server: Any = grpc.aio.server(options=options)
        target: Any = _ServiceTarget(self._server)
        # Generated code has no types.
        add_new: Any = workflow_pb2_grpc.add_WorkflowServiceServicer_to_server
        add_old: Any = workflow_2021_pb2_grpc.add_WorkflowServiceServicer_to_server
        add_templates: Any = template_2021_pb2_grpc.add_TemplateServiceServicer_to_server
        add_hardware: Any = hardware_2021_pb2_grpc.add_HardwareServiceServicer_to_server
        add_new(Agents(workflows, Package(workflow_pb2, is_old=False)), target)
        add_old(Workflows(workflows, Package(workflow_2021_pb2, is_old=True)), target)
        add_templates(Templates(workflows), target)
        add_hardware(Hardware(workflows), target)
        names = [names.DESCRIPTOR.services_by_name[service].full_name for names, service in _SERVICES]
        reflection.enable_server_reflection((*names, reflection.SERVICE_NAME), self._server)
        self.port: int = self._listen(f"[{host}]:{port}" if ":" in host else f"{host}:{port}", tls)

    async def start(self) -> None:
        """Accept calls."""
        await self._server.start()

    async def stop(self, grace_seconds: float) -> None:
        """Refuse new calls, and cancel calls still in flight after the grace period."""
        await self._server.stop(grace_seconds)

    def _listen(self, address: str, tls: GrpcTls | None) -> int:
        try:
            if tls is None:
                return int(self._server.add_insecure_port(address))
            return int(self._server.add_secure_port(address, grpc.ssl_server_credentials([(tls.key, tls.certificate)])))
        except RuntimeError as error:
            raise StartRefused(f"cannot listen on {address} for --grpc-port: {error}") from None


class _ServiceTarget:
    """The server to which generated code adds its services; it replaces the decoders of request messages.

    gRPC would report an undecodable message as an error of the server; and a report may be one of two messages.
    """

    _REPORT = ("proto.WorkflowService", "ReportActionStatus")

    def __init__(self, server: Any) -> None:
        self._server = server

    def add_generic_rpc_handlers(self, _: Any) -> None:
        """Ignore generic handlers: `add_registered_method_handlers` gets the same methods."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Add the methods of a service, with their decoders replaced."""
        wrapped = {name: self._wrapped(service, name, handler) for name, handler in handlers.items()}
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, wrapped),))

    def _wrapped(self, service: str, method: str, handler: Any) -> Any:
        decode: Callable[[bytes], Any] = handler.request_deserializer
        if (service, method) == self._REPORT:
            return grpc.unary_unary_rpc_method_handler(handler.unary_unary, tolerant(decode_report), _serialized)
        if handler.response_streaming:
            make: Any = grpc.unary_stream_rpc_method_handler
            return make(handler.unary_stream, tolerant(decode), handler.response_serializer)
        return grpc.unary_unary_rpc_method_handler(handler.unary_unary, tolerant(decode), handler.response_serializer)


def _serialized(message: Any) -> bytes:
    return bytes(message.SerializeToString())
