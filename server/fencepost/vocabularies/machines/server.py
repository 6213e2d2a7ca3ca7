"""The second port of a server, on which machines speak gRPC to it."""

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

# Of a stopping server, for the calls that are under way.
_FINISH_SECONDS = 1.0


@contextmanager
def shared(settings: Settings) -> Iterator[Settings]:
    """Keep the port for machines for several workers of this server; give the settings that they are told."""
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
        told = replace(settings, grpc_port=guard.getsockname()[1], grpc_shared=True)
        if sys.platform == "linux":
            # Our workers may have it too from here on; whoever comes without asking is refused. It does not listen
            # itself, so that it takes no connections.
            guard.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        else:
            guard.close()  # elsewhere nobody could have it beside this
        yield told


@asynccontextmanager
async def speaking(workflows: MachineWorkflows, settings: Settings) -> AsyncIterator[None]:
    """Take the calls of machines until the block ends, if there is a port for them; raise StartRefused."""
    if settings.grpc_port is None:
        yield
        return
    _check_installed()
    # Here, because a server without that port starts without gRPC.
    from fencepost.vocabularies.machines.grpc.gateway import Gateway

    where = (settings.grpc_host, settings.grpc_port)
    gateway = Gateway(workflows, *where, shared=settings.grpc_shared, tls=settings.grpc_tls)
    await gateway.start()
    emit(Event.MACHINES_WELCOME, host=settings.grpc_host, port=gateway.port)
    try:
        yield
    finally:
        await gateway.stop(_FINISH_SECONDS)


def _check_installed() -> None:
    if importlib.util.find_spec("grpc") is None or importlib.util.find_spec("grpc_reflection") is None:
        raise StartRefused("--grpc-port needs gRPC: pip install 'fencepost[grpc]'")
