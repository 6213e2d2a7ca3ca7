"""Requests that a browser sends for a page of another site: every path but the probes refuses them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fencepost.errors import StartRefused
from fencepost.settings import Settings, read_hosts
from tests.fixtures.raw_http import Answer, request
from tests.fixtures.servers import Server, running_server

pytestmark = pytest.mark.shows("guarantees/other-sites")

CLIENTS = {"alice": "alice-secret-0123456789"}
ALICE = "authorization: Bearer alice-secret-0123456789"
CREATE = b'{"method": "awf.task/create-and-execute", "params": {"definition": "demo/resize"}}'
EVERYWHERE = [
    ("POST", "/rpc"),
    ("GET", "/AidboxTask"),
    ("GET", "/AidboxTaskLog?subject=a"),
    ("GET", "/AidboxWorkflow/a"),
    ("POST", "/events"),
    ("GET", "/taskflows/a/events"),
    ("GET", "/events/client"),
    ("GET", "/devices/r2/events"),
    ("GET", "/api/devices/r2/events"),
    ("POST", "/devices/r2/heartbeat"),
    ("PUT", "/devices/r2"),
    ("POST", "/workflows/demo/patrol/runs"),
    ("POST", "/task-state"),
    ("GET", "/openapi.yaml"),
    ("GET", "/nothing"),
    ("OPTIONS", "/rpc"),
    ("HEAD", "/AidboxTask"),
]


def ask(server: Server, verb: str, path: str, *headers: str, body: bytes = b"") -> Answer:
    port = int(server.url.rpartition(":")[2])
    lines = (f"{verb} {path} HTTP/1.1", f"content-length: {len(body)}", *headers, "", "")
    return request(port, "\r\n".join(lines).encode("latin-1") + body)


@pytest.fixture(scope="module")
def with_clients(module_database: str) -> Iterator[Server]:
    with running_server(module_database, settings=Settings(clients=CLIENTS)) as server:
        yield server


@pytest.fixture(scope="module")
def behind_a_proxy(module_database: str) -> Iterator[Server]:
    hosts = read_hosts(["Queue.example.com", "other.example:8443"])
    with running_server(module_database, settings=Settings(allowed_hosts=hosts)) as server:
        yield server


@pytest.fixture(scope="module")
def local(module_database: str) -> Iterator[Server]:
    with running_server(module_database) as server:
        server.define()
        yield server


@pytest.mark.parametrize(("verb", "path"), EVERYWHERE)
@pytest.mark.parametrize(
    "header",
    [
        "host: evil.example",
        "host: 127.0.0.1.evil.example:8080",
        "host: localhost\r\norigin: http://evil.example",
        "host: localhost:8080\r\norigin: http://localhost:3000",
        "host: localhost\r\norigin: null",
        "host: localhost\r\nsec-fetch-site: cross-site",
        "host: localhost\r\nsec-fetch-site: same-site",
    ],
)
def test_a_request_from_another_site_is_refused_on_every_path(local: Server, verb: str, path: str, header: str) -> None:
    assert ask(local, verb, path, header).status == 403


def test_the_refusal_of_an_unknown_host_names_the_setting_that_allows_it(local: Server) -> None:
    answer = ask(local, "POST", "/rpc", "host: queue.example.com", "content-type: text/yaml", body=b"method: a")
    assert answer.headers["content-type"] == "text/yaml"
    assert b"type: other-site" in answer.body
    assert b"--allowed-host queue.example.com" in answer.body


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:8080", "localhost.", "127.0.0.1", "127.0.0.1:8080", "127.8.8.8:1", "[::1]", "[::1]:8080"],
)
def test_every_loopback_host_is_accepted(local: Server, host: str) -> None:
    headers = ("content-type: application/json", f"host: {host}")
    assert ask(local, "POST", "/rpc", *headers, body=CREATE).status == 200
    assert ask(local, "POST", "/rpc", *headers, f"origin: http://{host}", body=CREATE).status == 200
    assert ask(local, "POST", "/rpc", *headers, "sec-fetch-site: same-origin", body=CREATE).status == 200
    assert ask(local, "GET", "/AidboxTask", f"host: {host}", "sec-fetch-site: none").status == 200


@pytest.mark.parametrize("header", ["host: evil.example", "sec-fetch-site: cross-site", "x: 1", "host: [", "host: a b"])
@pytest.mark.parametrize("probe", ["/healthz", "/readyz"])
def test_probes_accept_any_host_and_site(local: Server, probe: str, header: str) -> None:
    assert ask(local, "GET", probe, header).status == 200


@pytest.mark.parametrize("host", ["[", "[::zz]", "[:::]", "a b", "a/b", "user@localhost", "localhost:x", "a" * 400])
def test_a_malformed_host_is_refused(with_clients: Server, host: str) -> None:
    for path in ("/AidboxTask?_count=1", "/nothing"):
        answer = ask(with_clients, "GET", path, f"host: {host}", ALICE)
        assert (answer.status, answer.type) == (400, "invalid-request")


HANDSHAKE = (
    "connection: upgrade",
    "upgrade: websocket",
    "sec-websocket-version: 13",
    "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==",
)


@pytest.mark.parametrize("path", ["/devices/r2/events", "/events/client", "/api/events/client", "/nothing"])
@pytest.mark.parametrize(
    "header",
    [
        "host: evil.example",
        "host: localhost\r\nsec-fetch-site: cross-site",
        "host: localhost\r\norigin: http://evil.example",
    ],
)
def test_a_page_of_another_site_cannot_open_a_websocket(local: Server, path: str, header: str) -> None:
    port = int(local.url.rpartition(":")[2])
    handshake = "\r\n".join((f"GET {path} HTTP/1.1", *HANDSHAKE, header, "", "")).encode()
    answer = request(port, handshake)
    assert (answer.status, answer.type) == (403, "other-site")
    assert local.send("GET", "/devices/r2")[0] == 404


@pytest.mark.parametrize("host", ["queue.example.com", "queue.example.com:80", "other.example:8443", "localhost:1"])
def test_an_allowed_host_is_accepted(behind_a_proxy: Server, host: str) -> None:
    assert ask(behind_a_proxy, "GET", "/AidboxTask", f"host: {host}").status == 200


@pytest.mark.parametrize("host", ["evil.example", "other.example", "other.example:1", "queue.example.com.evil.example"])
def test_a_host_that_is_not_allowed_is_refused(behind_a_proxy: Server, host: str) -> None:
    assert ask(behind_a_proxy, "GET", "/AidboxTask", f"host: {host}").status == 403


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://queue.example.com", 200),
        ("https://queue.example.com:8443", 200),
        ("https://other.example:8443", 200),
        ("https://other.example", 403),
        ("https://evil.example", 403),
        ("https://queue.example.com.evil.example", 403),
        ("https://queue.example.com@evil.example", 403),
        ("file://queue.example.com", 403),
    ],
)
def test_behind_a_proxy_the_origin_is_checked_against_the_allowed_hosts(
    behind_a_proxy: Server, origin: str, status: int
) -> None:
    assert ask(behind_a_proxy, "GET", "/AidboxTask", "host: 127.0.0.1:8080", f"origin: {origin}").status == status


@pytest.mark.parametrize("host", ["queue.example.com", "10.1.2.3:8080"])
def test_a_server_with_clients_accepts_any_host(with_clients: Server, host: str) -> None:
    assert ask(with_clients, "GET", "/AidboxTask", f"host: {host}", ALICE).status == 200
    assert ask(with_clients, "GET", "/AidboxTask", f"host: {host}", ALICE, f"origin: https://{host}").status == 200


@pytest.mark.parametrize("header", ["origin: https://evil.example", "sec-fetch-site: cross-site"])
@pytest.mark.parametrize(("verb", "path"), [("POST", "/rpc"), ("POST", "/task-state"), ("GET", "/events/client")])
def test_credentials_do_not_admit_a_page_of_another_site(
    with_clients: Server, verb: str, path: str, header: str
) -> None:
    assert ask(with_clients, verb, path, "host: queue.example.com", ALICE, header).status == 403


def test_a_server_with_clients_and_allowed_hosts_refuses_other_hosts(module_database: str) -> None:
    settings = Settings(clients=CLIENTS, allowed_hosts=("queue.example.com",))
    with running_server(module_database, settings=settings) as server:
        assert ask(server, "GET", "/AidboxTask", "host: queue.example.com", ALICE).status == 200
        assert ask(server, "GET", "/AidboxTask", "host: evil.example", ALICE).status == 403


@pytest.mark.parametrize("name", ["", "https://queue.example.com", "a b", "a/b", "*"])
def test_an_invalid_allowed_host_is_refused_at_the_start(name: str) -> None:
    with pytest.raises(StartRefused, match="--allowed-host"):
        read_hosts([name])
