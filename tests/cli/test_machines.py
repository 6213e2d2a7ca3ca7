"""The port for machines: kept for one server, and refused with the reason."""

from __future__ import annotations

import importlib.util
import socket
from typing import Any

import pytest

from fencepost.cli.machines import reserved
from fencepost.errors import StartRefused
from fencepost.settings import Settings


def test_a_server_without_a_port_for_machines_needs_nothing() -> None:
    settings = Settings()
    with reserved(settings) as kept:
        assert kept is settings


def test_a_free_port_is_one_that_is_known() -> None:
    with reserved(Settings(grpc_port=0)) as kept:
        assert kept.grpc_port


def test_a_port_is_kept_for_one_server() -> None:
    with reserved(Settings(grpc_port=0)) as kept:
        refused = pytest.raises(StartRefused, match=f"cannot listen on 127.0.0.1:{kept.grpc_port} for --grpc-port")
        with refused, reserved(Settings(grpc_port=kept.grpc_port)):
            pass
        with socket.socket() as greedy:
            greedy.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            greedy.bind(("127.0.0.1", kept.grpc_port or 0))  # as the workers of this server do


def test_without_grpc_a_server_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec

    def missing(name: str, *arguments: Any) -> Any:
        return None if name == "grpc" else found(name, *arguments)

    monkeypatch.setattr(importlib.util, "find_spec", missing)
    refused = pytest.raises(StartRefused, match=r"--grpc-port needs gRPC: pip install 'fencepost\[grpc\]'")
    with refused, reserved(Settings(grpc_port=0)):
        pass


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.1", "::"])
def test_the_port_is_open_to_others_only_when_that_is_said(host: str) -> None:
    with pytest.raises(StartRefused, match="--grpc-open"):
        Settings(grpc_port=0, grpc_host=host)
    assert Settings(grpc_port=0, grpc_host=host, grpc_open=True).grpc_host == host
    assert Settings(grpc_host=host).grpc_port is None
