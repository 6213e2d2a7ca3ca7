"""The gRPC port: reserved for one server, and refused with a reason."""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import sys
from typing import Any

import pytest

from fencepost.errors import StartRefused
from fencepost.settings import Settings
from fencepost.vocabularies.machines.grpc.gateway import Gateway
from fencepost.vocabularies.machines.server import reserved_port
from fencepost.vocabularies.machines.workflows import MachineWorkflows
from tests.fixtures.machines import Gate


def test_without_a_grpc_port_no_socket_is_opened() -> None:
    settings = Settings()
    with reserved_port(settings) as reserved:
        assert reserved is settings


def test_the_processes_of_a_server_share_one_port() -> None:
    with reserved_port(Settings(grpc_port=0)) as shared:
        assert shared.grpc_shared
        with socket.socket() as one, socket.socket() as other:
            for worker in (one, other):
                worker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                worker.bind(("127.0.0.1", shared.grpc_port or 0))
                worker.listen()
            refused = pytest.raises(
                StartRefused, match=f"cannot listen on 127.0.0.1:{shared.grpc_port} for --grpc-port"
            )
            with refused, reserved_port(Settings(grpc_port=shared.grpc_port)):
                pass


def test_a_single_process_does_not_share_its_port(gate: Gate) -> None:
    async def begin() -> None:
        Gateway(gate.server.app.of(MachineWorkflows), "127.0.0.1", gate.port)

    with pytest.raises(StartRefused, match=f"cannot listen on 127.0.0.1:{gate.port} for --grpc-port"):
        gate.server.run(begin())


def test_a_grpc_port_without_the_grpc_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec

    def missing(name: str, *arguments: Any) -> Any:
        return None if name == "grpc" else found(name, *arguments)

    monkeypatch.setattr(importlib.util, "find_spec", missing)
    refused = pytest.raises(StartRefused, match=r"--grpc-port needs gRPC: pip install 'fencepost\[grpc\]'")
    with refused, reserved_port(Settings(grpc_port=0)):
        pass


def test_all_modules_but_the_gateway_import_without_grpc() -> None:
    code = """
import importlib, pkgutil, sys
sys.modules.update(dict.fromkeys(("grpc", "grpc_reflection", "google"), None))
import fencepost
for module in pkgutil.walk_packages(fencepost.__path__, "fencepost."):
    if "machines.grpc" not in module.name and not module.name.endswith("__main__"):
        importlib.import_module(module.name)
print(len(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.1", "::"])
def test_a_port_for_other_hosts_needs_grpc_open(host: str) -> None:
    with pytest.raises(StartRefused, match="--grpc-open"):
        Settings(grpc_port=0, grpc_host=host)
    assert Settings(grpc_port=0, grpc_host=host, grpc_open=True).grpc_host == host
    assert Settings(grpc_host=host).grpc_port is None
