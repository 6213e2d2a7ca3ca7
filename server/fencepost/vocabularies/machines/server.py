"""The gRPC port of a server: reserves it for all processes, and serves it in each."""

from __future__ import annotations

import importlib.util
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace

from fencepost.errors import StartRefused
from fencepost.settings import Settings
from fencepost.telemetry import Event, emit
from fencepost.vocabularies.machines.workflows import MachineWorkflows

# For calls in flight when the server stops.
_STOP_GRACE_SECONDS = 1.0


@contextmanager
def reserved_port(settings: Settings) -> Iterator[Settings]:
    """Reserve the gRPC port for all processes of this server; yield the settings for them. Raises StartRefused."""
    if settings.grpc_port is None:
        yield settings
        return
    _check_installed()
    host, family = settings.grpc_host, socket.AF_INET6 if ":" in settings.grpc_host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as guard:
        try:
            guard.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            guard.bind((host, settings.grpc_port))
        except OSError as error:
            raise StartRefused(f"cannot listen on {host}:{settings.grpc_port} for --grpc-port: {error}") from None
        shared = replace(settings, grpc_port=guard.getsockname()[1], grpc_shared=True)
        if sys.platform == "linux":
            # From here on, sockets of this user that set SO_REUSEPORT may bind the port, others get an error. The guard
            # does not listen, so it takes no connections.
            guard.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        else:
            guard.close()  # on other systems no other socket could bind the port beside this one
        yield shared


@asynccontextmanager
async def serving(workflows: MachineWorkflows, settings: Settings) -> AsyncIterator[None]:
    """Serve gRPC until the block ends, if a port is configured; raise StartRefused."""
    if settings.grpc_port is None:
        yield
        return
    _check_installed()
    # Imported here, because a server without that port runs without the gRPC package.
    from fencepost.vocabularies.machines.grpc.gateway import Gateway

    where = (settings.grpc_host, settings.grpc_port)
    gateway = Gateway(workflows, *where, shared=settings.grpc_shared, tls=settings.grpc_tls)
    await gateway.start()
    emit(Event.GRPC_LISTENING, host=settings.grpc_host, port=gateway.port)
    try:
        yield
    finally:
        await gateway.stop(_STOP_GRACE_SECONDS)


def _check_installed() -> None:
    if importlib.util.find_spec("grpc") is None or importlib.util.find_spec("grpc_reflection") is None:
        raise StartRefused("--grpc-port needs gRPC: pip install 'fencepost[grpc]'")
