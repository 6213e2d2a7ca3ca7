"""Large bodies are read beside the event loop, wherever they come in: others are answered meanwhile."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.fixtures.servers import Server, running_server

BODIES = 4
# On the loop, a probe would come between two bodies.
PROBES = 2 * BODIES + 2
YAML = b"- a: [1, x]\n" * 24_000
# The escaped colon leads to the exact walk.
JSON = b'["\\u003a",%b1]' % (b'{"a":1},' * 60_000)
CALLS = b'[{"method":"\\ud800"},{"method":"awf.none/x","params":%b}]' % JSON


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
def test_the_server_is_there_for_others_while_it_reads_large_bodies(
    database: str, method: str, path: str, media_type: str, body: bytes
) -> None:
    with running_server(database) as server, ThreadPoolExecutor(BODIES) as pool:
        asked = [pool.submit(server.send, method, path, body, content_type=media_type) for _ in range(BODIES)]
        probes = 0
        while not all(one.done() for one in asked):
            assert _probe(server) == 200
            probes += 1
        statuses = {one.result()[0] for one in asked}
    assert statuses <= {200, 400, 422}
    assert probes > PROBES


def _probe(server: Server) -> int:
    return server.send("GET", "/healthz")[0]
