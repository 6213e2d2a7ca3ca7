"""Both protocol classes of `--http` treat each case alike: pipelining, parts, limits, credentials, hang-ups, stops."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import orjson
import pytest

from fencepost.rpc.endpoint import Endpoint
from fencepost.settings import Connections, Limits, Settings
from tests.fixtures.locks import is_blocked, locked_rows
from tests.fixtures.protocols import PROTOCOLS, PlainCalls, Protocol, answers, send_in_parts, speaking
from tests.fixtures.raw_http import Answer, Raw, get, post, raw, request
from tests.fixtures.servers import FEW_CONNECTIONS, Server
from tests.fixtures.waiting import until

pytestmark = pytest.mark.shows("guarantees/shutdown-answers")

SECRET = "alice-secret-0123456789"
MIB = 1 << 20
POLL = b'{"method": "awf.task/poll", "params": {"taskDefinitions": ["demo/none"]}}'
NO_TASKS: dict[str, Any] = {"result": {"resources": []}}
# Ten answers are more than the operating system buffers for a connection.
LARGE = 1_000_000


@pytest.fixture(params=PROTOCOLS, scope="module")
def protocol(request: pytest.FixtureRequest) -> Protocol:
    name: Protocol = request.param
    return name


@pytest.fixture(scope="module")
def server(protocol: Protocol, module_database: str) -> Iterator[Server]:
    with speaking(protocol, module_database) as running:
        running.define()
        yield running


@pytest.fixture
def port(server: Server) -> int:
    return server.port


@pytest.fixture
def plain_calls(monkeypatch: pytest.MonkeyPatch) -> PlainCalls:
    calls = PlainCalls()
    monkeypatch.setattr(Endpoint, "enter", calls.counting(Endpoint.enter))
    return calls


def status(id: str) -> bytes:
    return orjson.dumps({"method": "awf.task/status", "params": {"id": id}})


def unknown(number: int) -> bytes:
    """Return a request that is answered with its number; every second one is of a method that is entered."""
    id = f"unknown-{number}"
    if number % 2 == 0:
        return post("/rpc", status(id))
    lease = {"id": id, "execId": "aac4c869-daa4-45fb-917a-46fe14359ed4"}
    return post("/rpc", orjson.dumps({"method": "awf.task/start", "params": lease}))


def numbers(found: list[Answer]) -> list[int]:
    return [int(answer.json["error"]["message"].rpartition("-")[2].rstrip("'")) for answer in found]


@pytest.mark.parametrize("headers", [(), ("accept: */*", "connection: keep-alive", "User-Agent: a b"), ("x:",)])
def test_only_the_lean_class_answers_plain_calls_without_a_parser(
    port: int, protocol: Protocol, plain_calls: PlainCalls, headers: tuple[str, ...]
) -> None:
    with raw(port) as connection:
        for _ in range(3):
            connection.send(post("/rpc", POLL, *headers))
            answer = connection.answer()
            assert (answer.status, answer.json) == (200, NO_TASKS)
            assert answer.headers == {"content-type": "application/json", "content-length": str(len(answer.body))}
    assert (plain_calls.count, plain_calls.entered) == ((3, 3) if protocol == "lean" else (0, 0))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (b" HTTP/1.1", b" HTTP/1.0", 200),
        (b"host:", b"connection: close\r\nhost:", 200),
        (b"POST /rpc", b"POST /rpc?x=1", 200),
        (b"application/json", b"text/yaml", 200),
        (b"host:", b"accept: text/yaml\r\nhost:", 200),
        (b"host:", b"accept: image/png\r\nhost:", 406),
        (b"application/json", b"a/b", 415),
        (b"host:", b"content-encoding: gzip\r\nhost:", 415),
        (b"localhost", b"evil.example", 403),
        (b"host:", b"origin: http://evil.example\r\nhost:", 403),
        (b"host:", b"sec-fetch-site: cross-site\r\nhost:", 403),
        (b"host:", b"host: localhost\r\nhost:", 400),
        (b"host: localhost\r\n", b"", 403),
        (b"content-length: ", b"content-length: 0", 200),
        (b"content-length:", b"content-length: 1\r\ncontent-length:", 400),
        (b"content-length: ", b"content-length: x", 400),
        (b"content-length:", b"content-length :", 400),
        (b"host:", b"x: a\x00b\r\nhost:", 400),
        (b"host:", b"x: caf\xe9\r\nhost:", 200),
        (b"POST", b"POSTS", 400),
        (b"POST /rpc", b"POST  /rpc", 200),
        (b"POST", b"PUT", 405),
        (b"POST", b"\r\n\r\nPOST", 200),
        (b"host:", b"x: " + b"a" * 70_000 + b"\r\nhost:", 431),
        (b"{", b"[" * 70 + b"{", 400),
        (POLL, b"x" * len(POLL), 400),
        (b"awf.task/poll", b"awf.task/pull", 404),
    ],
)
def test_a_request_of_another_form_is_answered_and_the_next_plain_one_too(
    port: int, old: bytes, new: bytes, expected: int
) -> None:
    content = post("/rpc", POLL).replace(old, new)
    assert request(port, content).status == expected
    with raw(port) as connection:
        connection.send(unknown(1))
        connection.answer()
        connection.send(content)
        assert connection.answer().status == expected
    with raw(port) as connection:
        connection.send(unknown(2))
        assert connection.answer().status == 404


def test_a_request_is_answered_wherever_it_is_split_between_reads(port: int) -> None:
    whole = unknown(7)
    with raw(port) as connection, raw(port) as other:
        for at in range(1, len(whole)):
            send_in_parts(connection, [whole[:at], whole[at:]], other)
            assert numbers([connection.answer()]) == [7]


def test_a_request_may_arrive_byte_by_byte(port: int) -> None:
    whole = unknown(7)
    with raw(port) as connection, raw(port) as other:
        for _ in range(2):
            send_in_parts(connection, [whole[at : at + 1] for at in range(len(whole))], other)
            assert numbers([connection.answer()]) == [7]


@pytest.mark.parametrize("at", [10, 60, -40, -1])
def test_a_read_may_end_within_a_second_request(port: int, at: int) -> None:
    first, second = unknown(1), unknown(2)
    with raw(port) as connection, raw(port) as other:
        send_in_parts(connection, [first + second[:at], second[at:] + unknown(3)], other)
        assert numbers(answers(connection, 3)) == [1, 2, 3]


@pytest.mark.parametrize("count", [2, 3, 60])
def test_requests_in_one_packet_are_answered_in_order(port: int, count: int) -> None:
    with raw(port) as connection:
        for _ in range(3):
            connection.send(b"".join(map(unknown, range(count))))
            assert numbers(answers(connection, count)) == list(range(count))


@pytest.mark.parametrize("garbage", [b"\x00\x01\x02\r\n\r\n", b"no request\r\n\r\n", b"POST /rpc HTTP/9.9\r\n\r\n"])
def test_garbage_after_a_body_is_refused_after_the_answer(port: int, garbage: bytes) -> None:
    with raw(port) as connection:
        connection.send(unknown(1) + garbage)
        assert numbers([connection.answer()]) == [1]
        assert (connection.answer().status, connection.is_ended()) == (400, True)


def test_an_empty_line_after_a_body_is_ignored(port: int) -> None:
    with raw(port) as connection, raw(port) as other:
        for number in range(5):
            send_in_parts(connection, [unknown(number), b"\r\n"], other)
            assert numbers([connection.answer()]) == [number]


@pytest.mark.parametrize("size", [50_000, 65_536, 65_537, 200_000, MIB - 1000])
def test_a_large_body_is_answered(port: int, size: int) -> None:
    with raw(port) as connection:
        for _ in range(2):
            connection.send(post("/rpc", POLL + b" " * (size - len(POLL))))
            assert connection.answer().json == NO_TASKS


def test_a_chunked_body_is_answered_between_plain_ones(port: int) -> None:
    head = post("/rpc", b"", "transfer-encoding: chunked").replace(b"content-length: 0\r\n", b"")
    chunked = head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(POLL), POLL)
    with raw(port) as connection:
        for content in (unknown(1), chunked, unknown(2), chunked):
            connection.send(content)
            assert connection.answer().json.get("result", {}) == (
                {} if content[:80] != chunked[:80] else NO_TASKS["result"]
            )


def test_a_client_that_expects_100_gets_it(port: int) -> None:
    whole = post("/rpc", POLL, "expect: 100-continue")
    with raw(port) as connection:
        connection.send(whole[: -len(POLL)])
        assert connection.answer().status == 100
        connection.send(POLL)
        assert connection.answer().json == NO_TASKS


def started(server: Server) -> dict[str, str]:
    """Create a task, poll it started, and return its execution; other tests leave tasks in the database."""
    task = server.create()
    lease = {one["id"]: one["execId"] for one in server.poll(maxBatchSize=1000, start=True)}
    return {"id": task["id"], "execId": lease[task["id"]]}


def success(lease: dict[str, str]) -> bytes:
    return post("/rpc", orjson.dumps({"method": "awf.task/success", "params": lease}))


def test_requests_sent_during_a_call_are_answered_after_it(server: Server, port: int) -> None:
    lease = started(server)
    with raw(port) as connection, raw(port) as other:
        with locked_rows(server.conninfo, "live_tasks"):
            connection.send(success(lease))
            until(lambda: is_blocked(server.conninfo, "tasks/success"))
            send_in_parts(
                connection, [unknown(1), unknown(2) + unknown(3)[:50], unknown(3)[50:], get("/nothing")], other
            )
        first, *others, last = answers(connection, 5)
        assert first.json["result"]["resource"]["outcome"] == "succeeded"
        assert numbers(others) == [1, 2, 3]
        assert last.status == 404


def test_a_client_that_hangs_up_during_a_call_leaves_no_trace(
    server: Server, port: int, caplog: pytest.LogCaptureFixture
) -> None:
    lease = started(server)
    with locked_rows(server.conninfo, "live_tasks"):
        with raw(port) as connection:
            connection.send(success(lease))
            until(lambda: is_blocked(server.conninfo, "tasks/success"))
            connection.send(unknown(1))
        assert request(port, unknown(1)).status == 404
    until(lambda: server.task(lease["id"])["status"] == "done")
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_long_poll_whose_client_hangs_up_gives_its_task_back(server: Server, protocol: Protocol, port: int) -> None:
    # Another name for each class: the task of the first run may be ready again.
    name = f"demo/late-{protocol}"
    server.define(name)
    params = {"taskDefinitions": [name], "timeout": 30_000}
    with raw(port) as connection:
        connection.send(post("/rpc", orjson.dumps({"method": "awf.task/long-poll", "params": params})))
        until(lambda: server.app.waiting_polls == 1)
    until(lambda: server.app.waiting_polls == 0)
    id = server.create(name)["id"]
    assert [task["id"] for task in server.poll(name)] == [id]


def test_answers_wait_in_bounded_memory_until_the_client_reads_them(server: Server, port: int) -> None:
    id = server.create(params={"text": "x" * LARGE})["id"]
    wanted = post("/rpc", status(id))
    with raw(port, kept=4096) as connection, raw(port) as other:
        for parts in ([wanted] * 10, [wanted * 40]):
            send_in_parts(connection, parts, other)
            until(lambda: server.run(unread(server)))
            assert server.run(unread(server)) < 2 * LARGE
            for _ in range(10 if len(parts) > 1 else 40):
                assert connection.answer().json["result"]["resource"]["id"] == id


async def unread(server: Server) -> int:
    """Return the bytes of answers that the clients have not read."""
    return sum(one.transport.get_write_buffer_size() for one in server.http_server.server_state.connections)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [(b"POST /rpc HTTP/1.1\r\nhost: localhost\r\n", 0), (unknown(1)[:-1], 408), (unknown(1)[:-40], 408)],
    ids=["head", "most-of-a-body", "a-part-of-a-body"],
)
def test_a_slow_request_is_ended_after_its_time(
    protocol: Protocol, module_database: str, sent: bytes, expected: int
) -> None:
    settings = replace(FEW_CONNECTIONS, http=Connections(head_seconds=0.3, body_seconds=0.3))
    with speaking(protocol, module_database, settings) as server, raw(server.port) as connection:
        connection.send(unknown(1))
        assert connection.answer().status == 404
        connection.send(sent)
        if expected:
            answer = connection.answer()
            assert (answer.status, answer.type) == (expected, "request-timeout")
        assert connection.is_ended()


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (f"authorization: Bearer {SECRET}", 200),
        (f"Authorization: bearer {SECRET}", 200),
        (f"authorization: Bearer {SECRET}x", 401),
        ("authorization: Basic YTpi", 401),
        ("x: y", 401),
    ],
)
def test_each_request_shows_its_own_credentials(
    protocol: Protocol, module_database: str, header: str, expected: int
) -> None:
    right = f"authorization: Bearer {SECRET}"
    settings = Settings(clients={"alice": SECRET})
    with speaking(protocol, module_database, settings) as server, raw(server.port) as connection:
        for one, wanted in ((right, 200), (header, expected), (right, 200), (header, expected)):
            connection.send(post("/rpc", POLL, one))
            answer = connection.answer()
            assert answer.status == wanted
            assert ("www-authenticate" in answer.headers) is (wanted == 401)


def test_a_body_beyond_a_limit_is_refused(protocol: Protocol, module_database: str) -> None:
    settings = replace(FEW_CONNECTIONS, limits=Limits(body_bytes=2000), http=Connections(head_bytes=1024))
    with speaking(protocol, module_database, settings) as server:
        port = server.port
        assert request(port, post("/rpc", POLL + b" " * (2000 - len(POLL)))).status == 200
        assert request(port, post("/rpc", POLL + b" " * (2001 - len(POLL)))).status == 413
        for size, expected in ((900, 200), (1024, 431)):
            assert request(port, post("/rpc", POLL, f"x: {'a' * size}")).status == expected


async def shut_down(server: Server) -> None:
    """Tell each connection to end after its request, as uvicorn does first."""
    for connection in tuple(server.http_server.server_state.connections):
        connection.shutdown()


async def cancel_calls(server: Server) -> None:
    """Cancel the calls in progress, as uvicorn does after the time for a graceful stop."""
    for task in tuple(server.http_server.server_state.tasks):
        task.cancel(msg="the time is up")


def test_a_call_in_progress_is_answered_before_the_server_stops(protocol: Protocol, module_database: str) -> None:
    with contextlib.ExitStack() as held, speaking(protocol, module_database) as server:
        server.define()
        lease = started(server)
        called, idle = (held.enter_context(contextlib.closing(Raw(server.port))) for _ in range(2))
        idle.send(unknown(1))
        assert idle.answer().status == 404
        with locked_rows(server.conninfo, "live_tasks"):
            called.send(success(lease))
            until(lambda: is_blocked(server.conninfo, "tasks/success"))
            send_in_parts(called, [unknown(1)], idle)
            server.run(shut_down(server))
            assert idle.is_ended()
        first, second = answers(called, 2)
        assert (first.status, first.headers.get("connection")) == (200, None)
        assert (second.status, second.headers.get("connection")) == (404, "close")
        assert called.is_ended()


def test_a_call_that_outlasts_the_stop_is_answered_503(protocol: Protocol, module_database: str) -> None:
    with contextlib.ExitStack() as held:
        with speaking(protocol, module_database) as server:
            server.define()
            lease = started(server)
            called = held.enter_context(contextlib.closing(Raw(server.port)))
            with locked_rows(server.conninfo, "live_tasks"):
                called.send(success(lease))
                until(lambda: is_blocked(server.conninfo, "tasks/success"))
                server.run(cancel_calls(server))
                answer = called.answer()
        assert (answer.status, answer.type, answer.headers["retry-after"]) == (503, "unavailable", "1")
