"""Large bodies of every path are parsed in a thread, so that the event loop answers other requests meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest

from fencepost.notation import offload
from tests.fixtures.servers import Server, running_server

YAML = b"- a: [1, x]\n" * 24_000
# JSON with an escaped colon needs the exact walk.
JSON = b'["\\u003a",%b1]' % (b'{"a":1},' * 60_000)
CALLS = b'[{"method":"\\ud800"},{"method":"awf.none/x","params":%b}]' % JSON


class HeldThreads(ThreadPoolExecutor):
    """A thread that begins its work when `let` is set, and counts its seconds of processor time."""

    def __init__(self) -> None:
        super().__init__(1)
        self.asked, self.let = Event(), Event()
        self.seconds = 0.0

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        def held() -> Any:
            self.asked.set()
            assert self.let.wait(30)
            before = time.thread_time()
            try:
                return work(*args, **kwargs)
            finally:
                self.seconds += time.thread_time() - before

        return super().submit(held)


@pytest.mark.parametrize(
    ("method", "path", "media_type", "body"),
    [
        ("POST", "/rpc", "text/yaml", YAML),
        ("POST", "/rpc", "application/json", CALLS),
        ("POST", "/events", "text/yaml", YAML),
        ("POST", "/events", "application/cloudevents-batch+json", JSON),
        ("PUT", "/devices/r2", "text/yaml", YAML),
        ("POST", "/task-state", "application/json", JSON),
    ],
)
def test_a_probe_is_answered_while_a_large_body_is_parsed(
    database: str, monkeypatch: pytest.MonkeyPatch, method: str, path: str, media_type: str, body: bytes
) -> None:
    with HeldThreads() as reading, running_server(database) as server, ThreadPoolExecutor(1) as client:
        monkeypatch.setattr(offload, "_threads", reading)
        before = server.run(_loop_seconds())
        answer = client.submit(server.send, method, path, body, content_type=media_type)
        assert reading.asked.wait(30)
        assert _probe(server) == 200
        assert not answer.done()
        reading.let.set()
        assert answer.result()[0] in {200, 400, 422}
        on_loop = server.run(_loop_seconds()) - before
    assert on_loop < reading.seconds


async def _loop_seconds() -> float:
    return time.thread_time()


def _probe(server: Server) -> int:
    return server.send("GET", "/healthz")[0]
