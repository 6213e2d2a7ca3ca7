"""An empty Starlette handler, JSON in and JSON out, with the uvicorn settings of `fencepost serve`.

It answers the single calls like Fencepost, without any work, so that one load generator measures both.
"""

from __future__ import annotations

import socket
from typing import Any

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bench.child import Child, python
from bench.contestant import Drained, Manner
from fencepost.cli.serving import HTTP_SETTINGS

_TASK = {"id": "0f1e2d3c", "execId": "aac4c869-daa4-45fb-917a-46fe14359ed4", "status": "requested", "params": {"n": 1}}


def contestant() -> StarletteContestant:
    """Return the contestant."""
    return StarletteContestant()


class StarletteContestant:
    """A server without a queue, for the single calls only."""

    name = "starlette"
    manner = Manner(history="", keeps="", settings="no queue: JSON in, JSON out; uvloop, httptools, no access log")

    def __init__(self) -> None:
        self._server: Child | None = None
        self._url = ""

    def available(self) -> str | None:
        """Return None: Starlette is a dependency of Fencepost."""
        return None

    def prepare(self, dsn: str) -> None:
        """Start the server."""
        self._server = Child(python("bench.contestants.starlette"))
        self._url = self._server.read().decode()

    def url(self) -> str:
        """Return the URL of the server."""
        return self._url

    def servers(self) -> list[int]:
        """Return the id of the server process."""
        return [self._server.pid] if self._server else []

    def create(self, count: int) -> float:
        """Not supported."""
        raise NotImplementedError

    def drain(self, count: int) -> Drained:
        """Not supported."""
        raise NotImplementedError

    def latency(self, count: int) -> list[float]:
        """Not supported."""
        raise NotImplementedError

    def close(self) -> None:
        """Stop the server."""
        if self._server is not None:
            self._server.stop()


async def _answer(request: Request) -> Response:
    call: dict[str, Any] = orjson.loads(await request.body())
    result = {"resources": [_TASK]} if call["method"].endswith("poll") else {"resource": _TASK}
    return Response(orjson.dumps({"result": result}), media_type="application/json")


def main() -> None:
    """Serve until SIGTERM."""
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        print("http://{}:{}".format(*listener.getsockname()), flush=True)  # noqa: T201 to the contestant
        config = uvicorn.Config(Starlette(routes=[Route("/rpc", _answer, methods=["POST"])]), **HTTP_SETTINGS)
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
