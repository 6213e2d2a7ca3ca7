"""The parts of uvicorn that `--http` relies on and that uvicorn does not document.

When one of these tests fails after an upgrade of uvicorn, compare the changed code with the classes in
server/fencepost/cli/connections.py and lean_connections.py, adapt them, and then this list.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from typing import Any

import pytest
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import Server as UvicornServer
from uvicorn.server import ServerState

from fencepost.cli.connections import HttpProtocol
from fencepost.cli.lean_connections import LeanProtocol
from tests.fixtures.protocols import speaking
from tests.fixtures.raw_http import post, raw

# Attributes of a connection that our classes read or set.
ATTRIBUTES = {
    *("app", "config", "loop", "parser", "scope", "headers", "url", "cycle", "pipeline", "logger", "access_logger"),
    *("connections", "tasks", "server_state", "transport", "flow", "scheme", "limit_concurrency"),
    *("timeout_keep_alive", "timeout_keep_alive_task"),
}
# Methods that our classes override or call.
METHODS = {
    *("connection_made", "connection_lost", "data_received", "shutdown", "pause_writing", "resume_writing"),
    *("timeout_keep_alive_handler", "handle_websocket_upgrade", "on_response_complete", "_unset_keepalive_if_required"),
    *("on_message_begin", "on_headers_complete", "on_body", "on_message_complete", "_should_upgrade"),
}
# LeanProtocol does for its calls what these do for others: their code, as a digest.
MIRRORED: list[tuple[Callable[..., Any], str]] = [
    (HttpToolsProtocol.on_response_complete, "64e254f28e389e76"),
    (HttpToolsProtocol.shutdown, "d7351fa33f00d430"),
    (HttpToolsProtocol._start_asgi_task, "9c08c2571ae9b038"),
    (HttpToolsProtocol.connection_lost, "c91a4c9bf2e29c55"),
    (RequestResponseCycle.send, "abdd8601b326a8da"),
    (UvicornServer.shutdown, "9b33c50562992b1e"),
    (UvicornServer._wait_tasks_to_complete, "17209be1e991445d"),
]


def test_a_connection_of_uvicorn_has_the_attributes_that_we_use(module_database: str) -> None:
    async def missing() -> set[str]:
        (connection,) = server.http_server.server_state.connections
        assert isinstance(connection, LeanProtocol)
        return {name for name in ATTRIBUTES if not hasattr(connection, name)}

    with speaking("lean", module_database) as server, raw(server.port) as client:
        client.send(post("/rpc", b"[]", "x-other: a\tb"))
        assert client.answer().status == 400
        assert server.run(missing()) == set()


def test_uvicorn_has_the_methods_that_we_override() -> None:
    assert {name for name in METHODS if not callable(getattr(HttpToolsProtocol, name, None))} == set()
    assert HttpProtocol.__mro__[1] is HttpToolsProtocol


@pytest.mark.parametrize(("function", "digest"), MIRRORED, ids=lambda value: getattr(value, "__qualname__", ""))
def test_the_code_that_the_lean_class_mirrors_is_unchanged(function: Callable[..., Any], digest: str) -> None:
    found = hashlib.sha256(inspect.getsource(function).encode()).hexdigest()[:16]
    assert found == digest, f"uvicorn changed {function.__qualname__}: compare it with LeanProtocol"


def test_the_state_of_a_server_and_its_flow_control_have_the_members_that_we_use() -> None:
    state = ServerState()
    assert (state.total_requests, state.connections, state.tasks, state.default_headers) == (0, set(), set(), [])
    assert {"pause_reading", "resume_reading", "drain"} <= set(dir(FlowControl))
    assert STATUS_LINE[200] == b"HTTP/1.1 200 OK\r\n"
